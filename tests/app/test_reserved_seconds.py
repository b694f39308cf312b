"""Durations recorded from calls: cold and warm ones are kept apart, and after an aborted call more time is reserved."""

from __future__ import annotations

import os
from types import SimpleNamespace

import gradio as gr
import pytest
import torch

from aot.served_model import Model
from flashworld.errors import TransferError
from flashworld.inputs import VideoSettings, build_request
from flashworld.serving.durations import DurationModel
from flashworld.serving.messages import Finished, WorkerStarted
from flashworld.serving.options import ModelOptions
from flashworld.serving.transfer import PackedResult
from flashworld.serving.workers import WorkerWatch

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="importing the app would load the full model")
SIZE = (2, 64, 64)


@pytest.fixture
def app_module(monkeypatch):
    """The app as on ZeroGPU with respect to durations: none recorded, no worker known."""
    import app

    monkeypatch.setattr(app, "ZERO_GPU", True)
    monkeypatch.setattr(app, "DURATIONS", DurationModel("test"))
    monkeypatch.setattr(app, "WORKERS", WorkerWatch())
    return app


@pytest.fixture
def request_of_two_views():
    frames, height, width = SIZE
    video = VideoSettings(fps=2, seconds=1.0)
    return build_request(text="grass", frames=frames, height=height, width=width, seed=1, video=video)


def follow(app, request, folder):
    return list(app.Service(app.MODEL).generate(request, session_dir=folder))


def seconds(app, request, *, cold: bool) -> int:
    return app.DURATIONS.estimate_seconds(app.work_of(*SIZE, request.video, cold=cold))


def test_first_call_counts_as_cold_and_the_next_one_as_warm(app_module, monkeypatch, request_of_two_views, tmp_path):
    assert app_module.work_of(*SIZE, request_of_two_views.video).cold
    monkeypatch.setattr(app_module, "startup_seconds", lambda: 40.0)  # the start of the worker, by the platform's clock
    warm = seconds(app_module, request_of_two_views, cold=False)
    cold = seconds(app_module, request_of_two_views, cold=True)
    follow(app_module, request_of_two_views, tmp_path / "first")
    assert not app_module.work_of(*SIZE, request_of_two_views.video).cold, "its process is still alive"
    assert seconds(app_module, request_of_two_views, cold=True) > max(cold, 40)
    assert seconds(app_module, request_of_two_views, cold=False) <= 2 * warm, "learned from another kind of call"


def test_after_an_aborted_call_more_time_is_reserved(app_module, monkeypatch, request_of_two_views, tmp_path):
    def cut_short(*_):
        yield WorkerStarted(os.getpid(), 0.0)
        raise gr.Error("GPU task aborted", title="ZeroGPU worker error")

    before = seconds(app_module, request_of_two_views, cold=True)
    monkeypatch.setattr(app_module, "generate_messages", cut_short)
    with pytest.raises(gr.Error):
        follow(app_module, request_of_two_views, tmp_path)
    assert seconds(app_module, request_of_two_views, cold=True) > before
    assert app_module.work_of(*SIZE, request_of_two_views.video).cold, "a worker that failed is not used again"


def test_unreadable_result_fails_one_call_and_the_next_uses_the_pipe(
    app_module, monkeypatch, request_of_two_views, tmp_path
):
    asked = []

    def on_gpu(_request, shared_memory):
        asked.append(shared_memory)
        yield WorkerStarted(os.getpid(), 0.0)
        yield Finished(PackedResult(None, None, "", {}, lost="the other process has closed its shared memory"), 1.0)

    monkeypatch.setattr(app_module, "generate_messages", on_gpu)
    monkeypatch.setattr(PackedResult, "shared_memory", True)
    for _ in range(2):
        with pytest.raises(TransferError, match="closed its shared memory"):
            follow(app_module, request_of_two_views, tmp_path)
    assert asked == [True, False]


def test_compiled_networks_are_fused_and_in_the_precision_of_the_gpu(monkeypatch):
    asked = []
    monkeypatch.setattr("aot.variants.probe_precision", lambda _on_gpu: "tensor")

    class Networks:
        def __init__(self, name):
            self.name = name

    def apply(variant, networks):
        asked.append(variant)
        return Networks(f"rearranged {networks.name}")

    monkeypatch.setattr("aot.variants.Variant.apply", apply)
    monkeypatch.setattr("aot.startup.prepare", lambda networks, *_a, **_k: (SimpleNamespace(active=True, it=networks),))
    monkeypatch.delenv("FLASHWORLD_AOT", raising=False)
    model = object.__new__(Model)
    model._options, model._text_int8, model.room, model.source = ModelOptions(), True, "", "full"
    model._gpu = lambda **_: lambda function: function
    model._pipeline, model._error = SimpleNamespace(networks=Networks("full")), None
    model._compile()
    assert model._pipeline.networks.name == "rearranged full"
    assert (asked[0].fused, asked[0].sub_pixel, asked[0].fp8, asked[0].text_int8) == (True, True, "tensor", True)
    assert model.compiled and model.note == "compiled graphs active"


def test_nano_is_not_compiled_on_a_gpu():
    """It runs in float32 there, as on a CPU."""
    model = object.__new__(Model)
    model._options, model.source = ModelOptions("nano"), "nano"
    model._compile()
    assert model.note == "the small built-in model, without compiled graphs"
