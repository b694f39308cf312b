"""The C++ compiler for graphs: one whose code runs in this process.

A compiled graph is C++ code that is loaded into this process and uses the C++ library already loaded. If the
compiler is newer than that library, everything compiles and links, but the first action of a graph, matching a
regular expression against its device's name, crashes the process. So each available compiler builds a small library that
does the same, and another process loads it first.
"""

from __future__ import annotations

import functools
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from aot.verification.records import loaded_libraries
from flashworld.errors import CompiledBlockError

logger = logging.getLogger(__name__)

OTHER_COMPILERS = ("g++", "/usr/bin/g++", "c++", "/usr/bin/c++", "clang++")
"""Tried after the one named by CXX, in this order."""
COMPILE_SECONDS, RUN_SECONDS = 120.0, 30.0
"""Time limits of compiling and running the probe; a few seconds and a tenth of a second are typical."""
FLAGS = ("-shared", "-fPIC", "-std=c++20", "-O1")
"""Flags with which torch compiles this part of a graph; without optimisation it would not crash."""
PROBE_SOURCE = """
#include <regex>
#include <string>
extern "C" int device_index(const char* text) {
  const std::string device(text);
  const std::regex pattern("([a-z]+)(:([0-9]+))?");
  std::smatch found;
  if (!std::regex_match(device, found, pattern) || !found[3].matched) return -1;
  return std::stoi(found[3].str());
}
"""
PROBE_RUN = """
import ctypes, sys
for library in sys.argv[2:]:
    ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
print(ctypes.CDLL(sys.argv[1]).device_index(b"cuda:7"))
"""
WHAT_TO_DO = (
    "install one (Debian, Ubuntu: apt install g++) or name one that matches this system's C++ library, "
    "for example CXX=/usr/bin/g++"
)


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler.

    Attributes:
        path: Path of the program.
        version: Its version line.
    """

    path: str
    version: str

    def __str__(self) -> str:
        return f"{self.path} ({self.version})"

    @property
    def inductor(self) -> dict[str, object]:
        """The setting that makes torch use it."""
        return {"cpp.cxx": (None, self.path)}


def choose_compiler() -> Compiler:
    """The first available compiler whose code runs in processes like this one; determined once per process.

    Raises:
        CompiledBlockError: there is none; the message says what is wrong with each and what to do.
    """
    return _choose(os.environ.get("CXX"), os.environ.get("PATH"))


@functools.lru_cache(maxsize=8)
def _choose(named: str | None, _path: str | None) -> Compiler:
    problems, seen = [], set()
    for name in filter(None, (named, *OTHER_COMPILERS)):
        program = shutil.which(name)
        if program is None:
            if name == named:
                problems.append(f"CXX={name}: there is no such program")
            continue
        place = os.path.realpath(program)
        if place in seen:
            continue
        seen.add(place)
        problem = fault_of(program)
        if problem is None:
            if problems:
                logger.warning("compiling with %s instead: %s", program, "; ".join(problems))
            return Compiler(program, _version(program))
        problems.append(f"{program}: {problem}")
    raise CompiledBlockError(
        f"there is no C++ compiler that can be used ({'; '.join(problems) or 'none is installed'}): {WHAT_TO_DO}"
    )


def fault_of(program: str) -> str | None:
    """The fault of a compiler, or None: a library that it builds is loaded and called in a separate process."""
    with tempfile.TemporaryDirectory(prefix="flashworld-compiler-") as folder:
        source, library = Path(folder, "probe.cpp"), Path(folder, "probe.so")
        source.write_text(PROBE_SOURCE)
        made = _run([program, *FLAGS, str(source), "-o", str(library)], COMPILE_SECONDS)
        if isinstance(made, str):
            return f"it cannot be run: {made}"
        if made.returncode or not library.is_file():
            return f"it does not compile C++20: {_last_line(made)}"
        here = [str(path) for path in loaded_libraries().values()]
        used = _run([sys.executable, "-c", PROBE_RUN, str(library), *here], RUN_SECONDS)
        if isinstance(used, str):
            return f"what it makes cannot be run: {used}"
        if used.returncode < 0:
            name = signal.Signals(-used.returncode).name
            return (
                f"what it makes crashes with {name}: it is probably newer than {', '.join(here) or 'the C++ library'}"
            )
        return None if used.stdout.strip() == "7" else f"what it makes does not work: {_last_line(used)}"


def _run(command: list[str], seconds: float) -> subprocess.CompletedProcess[str] | str:
    """A completed process, or the reason for its failure."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds, errors="replace")
    except subprocess.TimeoutExpired:
        return f"it gave no answer in {seconds:.0f} s"
    except OSError as error:
        return str(error)


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"


def _version(program: str) -> str:
    found = _run([program, "--version"], RUN_SECONDS)
    return "unknown version" if isinstance(found, str) or not found.stdout else found.stdout.splitlines()[0].strip()
