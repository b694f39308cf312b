"""A network is compiled in one worker and used in others, by the functions a Space calls."""

from __future__ import annotations

import pytest

from aot.artifacts import ArtifactStore
from tests.zerogpu.harness import ZeroGpuApp

pytestmark = pytest.mark.slow
APP = "tests.zerogpu.compiled_app:demo"
GRAPH = "fp32 cpu_"


@pytest.fixture(scope="module")
def compiled_app(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graphs")
    with ZeroGpuApp(APP, env={"FLASHWORLD_AOT_DIR": str(folder)}) as app:
        app.store = ArtifactStore(folder)
        yield app


def test_startup_compiles_in_one_gpu_call_and_keeps_the_graph(compiled_app):
    asked = [call for call in compiled_app.calls_at_start if call["path"] == "/schedule"]
    assert [call["durationSeconds"] for call in asked] == ["1500"]
    (artifact,) = compiled_app.store.entries()
    assert artifact.key["block"] == "vae_encoder"


def test_graph_made_in_one_worker_runs_in_another(compiled_app, stages):
    (stage,) = stages(compiled_app.visit("/generate", 3))
    (label,) = stage["counts"]
    assert label.startswith(GRAPH)
    assert stage["error"] < 1e-5
    assert 0 < stage["velocity"] < 100  # the transformer, fused before its weights were packed, runs too
    assert str(stage["pid"]) not in {str(call.get("pid")) for call in compiled_app.calls_at_start}


def test_library_is_loaded_once_per_worker_not_once_per_request(compiled_app, stages):
    visits = [stages(compiled_app.visit("/generate", 3))[0] for _ in range(3)]
    assert len({visit["pid"] for visit in visits}) == 1
    assert [visit["libraries"] for visit in visits] == [1, 1, 1]


def test_other_sizes_run_eagerly_and_single_frames_do_not(compiled_app, stages):
    before = stages(compiled_app.visit("/generate", 3))[0]["counts"]
    (single,) = stages(compiled_app.visit("/generate", 1))
    (many,) = stages(compiled_app.visit("/generate", 9))
    assert single["error"] < 1e-5
    assert "eager" not in single["counts"]
    assert sum(single["counts"].values()) == sum(before.values()) + 1
    assert many["counts"]["eager"] == 1


def test_weights_are_packed_once(compiled_app):
    """The graph adds no copy: the pack is the weights, padded to pages of 4 KiB."""
    weights = int(compiled_app.visit("/weights").outputs[-1])
    assert weights <= compiled_app.packed_bytes() < 2 * weights
