"""onnxruntime with the ONNX file that deepmath wrote: inference alone, one thread or all."""

from __future__ import annotations

import os

import onnxruntime


class Candidate:
    def __init__(self, task):
        self.file, self.sessions = task.options["export"], {}
        self.use(self.settings("infer")[0])

    def settings(self, kind):
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return sorted({1, cores})

    def use(self, setting):
        if setting not in self.sessions:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = setting
            self.sessions[setting] = onnxruntime.InferenceSession(self.file, options, ["CPUExecutionProvider"])
        self.session = self.sessions[setting]
        self.name = self.session.get_inputs()[0].name

    def load(self, weights):
        pass  # the file holds them

    def predict(self, X):
        return self.session.run(None, {self.name: X})[0]

    def about(self):
        return {"providers": self.session.get_providers()}
