"""The page: one file, whole, safe, with everything in it."""

import re

import pytest
from reported import Parsed, recorded, reported

from deepmath.report import Finding, Report, page
from deepmath.report.charts import line_chart

SECTIONS = ["Result", "Curves", "Epoch by epoch", "Settings", "Machine", "How to reproduce it"]


def test_the_page_is_one_file_that_asks_for_nothing(kind):
    text = reported(kind)
    parsed = Parsed(text)
    assert len(text) < 2_000_000
    links = [a[n] for _, a in parsed.tags for n in ("src", "href", "srcset", "action") if n in a]
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "http" not in re.sub(r'"http://www.w3.org/2000/svg"', "", text)
    assert "@import" not in text
    assert "url(" not in text


def test_sections_and_what_leads_to_them(kind):
    parsed = Parsed(reported(kind))
    assert parsed.text("h1") == ["a run"]
    assert parsed.text("h2") == SECTIONS
    ids = [a["id"] for _, a in parsed.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"] for a in parsed.all("a")} == {f"#{name.lower().replace(' ', '-')}" for name in SECTIONS}
    assert {"accuracy 98 %", "a processor", "deepmath train"} <= {d for _, d in parsed.texts}
    assert 'data = "circles"' in text_of(parsed, "pre")


def text_of(parsed, tag):
    return "".join(parsed.text(tag))


def test_the_scrubber_has_a_label_and_a_value_in_words(kind):
    parsed = Parsed(reported(kind))
    slider = next(a for a in parsed.all("input"))
    assert slider["type"] == "range"
    assert {"for": slider["id"]} in parsed.all("label")
    assert (slider["min"], slider["max"], slider["value"], slider["aria-valuetext"]) == ("0", "6", "6", "epoch 6")
    assert text_of(parsed, "output").startswith("epoch 6: ")
    assert parsed.data["kind"] == kind
    assert [f["epoch"] for f in parsed.data["frames"]] == list(range(7))
    assert all(len(f["layers"]) == 2 for f in parsed.data["frames"])


def test_pictures_have_words(kind):
    parsed = Parsed(reported(kind))
    charts = [a for a in parsed.all("svg") if a.get("class") == "chart"]
    assert len(charts) == (4 if kind == "numbers" else 5)
    assert all(a["role"] == "img" and "over the epochs" in a["aria-label"] for a in charts)


def test_names_from_the_data_are_only_names():
    evil = '</script><img src=x onerror="alert(1)">'
    _, watched, history, *_ = recorded("plane", epochs=1, names=[evil, "b & c"])
    rows = [(evil, evil)]
    text = page(Report(
        evil, rows, rows, rows, history.epoch, history.history, watched.view, watched.record, [evil], evil,
        findings=[Finding("fault", evil, evil)], notes=[evil],
    ))  # fmt: skip
    parsed = Parsed(text)
    assert "<img" not in text
    assert parsed.data["fixed"]["names"] == [evil, "b & c"]


def test_findings_stand_in_their_place():
    text = reported("plane", findings=[Finding("warning", "half of layer 1 is idle", "Try leaky_relu.")])
    parsed = Parsed(text)
    assert parsed.text("h2") == ["Result", "Findings", *SECTIONS[1:]]
    assert "warning: half of layer 1 is idle." in parsed.text("strong")
    assert "Nothing was found that is wrong with this training." in Parsed(reported("plane", findings=[])).text("p")


def test_a_training_that_was_not_recorded_has_a_page():
    _, watched, *_ = recorded("plane")
    watched.record.frames.clear()
    parsed = Parsed(page(Report("t", [], [], [], [], {}, watched.view, watched.record, ["a"])))
    assert "Epoch by epoch" not in parsed.text("h2")


def points(chart):
    return re.search(r'<path class="line s0" d="([^"]*)"', chart).group(1)


def test_a_chart_leaves_gaps_where_there_are_no_numbers():
    chart = line_chart("Loss", [1, 2, 3, 4, 5], {"training": [1.0, 0.5, float("nan"), None, 0.25]})
    path = points(chart)
    assert path.count("M") == 2
    assert path.count("L") == 1
    assert "training ends at 0.25" in chart
    assert line_chart("Loss", [1], {"training": [float("inf")]}) == ""
    assert line_chart("Loss", [1, 2], {"training": [0.0, -1.0]}, log=True) == ""


def test_a_chart_puts_numbers_at_their_height():
    ends = re.findall(r"[ML]([\d.]+) ([\d.]+)", points(line_chart("g", [0, 1, 2], {"a": [1e-4, 1e-2, 1.0]}, log=True)))
    (x0, y0), (x1, y1), (x2, y2) = [(float(x), float(y)) for x, y in ends]
    assert x1 == pytest.approx((x0 + x2) / 2, abs=0.1)
    assert y1 == pytest.approx((y0 + y2) / 2, abs=0.1)
    assert y0 > y2
