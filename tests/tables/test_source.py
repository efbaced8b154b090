"""A table that is read in chunks becomes the numbers that it becomes whole, in files that go."""

import gc
import tempfile
from pathlib import Path

import numpy as np
import pytest
from tables.people import people

from deepmath.errors import ConfigError, LabelError, NumericError
from deepmath.tables import (
    EncodedTable,
    TableEncoder,
    encoded,
    fit_scan,
    read_table,
    scan_table,
    target_of,
    with_target,
)


@pytest.fixture
def path(put):
    """People with an answer, which every tenth withholds."""
    frame = people().assign(answer=np.where(np.arange(300) % 10 == 3, None, np.where(np.arange(300) % 3, "yes", "no")))
    return put(frame.to_csv(index=False))


def whole(path):
    frame = read_table(path)
    target = target_of(frame.column("answer"), "answer")
    kept, rows = with_target(frame, target)
    encoding = TableEncoder().fit(kept.drop("answer"))
    return encoding, target, encoding.apply(kept, dtype="float32"), target.encode(kept.column("answer")), rows


@pytest.mark.parametrize("rows", [7, 100, 1000])
def test_chunks_give_what_the_whole_gives(path, rows, tmp_path):
    scan = scan_table(path, rows)
    fitted, target = fit_scan(scan, TableEncoder(), "answer")
    encoding, same_target, X, y, kept = whole(path)
    assert (fitted.encoding, target) == (encoding, same_target)
    table = EncodedTable(scan, encoding, target, folder=tmp_path)
    assert (len(kept), table.dropped) == (270, 30)
    assert np.asarray(table.X).tobytes() == X.tobytes()
    assert table.y.tolist() == y.tolist()
    parts = list(encoded(scan, encoding, target))
    np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), y)
    table.close()


def test_columns_and_scale_are_learnt_from_chosen_rows(put):
    lines = ["a,kind,t", *(f"{i},{'x' if i < 30 else 'y'},{i / 2}" for i in range(40))]
    lines[5] = "4,x,"
    scan = scan_table(put("\n".join(lines)), 7)
    seen = []

    def first_half(y):
        seen.append(y)
        return np.arange(20)

    fitted, target = fit_scan(
        scan, TableEncoder({"a": "number", "kind": "category"}), "t", scale=True, learn_from=first_half
    )
    known = np.array([i / 2 for i in range(40) if i != 4])
    assert seen[0].tolist() == known.tolist()
    number, kind = fitted.encoding.columns
    assert number.median == np.median([i for i in range(21) if i != 4])
    assert kind.categories == ("x",)
    assert (target.origin, target.size) == pytest.approx((known[:20].mean(), known[:20].std()), rel=1e-15)
    assert EncodedTable(scan, fitted.encoding, target).X.shape == (39, 2)


def test_messages_name_the_rows_of_the_file(put):
    lines = ["a,b,t", *(f"{i / 2},{'yes' if i % 2 else 'no'},{i % 3}" for i in range(40))]
    lines[2], lines[31] = "0.5,no,", "1e999,no,1"
    path = put("\n".join(lines))
    with pytest.raises(NumericError, match="column 'a', row 30: the number is infinite"):
        fit_scan(scan_table(path, 7), TableEncoder(), "t", learn_from=lambda y: np.arange(20, 39))
    frame = read_table(path)
    for part in (frame.take(np.arange(3, 40)), frame.slice(3, 40), frame.slice(2, 40).take(np.arange(1, 38))):
        with pytest.raises(NumericError, match="column 'a', row 30: the number is infinite"):
            TableEncoder().fit(part)
    encoding = TableEncoder().fit(frame.slice(0, 25).drop("t"))
    with pytest.raises(NumericError, match="X: column 'a', row 30: the number is infinite"):
        encoding.apply(frame.take(np.arange(39, 25, -1)))


def test_the_files_go(path, tmp_path):
    scan = scan_table(path, 100)
    fitted, target = fit_scan(scan, TableEncoder(), "answer")
    folder = tmp_path / "numbers"
    folder.mkdir()
    first, second = (EncodedTable(scan, fitted.encoding, target, folder=folder) for _ in range(2))
    assert len(list(folder.iterdir())) == 2
    first.close()
    first.close()
    assert len(list(folder.iterdir())) == 1
    del second
    gc.collect()
    assert list(folder.iterdir()) == []


def test_a_failure_leaves_no_files_and_names_the_row(put, tmp_path):
    scan = scan_table(put("a,y\n" + "1,no\n" + ",\n" * 3 + "2,yes\n" * 6), 4)
    fitted, target = fit_scan(scan, TableEncoder(), "y")
    assert target.classes == ("no", "yes")
    with pytest.raises(LabelError, match="y: row 8 has the label 'maybe'; the model knows no, yes"):
        list(encoded(scan_table(put("a,y\n1,no\n2,\n" + "2,yes\n" * 6 + "3,maybe\n"), 4), fitted.encoding, target))
    before = set(tmp_path.iterdir())
    with pytest.raises(NumericError, match="column 'a', row 9: 'x' is not a number"):
        EncodedTable(scan_table(put("a,y\n" + "2,yes\n2,\n" + "2,yes\n" * 7 + "x,no\n"), 4), fitted.encoding, target,
                     folder=tmp_path)  # fmt: skip
    assert set(tmp_path.iterdir()) == before


def test_no_target_at_all_and_no_room_are_refused(put, tmp_path, monkeypatch):
    scan = scan_table(put("a,y\n1,no\n2,yes\n"), 4)
    fitted, target = fit_scan(scan, TableEncoder(), "y")
    with pytest.raises(LabelError, match=r"t.csv: the target 'y' is missing in every row"):
        EncodedTable(scan_table(put("a,y\n1,\n2,\n"), 4), fitted.encoding, target, folder=tmp_path)
    with pytest.raises(ConfigError, match=r"t.csv has no column 'z'. Columns: a, y"):
        fit_scan(scan, TableEncoder(), "z")
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"free": 5}))
    with pytest.raises(ConfigError, match=r"its numbers need 24 bytes in .*, where 5 are free; set TMPDIR to a larger"):
        EncodedTable(scan, fitted.encoding, target, folder=tmp_path)
    assert [p for p in tmp_path.iterdir() if p.is_dir()] == []


def test_a_temporary_folder_is_the_system_s_by_default(path):
    scan = scan_table(path, 100)
    fitted, target = fit_scan(scan, TableEncoder(), "answer")
    table = EncodedTable(scan, fitted.encoding, target)
    file = Path(table.X.filename)
    assert file.parent.parent == Path(tempfile.gettempdir())
    assert file.exists()
    table.close()
    assert not file.exists()
