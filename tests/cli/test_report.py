"""`deepmath train --report`."""

import json
import re

import pytest


def data_of(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text).group(1))


@pytest.mark.parametrize(
    ("data", "kind", "epochs"), [("circles", "plane", 2), ("xor", "plane", 3), ("houses", "numbers", 2)]
)
def test_the_report_lies_in_the_folder_of_the_run(good, tmp_path, data, kind, epochs):
    said = good("train", data, "--epochs", epochs, "--out", "run", "--report")
    path = tmp_path / "run" / "report.html"
    assert said.splitlines()[-1].split() == ["report", "run/report.html"]
    text = path.read_text(encoding="utf-8")
    found = data_of(text)
    assert found["kind"] == kind
    assert [f["epoch"] for f in found["frames"]] == list(range(epochs + 1))
    assert "samples/s" in text
    assert f"data = &quot;{data}&quot;" in text
    assert "[fitted]" not in text


def test_the_report_goes_where_it_is_told(good, tmp_path, flowers):
    said = good("train", flowers, "--epochs", 1, "--out", "run", "--report", "pages/flowers.html", "--quiet")
    assert said == ""
    found = data_of((tmp_path / "pages" / "flowers.html").read_text(encoding="utf-8"))
    assert found["fixed"]["names"] == ["iris", "lily", "rose"]
    assert found["fixed"]["axes"] == ["width", "height"]
    assert not (tmp_path / "run" / "report.html").exists()


def test_a_place_that_can_not_be_written_is_told_before_the_first_step(failing, tmp_path):
    (tmp_path / "page").write_text("a file")
    code, line = failing("train", "circles", "--epochs", 1, "--out", "run", "--report", "page/r.html", "--quiet")
    assert code
    assert "cannot save page/r.html: page is a file and no folder" in line
    assert not (tmp_path / "run").exists()


def test_the_report_of_the_second_part_of_a_run(good, tmp_path):
    good("train", "circles", "--epochs", 2, "--out", "run", "--quiet")
    good("train", "--resume", "run", "--epochs", 4, "--report", "--quiet")
    text = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert [f["epoch"] for f in data_of(text)["frames"]] == [2, 3, 4]


def test_a_run_of_many_classes_shows_what_they_are_taken_for(good, tmp_path):
    good("train", "digits", "--epochs", 1, "--hidden", "8", "--out", "run", "--report", "--quiet")
    found = data_of((tmp_path / "run" / "report.html").read_text(encoding="utf-8"))
    assert found["kind"] == "confusion"
    assert sum(map(sum, found["frames"][-1]["view"])) == 359


def test_the_report_has_the_doctors_verdict(good, tmp_path):
    good("train", "moons", "--learning-rate", 1e-6, "--epochs", 5, "--out", "run", "--report", "--quiet")
    text = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "fault: rate too small, optimizer." in text
    assert len(data_of(text)["frames"]) == 6, "what it looked at doesn't drive out the pictures by epoch"
    assert not (tmp_path / "run" / "diagnosis.txt").exists()


def test_a_training_that_breaks_has_a_report(deepmath, tmp_path, prices):
    given = ("--optimizer", "sgd", "--learning-rate", 1e6, "--scale", "none", "--epochs", 3)
    assert deepmath("train", prices, *given, "--report", "--out", "run").exit_code == 76
    text = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "broke off" in text
    assert "unscaled inputs" in text
