"""A stand-in for an outdated NVIDIA driver: the part of its library that torch queries before it gives up."""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCE = """
#include <string.h>
static int refuse(void) { return 801; }
int cuInit(unsigned flags) { return 0; }
int cuDriverGetVersion(int *version) { *version = 11040; return 0; }
int cuGetProcAddress_v2(const char *name, void **found, int version, unsigned long flags, int *status) {
  if (status) *status = 0;
  *found = !strcmp(name, "cuDriverGetVersion") ? (void *)cuDriverGetVersion
         : !strcmp(name, "cuInit") ? (void *)cuInit
         : !strcmp(name, "cuGetProcAddress") ? (void *)cuGetProcAddress_v2 : (void *)refuse;
  return 0;
}
"""


def old_driver(folder: Path) -> Path:
    """Build the library and return the folder to put in LD_LIBRARY_PATH."""
    library = folder / "libcuda.so.1"
    command = ["gcc", "-x", "c", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", str(library), "-"]
    subprocess.run(command, input=SOURCE.encode(), check=True)
    return folder
