"""From measurements to the rows and ratios of a result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from deepmath.benchmark import statistics
from deepmath.benchmark.candidates import CONTROL, OURS, PRODUCTS
from deepmath.benchmark.session import WORK, Measured, Where

FAMILIES_ASIDE = (OURS, CONTROL, "products")
"""Families that are no peers."""


def rows(measured: Sequence[Measured], where: Where) -> list[dict[str, Any]]:
    """One row for each candidate on one network. What was not measured is None."""
    alone = next((m for m in measured if m.candidate.name == PRODUCTS), None)
    return [_row(m, alone, where) for m in measured]


def _row(m: Measured, alone: Measured | None, where: Where) -> dict[str, Any]:
    network, verdict = m.network, m.verdict
    row: dict[str, Any] = {
        "candidate": m.candidate.name,
        "family": m.candidate.family,
        "network": network.name,
        "widths": list(network.widths),
        "batch": network.batch,
        "rows": network.rows,
        "steps_per_epoch": network.updates,
        "device": where.device,
        "precision": where.precision,
        "failure": m.failure,
        "settings": m.settings,
        "about": m.about,
    }
    row |= {f"{name}_error": _finite(getattr(verdict, name, None)) for name in ("loss", "weights", "prediction")}
    row |= _training(m, alone)
    row |= _use(m)
    for name in ("first_step", "first_step_cached"):
        row[f"{name}_s"] = None if m.failure or m.candidate.name == PRODUCTS else getattr(m, name)
    row["peak_memory_mb"] = None if m.peak_memory is None else m.peak_memory / 1e6
    return row


def _finite(value: float | None) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if value is not None and math.isfinite(value) else None


def _training(m: Measured, alone: Measured | None) -> dict[str, Any]:
    names = ("steps_per_s", "steps_per_s_low", "steps_per_s_high", "samples_per_s", "us_per_step", "us_per_epoch")
    row: dict[str, Any] = dict.fromkeys((*names, "gflops", "share_of_peak", "share_of_products", "loss_at_the_end"))
    seconds = m.seconds("train")
    row["seconds_per_epoch"] = seconds
    if not seconds:
        return row
    network, epoch = m.network, statistics.spread(seconds).median
    rate = statistics.rates(seconds, network.updates)
    row |= {"steps_per_s": rate.median, "steps_per_s_low": rate.low, "steps_per_s_high": rate.high}
    row |= {"samples_per_s": network.rows / epoch, "us_per_step": 1e6 / rate.median, "us_per_epoch": 1e6 * epoch}
    row["gflops"] = network.flops / network.batch * network.rows / epoch / 1e9
    if m.candidate.name != PRODUCTS:
        row["loss_at_the_end"] = m.turns["train"][-1]["result"]
    if alone is not None and alone.seconds("train"):
        row["share_of_products"] = statistics.ratio(alone.seconds("train"), seconds).median
    peak = peak_gflops(alone)
    if peak is not None:
        row["share_of_peak"] = row["gflops"] / peak
    return row


def peak_gflops(alone: Measured | None) -> float | None:
    """The rate of the largest square products, measured in the rounds of the same network."""
    if alone is None or not alone.seconds("infer"):
        return None
    return float(alone.about["square_flops"]) / statistics.spread(alone.seconds("infer")).median / 1e9


def _use(m: Measured) -> dict[str, Any]:
    """Inference: all rows at once, and single rows."""
    row: dict[str, Any] = dict.fromkeys(("inference_samples_per_s", "row_median_us", "row_p95_us"))
    if m.candidate.name == PRODUCTS:
        return row
    if seconds := m.seconds("infer"):
        row["inference_samples_per_s"] = m.network.rows / statistics.spread(seconds).median
    if seconds := m.seconds("row"):
        row["row_median_us"] = 1e6 * statistics.spread(seconds).median
        row["row_p95_us"] = 1e6 * statistics.spread([turn["p95"] for turn in m.turns["row"]]).median
    return row


def ratios(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """How many times as fast deepmath is as each peer's best, on one network, for each kind of work."""
    found = []
    families = dict.fromkeys(m.candidate.family for m in measured if m.candidate.family not in FAMILIES_ASIDE)
    for kind, title in WORK.items():
        for ours in [m for m in measured if m.candidate.family == OURS and m.seconds(kind)]:
            for family in families:
                theirs = [m for m in measured if m.candidate.family == family and m.seconds(kind)]
                if theirs:
                    best = min(theirs, key=lambda m: statistics.spread(m.seconds(kind)).median)
                    found.append(_compared(ours, best, kind) | {"work": title, "family": family})
    return found


def controls(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """One candidate twice: how far from 1 a ratio comes by the machine's noise alone."""
    again = next((m for m in measured if m.candidate.family == CONTROL), None)
    ours = next((m for m in measured if again and f"{m.candidate.name} again" == again.candidate.name), None)
    if again is None or ours is None:
        return []
    return [
        _compared(ours, again, kind) | {"work": title}
        for kind, title in WORK.items()
        if ours.seconds(kind) and again.seconds(kind)
    ]


def _compared(ours: Measured, theirs: Measured, kind: str) -> dict[str, Any]:
    times = statistics.ratio(theirs.seconds(kind), ours.seconds(kind))
    return {
        "network": ours.network.name,
        "batch": ours.network.batch,
        "candidate": ours.candidate.name,
        "against": theirs.candidate.name,
        "ratio": times.median,
        "low": times.low,
        "high": times.high,
    }
