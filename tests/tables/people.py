"""A table with every kind of column."""

import numpy as np
import pandas as pd

ROWS = 300


def people(rows=ROWS, seed=0):
    """A table with every kind of column."""
    r = np.random.default_rng(seed)
    days = np.datetime64("2020-01-01") + r.integers(0, 900, rows)
    frame = pd.DataFrame(
        {
            "nr": np.arange(rows),
            "age": np.where(r.random(rows) < 0.1, np.nan, r.integers(18, 80, rows)),
            "income": [f"{v:,.2f}".replace(",", " ").replace(".", ",") for v in r.lognormal(8, 1, rows)],
            "city": r.choice(["Nice", "Rome", "nan", None], rows, p=[0.5, 0.3, 0.1, 0.1]),
            "member": r.choice(["yes", "no"], rows),
            "since": days.astype(str),
            "seen": pd.to_datetime(days) + pd.to_timedelta(r.integers(0, 1440, rows), unit="min"),
            "vip": pd.array(r.choice([True, False], rows), dtype="boolean"),
            "remark": [f"remark number {i} in free text" for i in range(rows)],
            "street": [f"street {i}" for i in r.integers(0, 40, rows)],
        }
    )
    frame.loc[5, "vip"] = pd.NA
    frame.loc[7, "seen"] = pd.NaT
    return frame
