"""The device's own code on a CuPy that is none: streams, recording, memory, errors; the same bits as the shim."""

import fake_cupy
import numpy as np
import pytest
from cuda_cases import EVERYTHING, RELU
from cuda_programs import on_shim
from deepmath_cupy import CupyBackend, environment, staging
from deepmath_cupy.environment import Facts
from networks import compiled

import deepmath
from deepmath import Dense, Sequential
from deepmath.errors import DeviceError, OutOfDeviceMemory


@pytest.fixture
def device(shim, monkeypatch):
    """The device, on that CuPy."""
    yield fake_cupy.install(monkeypatch)(0, 13)
    fake_cupy.alive.clear()


def bits_of(backend, precision="float32", case=EVERYTHING):
    program = compiled(case, backend, precision)
    results = [program.run(5), program.run(2), program.measure(program.data)]
    return [r.tobytes() for r in results] + [v.tobytes() for v in program.state().values()]


@pytest.mark.parametrize("precision", ["float32", "float64", "bf16", "float16"])
@pytest.mark.parametrize("case", [EVERYTHING, RELU], ids=["everything", "relu"])
def test_it_trains_with_the_bits_of_the_shim(device, case, precision):
    assert bits_of(CupyBackend("cuda:0", device), precision, case) == bits_of(on_shim(), precision, case)


def pieces(monkeypatch):
    monkeypatch.setattr(staging, "SHARE", 0.0)
    monkeypatch.setattr(staging, "STAGE_BYTES", 80 * 6 * 4)
    monkeypatch.setattr("deepmath_cupy.program.STRETCH", 5)


@pytest.mark.parametrize("kept", [False, True])
def test_work_that_is_done_as_late_as_may_be_has_the_same_bits(device, monkeypatch, kept):
    expected = bits_of(on_shim())
    monkeypatch.setattr(fake_cupy, "lazy", True)
    monkeypatch.setattr("deepmath_cupy.program.STRETCH", 2)
    if kept:
        pieces(monkeypatch)
    assert bits_of(CupyBackend("cuda:0", device)) == expected


@pytest.mark.parametrize("forgotten", ["wait", "follow"])
def test_what_is_not_waited_for_gives_other_numbers(device, monkeypatch, forgotten):
    """The host would overwrite what is being copied, or the device read what has not come."""
    expected = bits_of(on_shim())
    monkeypatch.setattr(fake_cupy, "lazy", True)
    pieces(monkeypatch)
    monkeypatch.setattr(device, forgotten, lambda mark: None)
    assert bits_of(CupyBackend("cuda:0", device)) != expected


def test_the_host_does_not_wait_within_a_call(device, monkeypatch):
    """From the first launch to the results: nothing is done before the results are asked for."""
    monkeypatch.setattr(fake_cupy, "lazy", True)
    monkeypatch.setattr("deepmath_cupy.program.STRETCH", 2)
    program = compiled(EVERYTHING, CupyBackend("cuda:0", device), "float32")
    program.run(4)
    stream, seen = fake_cupy.get_current_stream(), []
    read = device.read
    monkeypatch.setattr(device, "read", lambda array: seen.append(len(stream.queue) - stream.done) or read(array))
    start = stream.done
    assert stream.done == len(stream.queue)
    program.run(6)
    assert seen == [len(stream.queue) - start]
    assert seen[0] > 6 * 10


def test_steps_are_recorded_and_algorithms_are_asked_for_before(device):
    program = compiled(EVERYTHING, CupyBackend("cuda:0", device), "float32")
    program.run(2)
    fake_cupy.Descriptors.asked = 0
    program.run(20)
    assert fake_cupy.Descriptors.asked == 0


def test_a_model_goes_the_whole_way(device, monkeypatch):
    monkeypatch.setattr(environment, "facts", lambda: Facts(("cupy-cuda13x",), 13000, ("Fake",), None, 13))
    environment.opened.cache_clear()
    model = Sequential([Dense(8, activation="relu", input_dim=6), Dense(3, activation="softmax")], seed=1)
    model.compile("adam", "sparse_categorical_crossentropy")
    losses = model.fit(EVERYTHING.X, EVERYTHING.y, epochs=4, verbose=0, device="cuda").history["loss"]
    assert losses[-1] < losses[0]
    assert model.predict(EVERYTHING.X, backend="cupy").shape == (61, 3)
    assert deepmath.backends()["cupy"] == "usable"
    environment.opened.cache_clear()


@pytest.mark.parametrize("forbidden", ["read", "write", "zeros", "wait"])
def test_what_cannot_be_recorded_is_told_and_recording_ends(device, forbidden):
    x, event = device.zeros(4, "float32"), fake_cupy.Event(fake_cupy.Stream(), 0)
    work = {
        "read": lambda: device.read(x), "write": lambda: device.write(x, np.ones(4)),
        "zeros": lambda: device.zeros(2, "float32"), "wait": lambda: device.wait(event),
    }[forbidden]  # fmt: skip

    def only_while_recording():
        if fake_cupy.recording() is not None:
            work()

    with pytest.raises(DeviceError, match=r"cuda:0 failed \(cudaErrorStreamCaptureUnsupported: .*\); start a new"):
        device.record(only_while_recording)
    assert fake_cupy.recording() is None
    device.read(x)


def failing(error):
    def work(xp):
        raise error

    return work


def test_a_fault_of_the_device_is_one_line(device):
    fault = fake_cupy.CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered\nmore")
    with pytest.raises(DeviceError) as raised:
        device.work(failing(fault), [])
    assert raised.value.exit_code == 69
    assert str(raised.value) == (
        "backend 'cupy': cuda:0 failed (cudaErrorIllegalAddress: an illegal memory access was encountered); "
        "start a new process, see nvidia-smi, or use backend='numpy'"
    )


@pytest.mark.parametrize(
    "error",
    [
        fake_cupy.OutOfMemoryError("Out of memory allocating 1 bytes"),
        fake_cupy.CUDARuntimeError("cudaErrorMemoryAllocation: out of memory"),
        fake_cupy.CUDADriverError("CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_too_little_memory_is_told_in_numbers(device, error):
    with pytest.raises(OutOfDeviceMemory) as raised:
        device.work(failing(error), [])
    assert raised.value.exit_code == 71
    assert str(raised.value) == (
        "backend 'cupy': more memory is needed; cuda:0 has 1.0 GiB free of 1.0 GiB. "
        "Use a smaller batch_size, or data in files."
    )
    with pytest.raises(OutOfDeviceMemory, match=r"2\.0 GiB is needed; cuda:0 has 1\.0 GiB free of 1\.0 GiB"):
        device.zeros(1 << 29, "float32")


def test_an_array_of_another_device_is_refused(device, monkeypatch):
    x = device.zeros(3, "float32")
    monkeypatch.setattr(fake_cupy.Array, "device", fake_cupy.Device(2))
    with pytest.raises(DeviceError, match=r"an array lies on cuda:2, and this runs on cuda:0; use device='cuda:2'"):
        device.put(x, "float32")


def test_programs_have_scratch_memory_of_their_own(device):
    backend = CupyBackend("cuda:0", device)
    one, other = (compiled(EVERYTHING, backend, "float32") for _ in range(2))
    assert one._session._scratch != other._session._scratch


def test_a_cublaslt_that_does_not_start_is_told(device, monkeypatch):
    from deepmath_cupy import cublaslt

    class Broken:
        def cublasLtCreate(self, handle):
            return 1

    monkeypatch.setattr(cublaslt, "loaded", lambda major=None: Broken())
    with pytest.raises(DeviceError, match=r"cublasLt can't be started on cuda:0 \(status 1\)"):
        type(device)(0, 13)
