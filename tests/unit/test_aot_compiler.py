"""Choice of the C++ compiler for graphs: one whose libraries do not crash the process that loads them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from aot import compiler
from aot.compiler import choose_compiler, fault_of
from aot.startup import GraphSettings, prepare
from aot.variants import Variant
from flashworld.errors import CompiledBlockError
from flashworld.models.networks import random_networks
from flashworld.nano.sizes import TINY

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None or shutil.which("g++") is None, reason="needs a C compiler")
CRASH = "int device_index(const char *text) { return *(volatile int *)0; }"
WRONG = "int device_index(const char *text) { return 3; }"


@pytest.fixture(autouse=True)
def _clear_cached_choice():
    compiler._choose.cache_clear()
    yield
    compiler._choose.cache_clear()


def fake_compiler(folder: Path, name: str, source: str | None) -> str:
    """A program with a compiler's command line: it compiles `source` whatever it is given, or produces nothing."""
    program = folder / name
    make = (
        f"echo '{source}' | gcc -x c -shared -fPIC -o \"$out\" -" if source else "echo 'no such language' >&2; exit 1"
    )
    program.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = --version ]; then echo "{name} 99.1"; exit 0; fi\n'
        'while [ $# -gt 0 ]; do if [ "$1" = -o ]; then out=$2; fi; shift; done\n'
        f"{make}\n"
    )
    program.chmod(0o755)
    return str(program)


@needs_gcc
def test_system_compiler_is_chosen(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    chosen = choose_compiler()
    assert Path(chosen.path).name in ("g++", "c++", "clang++")
    assert chosen.version in str(chosen)
    assert chosen.inductor == {"cpp.cxx": (None, chosen.path)}


@needs_gcc
def test_compiler_whose_library_crashes_is_skipped(monkeypatch, tmp_path, caplog):
    """For example, CXX names a compiler newer than the C++ standard library of the process."""
    newer = fake_compiler(tmp_path, "g++-99", CRASH)
    monkeypatch.setenv("CXX", newer)
    assert choose_compiler().path != newer
    assert f"{newer}: what it makes crashes with SIGSEGV" in caplog.text


@needs_gcc
@pytest.mark.parametrize(
    ("source", "words"),
    [(CRASH, "crashes with SIGSEGV"), (WRONG, "does not work: 3"), (None, "does not compile C++20: no such language")],
)
def test_compiler_faults_are_named(tmp_path, source, words):
    assert words in fault_of(fake_compiler(tmp_path, "g++-99", source))


def test_program_that_is_not_a_compiler_is_named(tmp_path):
    (tmp_path / "g++").write_text("text")
    (tmp_path / "g++").chmod(0o755)
    assert "it cannot be run" in fault_of(str(tmp_path / "g++"))
    assert "it cannot be run" in fault_of(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("named", [None, "/nowhere/g++"])
def test_without_a_compiler_everything_runs_eagerly_and_says_what_to_do(monkeypatch, tmp_path, named):
    monkeypatch.setattr(compiler, "OTHER_COMPILERS", ("no-such-compiler",))
    monkeypatch.delenv("CXX", raising=False)
    if named:
        monkeypatch.setenv("CXX", named)
    with pytest.raises(CompiledBlockError, match="apt install g") as caught:
        choose_compiler()
    assert "\n" not in str(caught.value)
    assert (f"CXX={named}: there is no such program" if named else "none is installed") in str(caught.value)

    def refuse(_function):
        raise AssertionError("no GPU call may be made without a compiler")

    networks = Variant().apply(random_networks(replace(TINY, frames=3, height=64, width=96)))
    reports = prepare(networks, GraphSettings(root=tmp_path), on_gpu=refuse)
    assert all("apt install g++" in report.reason for report in reports)
    assert not any(report.active for report in reports)
