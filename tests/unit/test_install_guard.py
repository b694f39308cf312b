"""A tiny network is compiled once; every way in which a call can be wrong is tried on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
import torch
from filelock import FileLock
from torch import nn

from aot import graph, install
from aot.artifacts import CONSTANTS_NAME, METADATA_NAME, Artifact, ArtifactStore
from aot.blocks import BlockPlan
from aot.compile import CompileOptions, compile_plan, key_for, split_constants
from aot.shapes import Axis, CallSpec, SizeRange, call_spec
from flashworld.errors import CompiledBlockError

SIZES = SizeRange((2, 8), (64, 256), (64, 256))


class Tiny(nn.Module):
    """What has failed in real networks, in three lines: a table, a flag, an unregistered constant."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 4)
        self.register_buffer("table", torch.linspace(0, 1, 4), persistent=False)

    def forward(self, x: torch.Tensor, time: torch.Tensor, return_dict: bool = True, extra: object = None):
        y = self.layer(x) * self.table + time[:, None] * torch.tensor(0.25)
        return {"y": y} if return_dict else (y,)


def tiny(seed: int = 0) -> Tiny:
    torch.manual_seed(seed)
    return Tiny().eval().requires_grad_(False)


def plan_of(module: Tiny, sizes: SizeRange = SIZES) -> BlockPlan:
    return BlockPlan(
        name="tiny",
        module=module,
        example=lambda: module(torch.randn(4, 6), torch.ones(4), return_dict=False),
        axes={"x": (Axis("frames", 2, 8), None), "time": (Axis("frames", 2, 8),)},
        budget={"frames": 64 * 64},
        sizes=sizes,
        batch_argument="x",
    )


@pytest.fixture(scope="session")
def artifact(tmp_path_factory, worker_id) -> Artifact:
    """Compiled once, whatever the number of pytest-xdist workers."""
    shared = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    store = ArtifactStore(shared / "compiled-tiny")
    plan = plan_of(tiny())
    with FileLock(shared / "compiled-tiny.lock"):
        try:
            return store.load(key_for(plan))
        except CompiledBlockError:
            return compile_plan(plan).save(store)


@pytest.fixture
def call():
    return {"x": torch.randn(5, 6), "time": torch.full((5,), 3.0), "return_dict": False}


needs_compiler = pytest.mark.slow


@needs_compiler
def test_compiled_call_equals_eager_for_other_weights_and_sizes(artifact):
    module = tiny(seed=7)
    for frames in (2, 5, 8, 1):  # a single frame is duplicated and the result cut
        x, time = torch.randn(frames, 6), torch.rand(frames)
        install.remove(module)
        (expected,) = module(x, time, return_dict=False)
        assert install.apply("tiny", module, [artifact], strict=True).active
        (found,) = module(x, time, return_dict=False)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@needs_compiler
def test_positional_and_keyword_calls_are_the_same_call(artifact, call):
    module = tiny()
    install.apply("tiny", module, [artifact], strict=True)
    (one,) = module(**call)
    (two,) = module(call["x"], call["time"], False)
    (three,) = module(call["x"], time=call["time"], return_dict=False, extra=None)
    assert torch.equal(one, two)
    assert torch.equal(one, three)


def other_dtype(call):
    call["time"] = call["time"].double()


def integer_time(call):
    call["time"] = call["time"].long()


def other_flag(call):
    call["return_dict"] = True


def flag_of_another_type(call):
    call["return_dict"] = 0


def flag_left_out(call):
    del call["return_dict"]  # its default is True, the graph was captured with False


def unknown_extra(call):
    call["extra"] = {"scale": 1.0}


def too_many_frames(call):
    call["x"], call["time"] = torch.randn(9, 6), torch.ones(9)


def frames_disagree(call):
    call["time"] = torch.ones(4)


def other_rank(call):
    call["x"] = call["x"][None]


def other_width(call):
    call["x"] = torch.randn(5, 7)


BAD_CALLS = [
    other_dtype, integer_time, other_flag, flag_of_another_type, flag_left_out,
    unknown_extra, too_many_frames, frames_disagree, other_rank, other_width,
]  # fmt: skip


@needs_compiler
@pytest.mark.parametrize("change", BAD_CALLS)
def test_call_outside_the_graphs_specification_is_refused(artifact, call, change):
    module = tiny()
    install.apply("tiny", module, [artifact], strict=True)
    change(call)
    with pytest.raises(CompiledBlockError):
        module(**call)


@needs_compiler
@pytest.mark.parametrize("change", [other_flag, flag_left_out, unknown_extra, too_many_frames])
def test_refused_call_runs_eagerly_and_is_correct(artifact, call, change, caplog):
    module, plain = tiny(), tiny()
    install.apply("tiny", module, [artifact])
    change(call)
    for _ in range(2):
        found, expected = module(**call), plain(**call)
        assert type(found) is type(expected)
        found, expected = (r["y"] if isinstance(r, dict) else r[0] for r in (found, expected))
        assert torch.equal(found, expected)
    assert install.counts(module) == {"eager": 2}
    assert len([r for r in caplog.records if "runs eagerly" in r.message]) == 1  # logged once, not at every call


@needs_compiler
def test_non_contiguous_input_gives_the_right_numbers(artifact):
    module = tiny()
    x = torch.randn(6, 5).T
    (expected,) = module(x, torch.ones(5), return_dict=False)
    install.apply("tiny", module, [artifact], strict=True)
    (found,) = module(x, torch.ones(5), return_dict=False)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@needs_compiler
def test_autocast_and_gradients_run_eagerly(artifact, call):
    module = tiny().requires_grad_(True)
    install.apply("tiny", module, [artifact])
    assert module(**call)[0].requires_grad
    with torch.no_grad(), torch.autocast("cpu"):
        module(**call)
    assert install.counts(module) == {"eager": 2}
    with torch.inference_mode():
        module(**call)
    assert sum(install.counts(module).values()) == 3
    assert install.counts(module)["eager"] == 2


@needs_compiler
def test_weights_are_shared_and_rebound_when_they_move(artifact, call):
    module, plain = tiny(), tiny()
    install.apply("tiny", module, [artifact], strict=True)
    module(**call)
    module.layer.weight.data.mul_(2)  # in place: the graph reads the same memory
    plain.layer.weight.data.mul_(2)
    torch.testing.assert_close(module(**call), plain(**call), rtol=1e-5, atol=1e-6)
    module.layer.weight.data = module.layer.weight.data * 2  # in new memory: rebound
    plain.layer.weight.data.mul_(2)
    torch.testing.assert_close(module(**call), plain(**call), rtol=1e-5, atol=1e-6)


@needs_compiler
def test_weights_cast_later_are_not_read_with_their_old_dtype(artifact, call):
    module = tiny()
    install.apply("tiny", module, [artifact], strict=True)
    module(**call)
    module.layer.weight.data = module.layer.weight.data.double()
    with pytest.raises(CompiledBlockError, match="float64"):
        module(**call)


@needs_compiler
def test_two_modules_share_one_library_without_mixing_weights(artifact, call):
    one, two = tiny(1), tiny(2)
    expected = [m(**call) for m in (one, two, one)]
    for module in (one, two):
        install.apply("tiny", module, [artifact], strict=True)
    for module, wanted in zip((one, two, one), expected, strict=True):
        torch.testing.assert_close(module(**call), wanted, rtol=1e-5, atol=1e-6)
    assert graph.loaded_package(artifact) is graph.loaded_package(artifact)


@needs_compiler
def test_concurrent_calls_do_not_interfere(artifact):
    module, plain = tiny(), tiny()
    install.apply("tiny", module, [artifact], strict=True)
    inputs = [(torch.randn(2 + i % 7, 6), torch.rand(2 + i % 7)) for i in range(24)]
    results: dict[int, torch.Tensor] = {}

    def work(start: int) -> None:
        for i in range(start, len(inputs), 3):
            results[i] = module(*inputs[i], return_dict=False)[0]

    threads = [threading.Thread(target=work, args=(s,)) for s in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, (x, time) in enumerate(inputs):
        torch.testing.assert_close(results[i], plain(x, time, return_dict=False)[0], rtol=1e-5, atol=1e-6)


@needs_compiler
def test_first_fitting_graph_is_used(artifact, call):
    data = {**artifact.metadata, "key": {**artifact.key, "shapes": "narrow"}}
    data["inputs"] = json.loads(json.dumps(data["inputs"]))
    for tensor in data["inputs"]["tensors"].values():
        tensor["shape"][0]["maximum"] = 4
    narrow = Artifact(artifact.path, data)
    module = tiny()
    install.apply("tiny", module, [narrow, artifact], strict=True)
    module(torch.randn(3, 6), torch.ones(3), return_dict=False)
    module(**call)
    labels = [graph.label for graph in module.forward.graphs]
    assert install.counts(module) == {labels[0]: 1, labels[1]: 1}


@needs_compiler
def test_pixel_budget_is_enforced(artifact, call):
    data = json.loads(json.dumps(artifact.metadata))
    data["inputs"]["budget_limit"] = 4 * 64 * 64
    module = tiny()
    install.apply("tiny", module, [Artifact(artifact.path, data)], strict=True)
    module(torch.randn(4, 6), torch.ones(4), return_dict=False)
    with pytest.raises(CompiledBlockError, match="at most"):
        module(**call)


def wrong_shape(data):
    data["constants"]["layer.weight"][0] = [4, 7]


def wrong_dtype(data):
    data["constants"]["layer.weight"][1] = "bfloat16"


def wrong_strides(data):
    data["constants"]["layer.weight"][2] = [1, 4]


def unknown_name(data):
    data["constants"]["blocks.0.weight"] = [[1], "float32", [1]]


def other_gpu(data):
    data["key"]["arch"] = "sm_90"


def other_torch(data):
    data["key"]["torch"] = "2.10.0+cu130"


@needs_compiler
@pytest.mark.parametrize("change", [wrong_shape, wrong_dtype, wrong_strides, unknown_name, other_gpu, other_torch])
def test_graph_for_another_network_or_machine_is_left_out(artifact, call, change):
    data = json.loads(json.dumps(artifact.metadata))
    change(data)
    module, foreign = tiny(), Artifact(artifact.path, data)
    with pytest.raises(CompiledBlockError):
        install.apply("tiny", module, [foreign], strict=True)
    report = install.apply("tiny", module, [foreign])
    assert not report.active
    assert report.reason
    assert "eager" in str(report)
    assert "forward" not in vars(module)
    assert torch.equal(module(**call)[0], tiny()(**call)[0])


@needs_compiler
def test_library_that_asks_for_an_unknown_tensor_is_not_run(artifact, call):
    data = json.loads(json.dumps(artifact.metadata))
    del data["constants"]["table"]
    module = tiny()
    install.apply("tiny", module, [Artifact(artifact.path, data)])
    assert torch.equal(module(**call)[0], tiny()(**call)[0])
    assert install.counts(module) == {"eager": 1}


@needs_compiler
def test_unloadable_library_runs_eagerly(artifact, call, tmp_path):
    files = {p.name: p.read_bytes() for p in artifact.path.iterdir() if p.name != METADATA_NAME}
    files["package.pt2"] = b"not a library"
    key = replace(key_for(plan_of(tiny())), block="broken")
    extra = {k: v for k, v in artifact.metadata.items() if k not in ("files", "key", "format")}
    broken = ArtifactStore(tmp_path).save(key, files, extra)
    module = tiny()
    install.apply("tiny", module, [broken])
    for _ in range(2):
        assert torch.equal(module(**call)[0], tiny()(**call)[0])
    assert install.counts(module) == {"eager": 2}


@needs_compiler
def test_saved_graph_works_in_a_fresh_process(artifact, tmp_path):
    """Non-persistent buffers and unregistered constants are saved too; a process that has never compiled can run it."""
    assert artifact.metadata["extras"]
    assert (artifact.path / CONSTANTS_NAME).is_file()
    assert "table" in artifact.metadata["constants"]
    code = (
        "import sys, torch\n"
        "from pathlib import Path\n"
        "from tests.unit.test_install_guard import tiny\n"
        "from aot import install\n"
        "from aot.artifacts import read_artifact\n"
        "module, plain = tiny(3), tiny(3)\n"
        "install.apply('tiny', module, [read_artifact(Path(sys.argv[1]))], strict=True)\n"
        "x, time = torch.randn(3, 6), torch.rand(3)\n"
        "torch.testing.assert_close(module(x, time, return_dict=False), plain(x, time, return_dict=False))\n"
    )
    command = [sys.executable, "-c", code, str(artifact.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": "."})
    assert done.returncode == 0, done.stderr


@needs_compiler
def test_graph_that_fails_at_run_time_falls_back_to_the_network(artifact, call, monkeypatch):
    """As a library does when memory runs out: it reports only which of its functions failed."""
    module, plain = tiny(), tiny()
    install.apply("tiny", module, [artifact])

    def model(**_arguments):
        raise RuntimeError("run_func_( container_handle_, ...) API call failed at model_container_runner.cpp, line 145")

    monkeypatch.setattr(graph.loaded_package(artifact), "model", model, raising=True)
    monkeypatch.setattr(graph.LoadedPackage, "reads", lambda *_: True)
    torch.testing.assert_close(module(**call), plain(**call))
    assert install.counts(module) == {"eager": 1}

    def out_of_memory(*_arguments, **_options):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(module.forward, "eager", out_of_memory)
    with pytest.raises(torch.OutOfMemoryError):
        module(**call)


@needs_compiler
def test_remove_restores_the_modules_forward(artifact, call):
    module = tiny()
    install.apply("tiny", module, [artifact])
    install.apply("tiny", module, [artifact])  # applying twice does not stack
    assert module.forward.eager.__func__ is Tiny.forward
    install.remove(module)
    assert "forward" not in vars(module)
    assert install.counts(module) == {}


def test_swallowed_capture_is_an_error():
    module = tiny()

    def app_code() -> None:
        try:
            module(torch.randn(4, 6), torch.ones(4), return_dict=False)
        except Exception:  # noqa: BLE001 - what apps do
            pass

    with pytest.raises(CompiledBlockError, match="never reached"):
        compile_plan(replace(plan_of(module), example=app_code))


def test_capture_under_autocast_is_an_error():
    with torch.autocast("cpu"), pytest.raises(CompiledBlockError, match="autocast"):
        compile_plan(plan_of(tiny()))


def test_example_outside_its_own_range_is_an_error():
    module = tiny()
    outside = replace(plan_of(module), example=lambda: module(torch.randn(20, 6), torch.ones(20), return_dict=False))
    with pytest.raises(CompiledBlockError, match="outside the graph's own range"):
        compile_plan(outside)


def test_network_that_cannot_be_traced_is_one_error():
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 4)

        def forward(self, x: torch.Tensor):
            return self.layer(x) if x.sum() > 0 else x

    module = Branches()
    plan = replace(plan_of(tiny()), module=module, example=lambda: module(torch.randn(4, 6)), axes={})
    with pytest.raises(CompiledBlockError, match="cannot be exported"):
        compile_plan(plan)


def test_large_unnamed_tensors_are_refused():
    with pytest.raises(CompiledBlockError, match="register them as buffers"):
        split_constants({"_tensor_constant0": torch.zeros(2**20)}, {})


def test_unknown_options_are_refused():
    with pytest.raises(CompiledBlockError, match="expected one of"):
        CompileOptions(attention="fastest")


def test_call_spec_survives_json():
    arguments = {"x": torch.randn(4, 6), "return_dict": False, "extra": None}
    spec = call_spec(arguments, {"x": (Axis("frames", 1, 4, 2), None)}, budget={"frames": 3}, budget_limit=9)
    again = CallSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert again.mismatch(arguments, {}) is None
    assert again.mismatch({**arguments, "x": torch.randn(3, 6)}, {}) is not None  # odd, the axis has step 2


@pytest.mark.parametrize("damage", ["tensors", "constants", "budget", "budget_limit"])
def test_unreadable_call_spec_is_an_error(damage):
    data = call_spec({"x": torch.randn(4, 6)}).to_json()
    del data[damage]
    with pytest.raises(CompiledBlockError, match="not readable"):
        CallSpec.from_json(data)


def test_size_ranges_are_validated():
    assert SIZES.contains(4, 64, 128)
    assert not SIZES.contains(9, 64, 128)
    assert not replace(SIZES, max_pixels=64 * 64).contains(2, 64, 64)
    assert SizeRange.exactly(24, 480, 704).label == "f24_h480_w704"
    for bad in ((0, 3), (4, 2)):
        with pytest.raises(CompiledBlockError):
            SizeRange(bad, (64, 64), (64, 64))
    with pytest.raises(CompiledBlockError):
        SizeRange((2, 3), (60, 64), (64, 64))
