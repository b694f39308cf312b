"""Finding, pulling, compiling and running without graphs; the graphs here are never called, so they hold no code."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from aot import install
from aot.artifacts import PACKAGE_NAME, Artifact, ArtifactStore
from aot.blocks import BLOCKS, module_of, plan_block
from aot.cli import main
from aot.compile import CompiledPackage, CompileOptions, capture, key_for
from aot.compiler import choose_compiler
from aot.gpu_work import Outcome, Task, compile_all, compile_in_turn, resident
from aot.hub import FolderPlace
from aot.keys import constants_of, layout_of
from aot.shapes import EVERY_SIZE, SizeRange, call_spec
from aot.startup import GraphSettings, prepare
from aot.variants import Variant, probe_precision
from aot.verification.records import Records
from aot.verification.standins import Recipe
from aot.verification.verdict import NO_DEVICE, UNABLE, VERIFIED, Job, Verdict
from flashworld.config import ModelConfig
from flashworld.errors import CompiledBlockError
from flashworld.models.networks import random_networks
from flashworld.nano.sizes import TINY

SMALL = SizeRange.exactly(3, 64, 96)
OPTIONS = CompileOptions()
RECIPE = Recipe(replace(TINY, frames=3, height=64, width=96), Variant(), "cpu", torch.float32)


@pytest.fixture
def networks():
    return Variant().apply(random_networks(replace(TINY, frames=3, height=64, width=96)))


def empty_graph(networks, name: str, sizes: SizeRange = EVERY_SIZE) -> CompiledPackage:
    """The result of compiling, without the code."""
    plan = plan_block(networks, name, sizes)
    arguments = capture(plan.module, plan.example)
    spec = call_spec(arguments, plan.axes, budget=plan.budget, budget_limit=plan.sizes.max_pixels)
    metadata = {
        "inputs": spec.to_json(),
        "constants": {k: layout_of(t) for k, t in constants_of(plan.module).items()},
        "extras": [],
        "batch_argument": plan.batch_argument,
    }
    return CompiledPackage(key_for(plan, OPTIONS), {PACKAGE_NAME: b"no code"}, json.loads(json.dumps(metadata)))


def verified_graph(root, networks, name: str, sizes: SizeRange = EVERY_SIZE) -> Artifact:
    """A graph in a store that is recorded as verified."""
    store = ArtifactStore(root)
    artifact = empty_graph(networks, name, sizes).save(store)
    Records(store.root).store(store, artifact, Verdict(VERIFIED))
    return artifact


def refuse(_function):
    raise AssertionError("no GPU call may be made")


def makes(networks, but: tuple[str, ...] = ()):
    """A GPU call that compiles the missing graphs, except those of some networks, and verifies everything."""

    def on_gpu(_function):
        def run(task):
            packages = {wanted: empty_graph(networks, *wanted) for wanted in task.missing if wanted[0] not in but}
            failures = {wanted: "compiling it failed: no" for wanted in task.missing if wanted[0] in but}
            verdicts = {wanted: Verdict(VERIFIED) for wanted in task.untried}
            return Outcome(packages, failures, verdicts, {wanted: Verdict(VERIFIED) for wanted in packages})

        return run

    return on_gpu


def test_verified_graphs_in_the_store_are_used_without_asking_the_gpu(networks, tmp_path):
    for name in BLOCKS:
        verified_graph(tmp_path, networks, name)
    reports = prepare(networks, GraphSettings(root=tmp_path), on_gpu=refuse)
    assert [report.block for report in reports] == list(BLOCKS)
    assert all(report.active for report in reports)
    assert all(isinstance(module_of(networks, name).forward, install.Dispatcher) for name in BLOCKS)


def test_pulled_graphs_are_verified_once_on_this_machine(networks, tmp_path):
    place = FolderPlace(tmp_path / "shared", "v1")
    for name in BLOCKS:
        place.push(verified_graph(tmp_path / "made", networks, name))  # a verification on another machine is not shared
    settings = GraphSettings(root=tmp_path / "mine", place=str(tmp_path / "shared"), revision="v1")
    tasks = []

    def on_gpu(function):
        run = makes(networks)(function)
        return lambda task: tasks.append(task) or run(task)

    assert all(report.active for report in prepare(networks, settings, on_gpu=on_gpu))
    assert [(task.missing, {name for name, _ in task.untried}) for task in tasks] == [((), set(BLOCKS))]
    assert len(list(ArtifactStore(tmp_path / "mine").entries())) == len(BLOCKS)
    assert all(report.active for report in prepare(networks, settings, on_gpu=refuse))
    other = GraphSettings(root=tmp_path / "other", place=str(tmp_path / "shared"), revision="v2")
    assert not any(report.active for report in prepare(networks, other))


def test_missing_graphs_are_compiled_in_one_call_and_stored(networks, tmp_path):
    verified_graph(tmp_path, networks, "transformer")
    tasks = []

    def on_gpu(function):
        run = makes(networks)(function)
        return lambda task: tasks.append(task) or run(task)

    assert all(report.active for report in prepare(networks, GraphSettings(root=tmp_path), on_gpu=on_gpu))
    assert [[name for name, _ in task.missing] for task in tasks] == [
        ["gaussian_decoder", "vae_encoder", "text_encoder"]
    ]
    assert all(report.active for report in prepare(networks, GraphSettings(root=tmp_path), on_gpu=refuse))


def test_graphs_are_verified_again_on_another_machine(networks, tmp_path):
    """Another driver, torch or C++ library: what was verified with the old one may crash with the new one."""
    artifact = verified_graph(tmp_path, networks, "vae_encoder")
    records = Records(tmp_path)
    assert records.verified(artifact)
    for part in ("torch", "driver", "libstdc++.so"):
        other = Records(tmp_path)
        assert part in other.machine
        other.machine = other.machine | {part: "another"}
        assert not other.verified(artifact)
    assert not records.verified(replace(artifact, metadata=replaced_digest(artifact)))


def replaced_digest(artifact: Artifact) -> dict:
    return artifact.metadata | {"files": {PACKAGE_NAME: {"sha256": "0" * 64, "bytes": 1}}}


@pytest.mark.parametrize("death", [None, RuntimeError("GPU task aborted")])
def test_worker_whose_children_see_no_gpu_verifies_graphs_itself(networks, tmp_path, monkeypatch, death):
    """On ZeroGPU a worker may die without the app: the next GPU call verifies the graph in the worker itself."""
    artifact = empty_graph(networks, "vae_encoder").save(ArtifactStore(tmp_path))
    monkeypatch.setattr("aot.startup.device_is_emulated", lambda _device: True)
    asked = []

    def on_gpu(function):
        def run(task):
            asked.append(type(task))
            if isinstance(task, Task):
                return Outcome(verdicts=dict.fromkeys(task.untried, Verdict(NO_DEVICE, "no CUDA device")))
            if death:
                raise death
            return function(task)

        return run

    (report,) = prepare(networks, GraphSettings(root=tmp_path, blocks=("vae_encoder",)), on_gpu=on_gpu)
    assert asked == [Task, Job]
    assert ("did not return: RuntimeError: GPU task aborted" if death else "it failed: ") in report.reason
    assert not artifact.path.exists()


def test_graph_that_cannot_be_verified_is_kept_but_not_used(networks, tmp_path):
    artifact = empty_graph(networks, "vae_encoder").save(ArtifactStore(tmp_path))
    settings = GraphSettings(root=tmp_path, blocks=("vae_encoder",))

    def on_gpu(_function):
        return lambda task: Outcome(verdicts=dict.fromkeys(task.untried, Verdict(UNABLE, "too little GPU memory")))

    (report,) = prepare(networks, settings, on_gpu=on_gpu)
    assert str(report) == "vae_encoder: eager (too little GPU memory)"
    assert artifact.path.is_dir()
    (report,) = prepare(networks, settings, on_gpu=makes(networks))
    assert report.active


def test_without_a_gpu_call_everything_runs_eagerly_and_says_why(networks, tmp_path):
    reports = prepare(networks, GraphSettings(root=tmp_path))
    assert not any(report.active for report in reports)
    assert all("no " in report.reason for report in reports)
    assert all("eager" in str(report) for report in reports)
    plan_block(networks, "vae_encoder", SMALL).example()


@pytest.mark.parametrize(
    "error", [RuntimeError("GPU task aborted"), MemoryError(), OSError("no space left"), torch.OutOfMemoryError("CUDA")]
)
def test_failing_to_compile_does_not_stop_the_app(networks, tmp_path, error):
    def on_gpu(_function):
        def run(_wanted):
            raise error

        return run

    reports = prepare(networks, GraphSettings(root=tmp_path), on_gpu=on_gpu)
    assert all(type(error).__name__ in report.reason for report in reports)


def test_one_failing_network_does_not_affect_the_others(networks, tmp_path):
    reports = prepare(networks, GraphSettings(root=tmp_path), on_gpu=makes(networks, but=("gaussian_decoder",)))
    active = {report.block: report for report in reports}
    assert not active["gaussian_decoder"].active
    assert "compiling it failed" in active["gaussian_decoder"].reason
    assert active["transformer"].active
    assert active["vae_encoder"].active
    note = install.summary(reports)
    assert note.startswith("3 of 4 compiled graphs active; gaussian_decoder runs eagerly: ") and "failed" in note


def test_network_that_cannot_be_compiled_is_left_out(networks):
    broken = replace(networks, vae_encoder=torch.nn.Linear(2, 2))
    packages, failures = compile_all(lambda _name: broken, RECIPE, [("vae_encoder", SMALL)])
    assert packages == {}
    assert "compiling it failed" in failures["vae_encoder", SMALL]


def test_network_too_large_to_compile_on_the_gpu_is_left_out(networks, monkeypatch):
    def compile_first_only(plan, _options, _compiler):
        if plan.name == "transformer":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore lines")
        return plan.name

    monkeypatch.setattr("aot.gpu_work.compile_plan", compile_first_only)
    wanted = [("transformer", SMALL), ("vae_encoder", SMALL)]
    packages, failures = compile_in_turn(lambda _name: networks, RECIPE, wanted, choose_compiler())
    assert packages == {("vae_encoder", SMALL): "vae_encoder"}
    (sentence,) = failures.values()
    assert sentence.startswith("there was too little GPU memory to compile it: CUDA out of memory")
    assert "\n" not in sentence


def test_store_that_cannot_be_written_does_not_stop_the_app(networks, tmp_path):
    (tmp_path / "file").write_text("")
    reports = prepare(networks, GraphSettings(root=tmp_path / "file"), on_gpu=makes(networks))
    assert not any(report.active for report in reports)
    assert all("expected to write" in report.reason for report in reports)


def test_damaged_graph_is_set_aside_and_recompiled(networks, tmp_path):
    for name in BLOCKS:
        verified_graph(tmp_path, networks, name)
    victim = key_for(plan_block(networks, "transformer", EVERY_SIZE), OPTIONS).slug
    (tmp_path / victim / PACKAGE_NAME).write_bytes(b"n")
    assert all(report.active for report in prepare(networks, GraphSettings(root=tmp_path), on_gpu=makes(networks)))
    assert (tmp_path / f"{victim}.bad").is_dir()


def test_several_sizes_give_several_graphs_in_order(networks, tmp_path):
    sizes = (SMALL, SizeRange.exactly(3, 96, 64))
    for size in sizes:
        verified_graph(tmp_path, networks, "vae_encoder", size)
    (report,) = prepare(networks, GraphSettings(root=tmp_path, sizes=sizes, blocks=("vae_encoder",)), on_gpu=refuse)
    assert [label.split()[-1] for label in report.graphs] == ["f3_h64_w96", "f3_h96_w64"]


def test_keys_differ_by_variant_and_options(networks):
    plain = random_networks(networks.config)
    keys = {
        key_for(plan_block(n, "transformer", size), options).slug
        for n in (networks, plain)
        for size in (EVERY_SIZE, SMALL)
        for options in (OPTIONS, CompileOptions("tuned"))
    }
    assert len(keys) == 8


def test_inductor_keeps_the_layouts_of_graphs_for_one_size():
    for options in (OPTIONS, CompileOptions("tuned")):
        assert options.inductor_settings(SMALL)["layout_optimization"] is False
        assert "layout_optimization" not in options.inductor_settings(EVERY_SIZE)
        assert options.as_text(SMALL) != options.as_text(EVERY_SIZE)


def test_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("FLASHWORLD_AOT_REPO", "someone/graphs")
    monkeypatch.setenv("FLASHWORLD_AOT_REVISION", "abc")
    monkeypatch.setenv("FLASHWORLD_AOT_INDUCTOR", "tuned")
    settings = GraphSettings.from_environment()
    assert (settings.place, settings.revision, settings.options.inductor) == ("someone/graphs", "abc", "tuned")


def test_resident_networks_report_where_their_weights_are(networks):
    assert resident(replace(networks, device=torch.device("cuda"))).device == torch.device("cpu")


def test_rearranged_networks_compute_the_same(networks):
    plain = random_networks(networks.config)
    with torch.inference_mode():
        results = []
        for n in (plain, networks):
            parts = []
            for name in BLOCKS:
                torch.manual_seed(0)
                result = plan_block(n, name, SMALL, tokens=n.config.text.max_tokens).example()
                parts += list(result) if isinstance(result, tuple) else [result]
            results.append(torch.cat([p.flatten() for p in parts]))
    torch.testing.assert_close(results[0], results[1], rtol=1e-3, atol=1e-4)


def test_precision_is_queried_on_the_gpu_and_defaults_to_none():
    def killed(_function):
        def run():
            raise RuntimeError("GPU task aborted")

        return run

    assert probe_precision(lambda _function: lambda: "per_row") == "per_row"
    assert probe_precision(killed) is None


def run(capsys, *argv: str) -> tuple[int, str, str]:
    code = main(argv)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_command_line_lists_pushes_and_pulls(networks, tmp_path, capsys):
    store, other, place = str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "place")
    assert run(capsys, "list", "--store", store)[:2] == (0, "nothing\n")
    saved = empty_graph(networks, "vae_encoder").save(ArtifactStore(store))
    code, out, _ = run(capsys, "push", place, "--store", store, "--revision", "v1", "--json")
    assert (code, json.loads(out)["pushed"]) == (0, [saved.slug])
    assert run(capsys, "list", place, "--revision", "v1")[1].strip() == saved.slug
    assert run(capsys, "pull", place, saved.slug, "--store", other, "--revision", "v1", "--quiet")[0] == 0
    code, out, _ = run(capsys, "list", "--store", other, "--json")
    assert [row["slug"] for row in json.loads(out)["entries"]] == [saved.slug]
    (tmp_path / "b" / saved.slug / PACKAGE_NAME).write_bytes(b"x")
    code, out, _ = run(capsys, "list", "--store", other)
    assert code == 0
    assert "damaged" in out


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (("pull", "./nowhere"), 1, "nothing to pull"),
        (("push", "./nowhere", "--store", "/nowhere"), 1, "nothing to push"),
        (("pull", "three/part/name"), 1, "owner/name"),
        (("gsplat", "--arch", "sm_90"), 1, "expected architectures"),
        (("verify", "--model", "/nowhere.json"), 2, "--model"),
        (("compile", "--blocks", "tokenizer"), 2, "--blocks"),
        (("verify", "--blocks", "transformer,"), 2, "--blocks"),
    ],
)
def test_command_line_errors_are_one_sentence_with_an_exit_code(capsys, argv, code, words):
    found, out, err = run(capsys, *argv)
    assert found == code
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""


def test_command_line_refuses_unknown_options(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["list", "--bogus"])
    assert stopped.value.code == 2
    capsys.readouterr()


def test_verify_without_a_graph_fails_and_says_what_is_missing(tmp_path, capsys, networks):
    config = tmp_path / "config.json"
    config.write_text(networks.config.to_json())
    argv = ("verify", "--model", str(config), "--device", "cpu", "--store", str(tmp_path), "--blocks", "vae_encoder")
    code, _, err = run(capsys, *argv, "--shapes", "3x64x96")
    assert code == 1
    assert "no vae_encoder" in err
    code, _, err = run(capsys, *argv, "--shapes", "big")
    assert code == 2
    assert "--shapes" in err


def test_invalid_configuration_is_an_error(tmp_path, capsys):
    (tmp_path / "config.json").write_text("{}")
    code, _, err = run(capsys, "verify", "--model", str(tmp_path / "config.json"))
    assert code == 1
    assert "configuration" in err
    assert ModelConfig.from_json(TINY.to_json()) == TINY


def test_graph_for_sizes_the_model_cannot_have_is_refused():
    with pytest.raises(CompiledBlockError, match="multiples"):
        SizeRange.exactly(24, 481, 704)
