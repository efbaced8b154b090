"""A file as an analyst has it: every kind of column, with missing cells, and labels that follow from some of them."""

import numpy as np
import pandas as pd


def customers(rows=2000, seed=0):
    """Customers who stay or leave; 1 % of them are not known to."""
    r = np.random.default_rng(seed)
    age, city = r.integers(18, 80, rows).astype(float), r.choice(["Nice", "Rome", "Oslo", "Bergen"], rows)
    member, since = r.choice(["yes", "no"], rows), np.datetime64("2015-01-01") + r.integers(0, 3000, rows)
    years = (since - np.datetime64("2019-01-01")).astype(int) / 365
    chance = 1 / (1 + np.exp(-(0.15 * (age - 45) + 3.0 * (city == "Oslo") - 2.0 * (member == "yes") + 0.3 * years)))
    age[r.random(rows) < 0.08] = np.nan
    income = [f"{v:,.2f}".translate({44: 46, 46: 44}) for v in np.exp(r.normal(8, 0.5, rows))]
    return pd.DataFrame(
        {
            "customer_id": np.arange(rows) + 1000,
            "name": [f"Person {i:05d}" for i in range(rows)],
            "age": age,
            "income": np.where(r.random(rows) < 0.03, "n/a", income),
            "city": np.where(r.random(rows) < 0.04, None, city),
            "member": member,
            "since": pd.Series(since).dt.strftime("%d/%m/%Y"),
            "score": r.normal(0, 1, rows).round(3),
            "country": "EU",
            "empty": None,
            "remark": [f"had {i % 7} things to say about order number {i}" for i in range(rows)],
            "outcome": np.where(r.random(rows) < 0.01, None, np.where(r.random(rows) < chance, "stays", "leaves")),
        }
    )
