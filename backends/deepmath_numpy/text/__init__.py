"""Texts that are compiled, or run by Python, as modules of their own: see `deepmath_numpy/ways.py`."""
