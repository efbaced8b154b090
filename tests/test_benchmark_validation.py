"""A candidate that computes something else is seen, whatever it gets wrong; a right one passes."""

import dataclasses
import json

import numpy as np
import pytest
from benchmarking import BINARY, PLANTED, QUICK, REFERENCE, SMALL, judged, silent, written

from deepmath.benchmark import candidates, rows, session, validation
from deepmath.benchmark.networks import network
from deepmath.benchmark.session import Where


@pytest.mark.parametrize("backend", ["numpy", "reference"])
@pytest.mark.parametrize("trained", [SMALL, BINARY, network((50, 20, 10), 1)], ids=lambda n: n.name)
def test_deepmath_is_valid(backend, trained, tmp_path):
    found = judged(candidates.own([backend], "cpu")[0], trained, tmp_path)
    assert found.valid, found.reason
    assert found.loss < 1e-6
    assert found.weights < 1e-3
    assert found.prediction < 1e-5


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_found(name, tmp_path):
    found = judged(written(tmp_path, PLANTED[name]), SMALL, tmp_path)
    assert not found.valid
    if name == "no shuffle":
        assert found.reason == "told to shuffle, it trained in the order of the rows"
    if name == "loss of no training":
        assert found.reason.startswith("shuffled, its losses are 0.1 and 0.1; expected are 0.")
    if name == "no biases":
        assert found.reason == "it gave 2 weight arrays, not 4"
    if name == "scores for probabilities":
        assert found.reason.startswith("its predictions are off by ")


def test_what_is_invalid_is_not_timed(tmp_path):
    wrong = written(tmp_path, PLANTED["another rate"])
    table = [REFERENCE, wrong]
    measured = session.whole(BINARY, table, tmp_path, QUICK, Where(), silent)
    right, other = rows.rows(measured, Where())
    assert right["failure"] is None
    assert right["steps_per_s"] > 0
    assert other["failure"].startswith("is not valid: its ")
    timed = ("steps_per_s", "samples_per_s", "gflops", "inference_samples_per_s", "row_median_us", "first_step_s")
    assert {other[name] for name in timed} == {None}
    assert other["seconds_per_epoch"] == []
    assert other["weights_error"] > 1e-3
    assert rows.ratios(measured) == []


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_an_error_that_is_no_number_can_be_written(wrong):
    verdict = validation.Verdict(0.0, wrong, wrong, "it is wrong")
    (row,) = rows.rows([session.Measured(REFERENCE, BINARY, verdict, failure="is not valid")], Where())
    assert json.loads(json.dumps(row, allow_nan=False))["weights_error"] is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("def train(self, n, s): raise RuntimeError('no\\nrows')", "RuntimeError: no rows (in 'open')"),
        ("def train(self, n, s): os.write(2, b'bye'); os._exit(3)", "its process ended in 'open': bye"),
        ("def weights(self): return [None.T]", "AttributeError: 'NoneType' object has no attribute 'T' (in 'check')"),
    ],
    ids=["raises", "ends", "raises later"],
)  # fmt: skip
def test_a_failure_is_one_line_and_ends_nobody_else(body, said, tmp_path):
    (measured,) = session.whole(BINARY, [written(tmp_path, body)], tmp_path, QUICK, Where(), silent)
    assert measured.failure == said


def test_a_candidate_that_does_not_answer_is_given_up(tmp_path):
    seat = session.Seat(written(tmp_path, "def train(self, n, s): time.sleep(600)"), tmp_path)
    task = session.Handout(BINARY, Where(), tmp_path)
    seat.sit(task)
    seat.attempt(lambda: seat.ask("open", patience=0.3, **task.arguments(seat.candidate)))
    assert seat.measured.failure == "gave no answer to 'open' in 0.3 s"
    assert seat.worker is None


def test_what_a_candidate_prints_is_no_answer(tmp_path):
    noisy = written(tmp_path, "def train(self, n, s): print('{}'); return super().train(n, s)")
    measured = session.sweep([BINARY], [noisy], tmp_path, QUICK, Where(), silent)
    assert [m.failure for m in measured] == [None]


def test_the_mistakes_would_pass_if_nothing_were_planted(tmp_path):
    assert judged(written(tmp_path, "pass"), SMALL, tmp_path).valid


def test_data_are_the_same_in_every_process_and_hold_every_class():
    for trained in (SMALL, BINARY, dataclasses.replace(SMALL, batch=1)):
        (X, y), (again, labels) = trained.data(), trained.data()
        assert np.array_equal(X, again)
        assert np.array_equal(y, labels)
        assert X.shape == (trained.rows, trained.widths[0])
        assert X.dtype == np.float32
        assert len(np.unique(SMALL.data()[1])) == SMALL.widths[-1]
