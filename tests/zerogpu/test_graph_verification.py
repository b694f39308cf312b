"""Graphs are verified before use: correct ones, incorrect ones, and ones that crash or hang their process.

The crashes are real: the packages' library does, when loaded, what one built by too new a compiler does.
"""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from aot import install
from aot.artifacts import PACKAGE_NAME, Artifact, ArtifactStore
from aot.blocks import plan_block
from aot.compile import CompiledPackage, CompileOptions, compile_plan
from aot.compiler import choose_compiler
from aot.gpu_work import Task, work
from aot.shapes import SizeRange
from aot.side_by_side import compile_side_by_side
from aot.startup import GraphSettings, prepare
from aot.variants import Variant
from aot.verification.records import Records
from aot.verification.runner import verify_graphs
from aot.verification.standins import Recipe
from aot.verification.verdict import NO_DEVICE, REFUSED, UNABLE, VERIFIED, Job
from flashworld.models.networks import Networks, random_networks
from flashworld.nano.sizes import TINY

pytestmark = pytest.mark.slow
CONFIG = replace(TINY, frames=3, height=64, width=64)
SIZES = SizeRange((2, 4), (64, 64), (64, 64))
NAME, WANTED = "vae_encoder", ("vae_encoder", SIZES)
VARIANT, OPTIONS = Variant(), CompileOptions()
CRASH = "__attribute__((constructor)) static void now(void) { *(volatile int *)0 = 1; }"
HANG = "#include <unistd.h>\n__attribute__((constructor)) static void now(void) { for (;;) pause(); }"


def make_networks() -> Networks:
    return VARIANT.apply(random_networks(CONFIG))


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return Recipe.of(make_networks(), VARIANT, OPTIONS)


@pytest.fixture(scope="module")
def right() -> CompiledPackage:
    return compile_plan(plan_block(make_networks(), NAME, SIZES))


@pytest.fixture(scope="module")
def wrong() -> CompiledPackage:
    """The graph of a network that computes something else, under the name of this one."""
    networks = make_networks()
    encoder = networks.vae_encoder
    forward = encoder.forward
    encoder.forward = lambda images: tuple(2 * x for x in forward(images))
    return compile_plan(plan_block(networks, NAME, SIZES))


def with_library(package: CompiledPackage, source: str, folder) -> CompiledPackage:
    """The same package with another library inside."""
    library = folder / "library.so"
    command = ["gcc", "-x", "c", "-shared", "-fPIC", "-o", str(library), "-"]
    subprocess.run(command, input=source.encode(), check=True)
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package.files[PACKAGE_NAME])) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, library.read_bytes() if name.endswith(".so") else old.read(name))
    return replace(package, files={**package.files, PACKAGE_NAME: changed.getvalue()})


def job(artifact: Artifact) -> Job:
    return Job(str(artifact.path), *WANTED)


def here(function):
    """A GPU call that runs in this process."""
    return function


def refuse(_function):
    raise AssertionError("nothing is left to do")


def test_a_correct_graph_is_verified_once_and_used(tmp_path, right):
    artifact = right.save(ArtifactStore(tmp_path))
    networks, settings = make_networks(), GraphSettings(root=tmp_path, sizes=(SIZES,), blocks=(NAME,))
    (report,) = prepare(networks, settings, on_gpu=here)
    assert report.active, report
    (report,) = prepare(networks, settings, on_gpu=refuse)
    assert report.active
    assert Records(tmp_path).verified(artifact)
    images = torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        mean, _ = networks.vae_encoder(images)
        assert "eager" not in install.counts(networks.vae_encoder)
        install.remove(networks.vae_encoder)
        torch.testing.assert_close(mean, networks.vae_encoder(images)[0], rtol=1e-4, atol=1e-4)


def test_stand_ins_with_few_layers_verify_graphs_of_deep_networks(tmp_path):
    """Five text-encoder layers, two of them with weights of their own: a graph of the real depth, at several numbers of tokens."""
    config = replace(CONFIG, text=replace(CONFIG.text, num_layers=5))
    networks = VARIANT.apply(random_networks(config))
    artifact = compile_plan(plan_block(networks, "text_encoder", SIZES)).save(ArtifactStore(tmp_path))
    (verdict,) = verify_graphs(Recipe.of(networks, VARIANT, OPTIONS), [Job(str(artifact.path), "text_encoder", SIZES)])
    assert verdict.status == VERIFIED, verdict
    assert len({row["size"] for row in verdict.rows}) == 3
    assert all(0 <= row["relative_error"] < 1e-4 for row in verdict.rows)


def test_crash_hang_and_wrong_values_give_different_messages_and_do_not_affect_other_graphs(
    tmp_path, recipe, right, wrong
):
    packages = {
        "crash": with_library(right, CRASH, tmp_path),
        "hang": with_library(right, HANG, tmp_path),
        "wrong": wrong,
        "right": right,
    }
    jobs = [job(package.save(ArtifactStore(tmp_path / name))) for name, package in packages.items()]
    crash, hang, off, good = verify_graphs(recipe, jobs, verify_s=30)
    assert (crash.status, crash.lasting) == (REFUSED, True)
    assert "crashed with SIGSEGV while its library was being loaded" in crash.reason
    assert "CXX=/usr/bin/g++" in crash.reason
    assert (hang.status, hang.lasting) == (REFUSED, False)
    assert "gave no answer in 30 s" in hang.reason
    assert (off.status, off.lasting) == (REFUSED, True)
    assert "its output differs from the network" in off.reason
    assert off.rows[0]["relative_error"] == pytest.approx(1, abs=0.1)
    assert good.status == VERIFIED, good
    assert not any("\n" in verdict.reason for verdict in (crash, hang, off))


def test_crashing_graph_is_set_aside_recompiled_and_used(tmp_path, right):
    """Pulled from where a newer compiler built it: this machine's own graph replaces it in the same GPU call."""
    store = ArtifactStore(tmp_path / "graphs")
    artifact = with_library(right, CRASH, tmp_path).save(store)
    settings = GraphSettings(root=store.root, sizes=(SIZES,), blocks=(NAME,))
    (report,) = prepare(make_networks(), settings, on_gpu=here)
    assert report.active, report
    assert artifact.path.with_name(f"{artifact.slug}.bad").is_dir()
    replaced = store.load(right.key)
    assert replaced.digest != artifact.digest
    assert Records(store.root).verified(replaced)
    assert "SIGSEGV" in Records(store.root).refused(artifact)


def test_graph_that_is_always_wrong_is_recompiled_once_and_its_network_runs_eagerly(tmp_path, wrong, monkeypatch):
    made = []

    def compile_wrongly(plan, options, compiler):
        made.append(compiler)
        return wrong

    monkeypatch.setattr("aot.gpu_work.compile_plan", compile_wrongly)
    settings = GraphSettings(root=tmp_path, sizes=(SIZES,), blocks=(NAME,))
    for on_gpu in (here, refuse):
        networks = make_networks()
        (report,) = prepare(networks, settings, on_gpu=on_gpu)
        assert not report.active
        assert "its output differs from the network" in report.reason
        assert "its output differs" in install.summary((report,))
        plan_block(networks, NAME, SIZES).example()
    assert made == [choose_compiler()]


def test_foreign_packages_are_refused_in_one_sentence(tmp_path, recipe, right):
    text = compile_plan(plan_block(make_networks(), "text_encoder", SIZES))
    foreign = {
        "another network's": replace(right, files=text.files),
        "no package": replace(right, files={PACKAGE_NAME: b"not a zip"}),
        "another key": text,
    }
    artifacts = [package.save(ArtifactStore(tmp_path / name)) for name, package in foreign.items()]
    verdicts = verify_graphs(recipe, [job(artifact) for artifact in artifacts])
    assert [verdict.status for verdict in verdicts] == [REFUSED, REFUSED, UNABLE], verdicts
    assert not any("\n" in verdict.reason for verdict in verdicts)
    assert "text_encoder" in verdicts[2].reason


def test_without_the_device_nothing_is_verified_and_nothing_set_aside(tmp_path, recipe, right):
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    artifact = right.save(ArtifactStore(tmp_path))
    verdicts = verify_graphs(replace(recipe, device="cuda", dtype=torch.bfloat16), [job(artifact), job(artifact)])
    assert [verdict.status for verdict in verdicts] == [NO_DEVICE, NO_DEVICE]
    assert "no CUDA device" in verdicts[0].reason


def test_verification_ends_with_the_process_that_started_it(tmp_path, right, recipe):
    """A worker that the platform kills must not leave a process on the GPU."""
    folder = with_library(right, HANG, tmp_path).save(ArtifactStore(tmp_path / "graphs")).path
    script = (
        "import sys\nfrom aot.verification.runner import *\nfrom aot.verification.standins import Recipe\n"
        "from aot.verification.verdict import Job\n"
        "print(verify_graphs(Recipe.from_json(sys.argv[1]), [Job.from_json(sys.argv[2])]))"
    )
    argv = [sys.executable, "-c", script, recipe.to_json(), Job(str(folder), *WANTED).to_json()]
    starter = subprocess.Popen(argv, cwd=Path(__file__).parents[2])
    try:
        child = wait_for_child(starter.pid)
        time.sleep(1)
    finally:
        starter.kill()
        starter.wait()
    assert ended(child)


def wait_for_child(pid: int, seconds: float = 60) -> int:
    """The first child process of a process."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            if children := task.read_text().split():
                return int(children[0])
        time.sleep(0.2)
    raise TimeoutError("no child process")


def ended(pid: int, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        stat = Path(f"/proc/{pid}/stat")
        try:
            if stat.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.2)
    return False


def test_networks_compiled_in_parallel_are_verified(tmp_path):
    """Each from blank weights in its own process; a network that fails does not affect the other."""
    recipe = Recipe.of(make_networks(), VARIANT, OPTIONS)
    wanted = [WANTED, ("text_encoder", SIZES), ("no such network", SIZES)]
    packages, failures = compile_side_by_side(recipe, wanted, choose_compiler())
    assert list(packages) == wanted[:2]
    assert set(failures) == {wanted[2]}
    jobs = [Job(str(package.save(ArtifactStore(tmp_path)).path), *one) for one, package in packages.items()]
    assert [verdict.status for verdict in verify_graphs(recipe, jobs)] == [VERIFIED, VERIFIED]


def test_work_verifies_compiles_and_verifies_again_in_one_call(tmp_path, right):
    """The result of a GPU call is plain data that goes through a pipe."""
    networks = make_networks()
    artifact = right.save(ArtifactStore(tmp_path))
    outcome = work(networks, VARIANT, OPTIONS, Task((), {WANTED: str(artifact.path)}))
    assert pickle.loads(pickle.dumps(outcome)) == outcome
    assert outcome.verdicts[WANTED].verified
    assert (outcome.packages, outcome.failures, outcome.new_verdicts) == ({}, {}, {})
