"""Triton kernels on the CPU: Python code run under Triton's interpreter, which must be chosen before Triton is imported.

The interpreter truncates where a GPU rounds to bfloat16.
"""

from __future__ import annotations

import os
import subprocess
import sys

PREAMBLE = """
import torch
torch.library.wrap_triton = lambda kernel: kernel
torch.library.triton_op = lambda name, function, mutates_args: function
from triton.runtime import interpreter
patch = interpreter._patch_lang_tensor
def patch_tensor(tensor, scope):  # the interpreter's own __index__ needs NumPy < 2.4, which converted arrays of one element
    patch(tensor, scope)
    tensor.__index__ = lambda self: self.handle.data.item()
interpreter._patch_lang_tensor = patch_tensor
torch.manual_seed(0)
"""


def run_interpreted(code: str) -> None:
    """Run code in a process of its own, where kernels are interpreted and their operators are plain functions."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + code],
        env=os.environ | {"TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
