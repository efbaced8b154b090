"""How often the training doctor is right: `python tests/study/doctor_figures.py [--tune] [--seeds FROM TO]`.

Trains every network of `tests/patients.py` and prints hits (what is ill and was named) and false alarms (any finding
in what is well). With `--tune`, only the seeds and data that thresholds may be fixed on.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from patients import ILL, TUNED, UNSEEN, WELL, Case, treated

RECALL, FALSE_ALARMS = 0.95, 0.02
"""What the doctor must reach on what it wasn't tuned on."""


def counted(cases: Iterable[Case], which: str, seeds: Iterable[int]) -> dict[str, tuple[int, Counter[str]]]:
    """By case: how often it was looked at, and what was found how often; "right" among it."""
    result = {}
    for case in cases:
        found: Counter[str] = Counter()
        runs = 0
        for seed in seeds:
            names = treated(case, which, seed).names
            found.update(names)
            found["right"] += case.ill in names if case.ill else not names
            runs += 1
        result[case.name] = runs, found
    return result


def share(counts: dict[str, tuple[int, Counter[str]]]) -> float:
    """How many runs came out right, of all."""
    return sum(found["right"] for _, found in counts.values()) / sum(runs for runs, _ in counts.values())


def table(title: str, counts: dict[str, tuple[int, Counter[str]]]) -> str:
    """One line for each case."""
    lines = [f"{title}: {share(counts):.1%} right"]
    for name, (runs, found) in counts.items():
        rest = ", ".join(f"{n} {found[n]}" for n in sorted(found) if n != "right")
        lines.append(f"  {name:<22} {found['right']:>3} of {runs}   {rest}")
    return "\n".join(lines)


def main() -> None:
    """Print the tables, and end with 1 where the doctor isn't good enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tune", action="store_true", help="only what thresholds may be fixed on")
    parser.add_argument("--seeds", type=int, nargs=2, metavar=("FROM", "TO"), help="other seeds, for a quick look")
    given = parser.parse_args()
    plan = [(TUNED, range(10))] if given.tune else [(TUNED, range(10, 20)), (UNSEEN, range(20))]
    start, good = time.process_time(), True
    for which, seeds in plan:
        seeds = range(*given.seeds) if given.seeds else seeds
        ill, well = counted(ILL, which, seeds), counted(WELL, which, seeds)
        print(f"== {which} data, seeds {seeds.start} to {seeds.stop - 1}")
        print(table("ill", ill), table("well", well), sep="\n", flush=True)
        print(f"recall {share(ill):.1%}, false alarms {1.0 - share(well):.1%}\n")
        good = good and share(ill) >= RECALL and 1.0 - share(well) <= FALSE_ALARMS
    print(f"{time.process_time() - start:.0f} s of processor time")
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
