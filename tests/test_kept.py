"""Models between calls: threads that share one, copies of one, and data that stay as they were."""

import copy
import subprocess
import sys
import threading

import numpy as np
import pytest

from deepmath import Dense, Dropout, Sequential
from deepmath.callbacks import Callback

ROWS = np.random.default_rng(0).standard_normal((1500, 12)).astype(np.float32)
LABELS = (ROWS[:, 0] * ROWS[:, 1] > 0).astype(np.int64) + (ROWS[:, 2] > 0)


def model(width):
    made = Sequential([Dense(width, "relu", input_dim=12), Dropout(0.2), Dense(3, "softmax")], seed=1)
    made.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    return made


@pytest.mark.parametrize("width", [8, 48])
def test_threads_that_share_a_model_get_what_each_would_get_alone(width):
    shared, parts = model(width), [slice(i, 1300 + i) for i in range(4)]
    work = [lambda p=p: shared.predict(ROWS[p]) for p in parts]
    work += [lambda p=p: shared.evaluate(ROWS[p], LABELS[p]) for p in parts]
    alone = [w() for w in work]
    wrong = []

    def repeat(number):
        for _ in range(40):
            found = work[number]()
            if not np.array_equal(found, alone[number]):
                wrong.append(number)

    threads = [threading.Thread(target=repeat, args=(i,)) for i in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_while_a_thread_trains_others_predict_with_the_values_before():
    shared, seen = model(16), []
    before = shared.predict(ROWS)

    class Ask(Callback):
        def on_epoch_end(self, run, logs) -> None:
            thread = threading.Thread(target=lambda: seen.append(shared.predict(ROWS)))
            thread.start()
            thread.join()

    shared.fit(ROWS, LABELS, epochs=3, verbose=0, callbacks=[Ask()])
    assert len(seen) == 3
    assert all(np.array_equal(found, before) for found in seen)
    assert not np.array_equal(shared.predict(ROWS), before)


def test_data_that_ask_their_own_model_for_predictions_do_not_wait_for_ever():
    judge = model(8)

    class Relabelled(list):
        def __getitem__(self, i):
            X = super().__getitem__(i)
            return X, np.argmax(judge.predict(X), axis=1)

    assert judge.evaluate(Relabelled([ROWS[:700], ROWS[700:]]))["accuracy"] == 1.0


@pytest.mark.parametrize("used", ["fit", "predict", "train_on_batch"])
def test_a_copy_of_a_model_in_use_goes_on_as_the_model_does(used):
    first = model(16)
    first.fit(ROWS, LABELS, epochs=2, verbose=0)
    if used != "fit":
        first.predict(ROWS)
    if used == "train_on_batch":
        first.train_on_batch(ROWS[:32], LABELS[:32])
    second = copy.deepcopy(first)
    for _ in range(2):
        assert first.predict(ROWS).tobytes() == second.predict(ROWS).tobytes()
        histories = [m.fit(ROWS, LABELS, epochs=1, verbose=0).history for m in (first, second)]
        assert histories[0] == histories[1]
    second.set_weights([0 * w for w in second.get_weights()])
    assert np.ptp(second.predict(ROWS)) == 0 < np.ptp(first.predict(ROWS))


SENDS = """
import pickle, sys
import numpy as np
import deepmath as dm
model = dm.Sequential([dm.Dense(5, "gelu", input_dim=2), dm.BatchNormalization(), dm.Dense(3, "softmax")])
model.compile("adam", "sparse_categorical_crossentropy", ["accuracy", "auc", dm.metrics.TopKAccuracy(2)])
X, y = np.arange(20.0).reshape(10, 2), np.arange(10) % 3
model.train_on_batch(X, y)
sys.stdout.buffer.write(pickle.dumps((model, model.predict(X))))
"""
GETS = """
import pickle, sys
import numpy as np
model, predicted = pickle.load(sys.stdin.buffer)
X, y = np.arange(20.0).reshape(10, 2), np.arange(10) % 3
assert model.predict(X).tobytes() == predicted.tobytes()
model.fit(X, y, verbose=0)
assert model.predict(X).tobytes() != predicted.tobytes()
"""


def test_a_model_in_use_goes_to_another_process():
    sent = subprocess.run([sys.executable, "-c", SENDS], stdout=subprocess.PIPE, check=True).stdout
    subprocess.run([sys.executable, "-c", GETS], input=sent, check=True)


@pytest.mark.parametrize("width", [8, 48])
@pytest.mark.parametrize("batch_size", [100, 1024])
def test_validation_reads_its_rows_where_they_lie_and_training_writes_elsewhere(width, batch_size):
    X, held = ROWS.copy(), ROWS[:1200].copy()
    model(width).fit(X, LABELS, epochs=2, batch_size=batch_size, validation_data=(held, LABELS[:1200]), verbose=0)
    assert np.array_equal(X, ROWS)
    assert np.array_equal(held, ROWS[:1200])
