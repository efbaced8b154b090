"""Trains networks on the shim under AddressSanitizer and UBSan: run by a test, in a process that loads them first.

usage: python cuda_sanitized.py SEED... ; prints "clean" at the end. With "spoiled" in front, a bound is left out.
"""

import os
import sys
from pathlib import Path

import cuda_shim
import numpy as np
from cuda_programs import on_shim
from networks import compiled
from random_networks import random_case

OPTIONS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g")


def main(seeds: list[str], precisions: tuple[str, ...]) -> None:
    """Train, measure and predict."""
    for seed in map(int, seeds):
        for precision in precisions:
            program = compiled(random_case(seed), on_shim(seed, options=OPTIONS), precision)
            program.run(2)
            program.measure(program.data)
            program.predict(program.data.x)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    cuda_shim.folder = Path(os.environ["DEEPMATH_SHIM_FOLDER"])
    if arguments[0] == "spoiled":
        whole = cuda_shim.compiled
        cuda_shim.compiled = lambda text, *rest: whole(text.replace("r < rows;", "r < rows + 64;"), *rest)
    np.seterr(all="ignore")
    main([a for a in arguments if a.isdigit()], tuple(a for a in arguments if not a.isdigit() and a != "spoiled"))
    print("clean")
