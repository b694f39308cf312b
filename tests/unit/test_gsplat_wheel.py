from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from aot.artifacts import ArtifactStore
from aot.gsplat import cuda_toolkit
from aot.gsplat.cuda_toolkit import Toolkit, find_toolkit, link_missing, release_of
from aot.gsplat.startup import activate, ensure_gsplat, installed_binary
from aot.gsplat.wheel import (
    LIBRARY,
    PACKAGE,
    VERSION,
    build_command,
    build_environment,
    build_wheel,
    check_archs,
    compile_kernels,
    copy_sources,
    pack_wheel,
    save_wheel,
    wheel_key,
    wheel_name,
)
from flashworld.errors import CompiledBlockError, DependencyError

EXTENSION = """
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "csrc", 0, -1, 0};
PyMODINIT_FUNC PyInit_csrc(void) { return PyModule_Create(&module); }
"""


def make_toolkit(folder: Path, release: str = "13.0", library: str = "lib/libcudart.so.13") -> Path:
    """A folder that looks like a CUDA toolkit, with a compiler that can say its version."""
    for name, text in (
        ("bin/nvcc", f'#!/bin/sh\n[ "$1" = --version ] && echo "release {release}, V{release}.88" && exit 0\n'
                     'echo "A.cu(3): error: nothing compiles here" >&2\nexit 1\n'),
        ("include/cuda_runtime.h", ""), (library, ""),
    ):  # fmt: skip
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "bin/nvcc").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def built_tree(tmp_path_factory) -> Path:
    """gsplat's files with a library that can be imported and does nothing."""
    tree = tmp_path_factory.mktemp("tree")
    copy_sources(None, tree, VERSION)
    source = tree / "csrc.c"
    source.write_text(EXTENSION)
    include = sysconfig.get_path("include")
    subprocess.run(
        ["cc", "-shared", "-fPIC", f"-I{include}", str(source), "-o", str(tree / PACKAGE / LIBRARY)], check=True
    )
    return tree


def test_sources_come_from_the_installed_package(built_tree):
    cuda = built_tree / PACKAGE / "cuda"
    assert (cuda / "ext.cpp").is_file()
    assert (cuda / "csrc/third_party/glm/glm/glm.hpp").is_file()
    assert len(list(cuda.glob("csrc/*.cu"))) > 10


def test_wheel_holds_the_library_and_no_sources(built_tree):
    key = wheel_key()
    wheel = pack_wheel(built_tree, key)
    assert wheel == pack_wheel(built_tree, key)
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        names = archive.namelist()
        assert f"{PACKAGE}/{LIBRARY}" in names
        assert f"{PACKAGE}/rendering.py" in names
        assert f"{PACKAGE}/cuda/_backend.py" in names
        assert not [n for n in names if n.endswith((".cu", ".cpp", ".hpp", ".h", ".pyc"))]
        (record,) = [n for n in names if n.endswith("RECORD")]
        rows = {name: digest for name, digest, _ in csv.reader(archive.read(record).decode().splitlines())}
        assert set(rows) == set(names)
        for name in set(names) - {record}:
            digest = base64.urlsafe_b64encode(hashlib.sha256(archive.read(name)).digest()).rstrip(b"=").decode()
            assert rows[name] == f"sha256={digest}"
    assert len(wheel) < 2e6


def test_wheel_names_state_torch_cuda_and_python():
    key = replace(wheel_key(), torch="2.11.0+cu130", python="cp312")
    assert wheel_name(key) == "gsplat-1.5.3+pt211cu130-cp312-cp312-linux_x86_64.whl"


@pytest.mark.parametrize(
    ("given", "wanted"), [("12.0;9.0", "9.0;12.0"), ("9.0", "9.0"), ("12.0+PTX;9.0", "9.0;12.0+PTX")]
)
def test_architectures_are_sorted(given, wanted):
    assert check_archs(given) == wanted


@pytest.mark.parametrize("given", ["", "90", "sm_90", "9.0,12.0", "9.0;", "9.0; rm -rf"])
def test_other_spellings_of_architectures_are_refused(given):
    with pytest.raises(CompiledBlockError, match="expected architectures"):
        wheel_key(given)


def test_unpacked_wheel_is_imported_and_nothing_is_compiled(built_tree, tmp_path):
    store = ArtifactStore(tmp_path)
    artifact = save_wheel(store, wheel_key(), wheel_name(wheel_key()), pack_wheel(built_tree, wheel_key()))
    code = (
        "import sys, logging\n"
        "from pathlib import Path\n"
        "from aot.artifacts import ArtifactStore\n"
        "from aot.gsplat.startup import ensure_gsplat, installed_binary\n"
        "store = ArtifactStore(Path(sys.argv[1]))\n"
        "for expected in ('store', 'installed'):\n"  # already installed the second time
        "    state = ensure_gsplat(store, build=False)\n"
        "    assert state.source == expected, state\n"
        "from gsplat.cuda._backend import _C\n"
        "assert Path(_C.__file__).is_relative_to(store.root), _C\n"
        "import subprocess\n"  # and in processes started later
        "subprocess.run([sys.executable, '-c', 'from gsplat import csrc'], check=True)\n"
    )
    environment = {**os.environ, "PYTHONPATH": ".", "PATH": "/usr/bin:/bin", "CUDA_HOME": "/nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert [e.slug for e in store.entries()] == [artifact.slug]  # the unpacked folder is not an entry


def test_missing_kernels_are_reported_not_raised(tmp_path):
    if installed_binary():
        pytest.skip("this machine has a binary gsplat")
    state = ensure_gsplat(ArtifactStore(tmp_path), build=False)
    assert not state.ready
    assert state.source == "missing"
    assert "no gsplat" in state.detail


def test_installing_the_wheel_after_importing_gsplat_is_too_late(built_tree, tmp_path, monkeypatch):
    store = ArtifactStore(tmp_path)
    artifact = save_wheel(store, wheel_key(), "x.whl", pack_wheel(built_tree, wheel_key()))
    monkeypatch.setitem(sys.modules, PACKAGE, object())
    with pytest.raises(CompiledBlockError, match="already imported"):
        activate(store, artifact)


def test_damaged_wheel_inside_a_sound_entry_is_one_error(tmp_path, monkeypatch):
    store = ArtifactStore(tmp_path)
    artifact = save_wheel(store, wheel_key(), "x.whl", b"no archive")
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    with pytest.raises(CompiledBlockError, match="cannot be unpacked"):
        activate(store, artifact)


def test_invalid_source_wheel_is_one_error(tmp_path):
    (tmp_path / "x.whl").write_bytes(b"no archive")
    with pytest.raises(DependencyError, match="expected gsplat's wheel"):
        copy_sources(tmp_path / "x.whl", tmp_path / "tree", VERSION)
    with pytest.raises(DependencyError, match=r"expected gsplat 9\.9"):
        copy_sources(None, tmp_path / "tree", "9.9")


def test_wheel_for_another_interpreter_cannot_be_built_here():
    with pytest.raises(CompiledBlockError, match="expected a key for"):
        build_wheel(replace(wheel_key(), python="cp399"))


def test_toolkit_is_found_where_cuda_home_says(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_HOME", str(make_toolkit(tmp_path / "cuda")))
    assert find_toolkit() == Toolkit(tmp_path / "cuda", "13.0")
    assert find_toolkit(make_toolkit(tmp_path / "first")).home == tmp_path / "first"


def test_toolkit_of_another_cuda_or_without_headers_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(cuda_toolkit, "candidates", lambda: iter(()))
    old = make_toolkit(tmp_path / "old", release="12.4")
    bare = make_toolkit(tmp_path / "bare")
    (bare / "include/cuda_runtime.h").unlink()
    assert release_of(old) == "12.4"
    assert release_of(bare) is None
    assert release_of(tmp_path / "nowhere") is None
    assert find_toolkit(old, bare) is None
    with pytest.raises(DependencyError, match="no CUDA compiler"):
        build_wheel(wheel_key())


def test_linker_finds_the_runtime_under_its_name_in_wheels(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    home = make_toolkit(tmp_path / "cuda")
    for _ in range(2):
        environment = Toolkit(home, "13.0").environment(scratch)
    assert environment["LIBRARY_PATH"].split(os.pathsep)[0] == str(scratch)
    assert (scratch / "libcudart.so").resolve() == (home / "lib/libcudart.so.13").resolve()
    whole = make_toolkit(tmp_path / "whole", library="lib64/libcudart.so")
    assert Toolkit(whole, "13.0").environment(scratch)["LIBRARY_PATH"].split(os.pathsep)[0] == str(whole / "lib64")


def test_build_process_gets_compiler_architectures_and_jobs(tmp_path):
    home = make_toolkit(tmp_path / "cuda")
    environment = build_environment(Toolkit(home, "13.0"), "9.0;12.0", tmp_path, jobs=3)
    assert environment["CUDA_HOME"] == str(home)
    assert environment["TORCH_CUDA_ARCH_LIST"] == "9.0;12.0"
    assert environment["MAX_JOBS"] == "3"
    assert (
        environment["CPATH"].split(os.pathsep)[0].endswith("nvidia/cu13/include")
    )  # headers missing from small toolkits
    command = build_command(tmp_path / "sources", tmp_path / "build")
    assert command[1:3] == ["-m", "aot.gsplat.build"]


@pytest.mark.skipif(torch.version.cuda is None, reason="torch without CUDA refuses to compile")
def test_compiler_errors_are_reported(tmp_path):
    sources, build = tmp_path / "cuda", tmp_path / "build"
    (sources / "csrc").mkdir(parents=True)
    build.mkdir()
    (sources / "csrc" / "A.cu").write_text("nonsense")
    (sources / "ext.cpp").write_text("int unused;")
    environment = build_environment(Toolkit(make_toolkit(tmp_path / "toolkit"), "13.0"), "9.0", build, jobs=1)
    with pytest.raises(CompiledBlockError, match="nothing compiles here"):
        compile_kernels(sources, build, environment)


def test_missing_links_are_added_to_compiler_wheels(tmp_path):
    source, target = tmp_path / "torch", tmp_path / "nvcc"
    for path in ("include/cublas.h", "include/crt/a.h", "lib/libcudart.so.13"):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text("torch's")
    (target / "include/crt").mkdir(parents=True)
    (target / "include/crt/a.h").write_text("nvcc's")
    link_missing(source, target)
    assert (target / "include/cublas.h").read_text() == "torch's"
    assert (target / "include/crt/a.h").read_text() == "nvcc's"
    assert (target / "lib/libcudart.so.13").exists()
