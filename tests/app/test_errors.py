"""Errors in GPU functions, as visitors see them. The app is imported, so that its model can be made to fail."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import signal
import weakref
from collections.abc import Callable
from types import SimpleNamespace

import gradio as gr
import pytest
import torch

from flashworld.errors import CheckpointError, InputError, NumericalError, WriteError
from flashworld.serving import generation, sentences, shutdown

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="importing the app would load the full model")
SECRET = "/home/owner/weights.ckpt"


@pytest.fixture(scope="module")
def app_module():
    import app

    return app


class Failing:
    """A pipeline that fills memory and then fails."""

    broken = False

    def __init__(self, fail: Callable[[], Exception]) -> None:
        self.fail = fail
        self.memory: weakref.ref | None = None

    def stages(self, _request: object):
        big = torch.zeros(1000)
        self.memory = weakref.ref(big)
        yield from ()
        raise self.fail()


def run(app_module, monkeypatch, fail: Callable[[], Exception]) -> tuple[gr.Error, Failing]:
    pipeline = Failing(fail)
    monkeypatch.setattr(app_module, "MODEL", SimpleNamespace(pipeline=pipeline, on_gpu=False))
    with pytest.raises(gr.Error) as caught:
        list(app_module.generate_on_gpu(None))
    return caught.value, pipeline


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (torch.OutOfMemoryError(f"CUDA out of memory. {SECRET}"), "OUT_OF_MEMORY"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "OUT_OF_MEMORY"),
        (RuntimeError("CUDA error: out of memory"), "OUT_OF_MEMORY"),
        (MemoryError(), "OUT_OF_MEMORY"),
        (NumericalError("denoiser, step 1 of 4: numbers must be finite"), "NOT_FINITE"),
        (CheckpointError(f"{SECRET} is damaged"), "NOT_LOADED"),
        (WriteError(f"{SECRET} cannot be written"), "BROKEN"),
        (RuntimeError(f"CUDA error: an illegal memory access in {SECRET}"), "BROKEN"),
    ],
)
def test_each_failure_is_one_sentence_and_the_log_has_the_details(app_module, monkeypatch, caplog, error, name):
    with caplog.at_level(logging.ERROR):
        told, _ = run(app_module, monkeypatch, lambda: error)
    said = str(told.message)
    assert said == getattr(sentences, name)
    assert SECRET not in said
    assert str(error) in caplog.text


def test_refusal_reaches_the_visitor_unchanged(app_module, monkeypatch):
    told, _ = run(app_module, monkeypatch, lambda: InputError("camera 3: <b>wrong</b>"))
    assert told.message == "camera 3: &lt;b&gt;wrong&lt;/b&gt;"


def test_failed_call_has_released_its_memory_when_the_error_is_shown(app_module, monkeypatch):
    """What the traceback references cannot be freed; on a dedicated GPU the next call would fail as well."""
    monkeypatch.setattr(generation.logger, "disabled", True)  # pytest keeps what is logged
    gc.disable()
    try:
        told, pipeline = run(app_module, monkeypatch, lambda: torch.OutOfMemoryError("CUDA out of memory"))
        assert told.__context__ is None
        assert pipeline.memory is not None
        assert pipeline.memory() is None
    finally:
        gc.enable()


def test_terminated_worker_leaves_the_apps_folder_alone(app_module):
    """ZeroGPU forks its workers, which inherit the app's signal handlers."""
    worker = multiprocessing.get_context("fork").Process(target=shutdown._on_signal, args=(signal.SIGTERM,))
    worker.start()
    worker.join(60)
    assert worker.exitcode == 128 + signal.SIGTERM
    assert app_module.private_folder().is_dir()
