"""A run that sends signals to itself at a chosen moment, to be run as a process of its own."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import resuming

from deepmath import callbacks, storage

AFTER = 13
"""The step in which the first signal comes, where it comes in a step; elsewhere it comes at the end of epoch 2."""


class Sender(callbacks.Callback):
    """Sends the signals. It asks for every step, so that a call of the program makes one."""

    every = 1

    def __init__(self, number: int, where: str, times: int) -> None:
        self.number, self.where, self.times = number, where, times
        self.run: Any = None

    def send(self) -> None:
        if not self.times:
            return
        times, self.times = self.times, 0
        print(f"sent {time.time()} at {self.run.step}", flush=True)
        try:
            os.kill(os.getpid(), self.number)
        finally:  # the second one, whatever the first did
            if times == 2:
                os.kill(os.getpid(), self.number)

    def on_train_begin(self, run: callbacks.Run) -> None:
        self.run = run
        program: Any = run.program
        run_steps, measure, sync = program.run, program.measure, os.fsync

        def sending_run(k: int) -> Any:
            if self.where == "step" and program.step == AFTER:
                self.send()
            return run_steps(k)

        def sending_measure(data: Any) -> Any:
            if self.where == "validation" and program.step == 2 * resuming.STEPS_PER_EPOCH:
                self.send()
            return measure(data)

        def sending_sync(handle: int) -> None:
            if self.where == "save" and program.step == 2 * resuming.STEPS_PER_EPOCH:
                self.send()
            sync(handle)

        program.run, program.measure, storage.os.fsync = sending_run, sending_measure, sending_sync

    def on_epoch_begin(self, run: callbacks.Run) -> None:
        if self.where == "epochs" and run.epoch == 2:
            self.send()


if __name__ == "__main__":
    name, where, times, backend, folder = sys.argv[1:]
    number = signal.Signals[name]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a process begun in the background may ignore it
    resuming.train(backend, callbacks.Checkpoint(folder), Sender(number, where, int(times)))
