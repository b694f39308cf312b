"""The harness starts apps with the packages of its own process."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.zerogpu.harness import ROOT, module_path


def test_packages_on_pythonpath_reach_the_app(tmp_path, monkeypatch):
    (tmp_path / "carried_package.py").write_text("WORD = 'here'\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code = "import carried_package, tests.zerogpu; print(carried_package.WORD)"
    environment = {**os.environ, "PYTHONPATH": module_path()}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd="/", env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "here\n", done.stderr


def test_the_project_itself_comes_first(monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert module_path() == str(ROOT)
