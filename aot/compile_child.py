"""The process that compiles one graph: `python -m aot.compile_child FOLDER`, started by `side_by_side.py`.

FOLDER holds `job.json`; the process adds `package.pickle`, or `error.txt` with one line.
"""

from __future__ import annotations

import json
import logging
import pickle
import sys
from pathlib import Path

import torch

from aot.blocks import plan_block
from aot.children import end_with_starter
from aot.compile import compile_plan
from aot.compiler import Compiler
from aot.verification.check import first_line
from aot.verification.standins import Recipe
from aot.verification.verdict import Job
from flashworld.errors import CompiledBlockError

JOB_NAME, PACKAGE_NAME, ERROR_NAME = "job.json", "package.pickle", "error.txt"


def main() -> None:
    """Compile the job in the folder."""
    end_with_starter()
    logging.basicConfig(level=logging.INFO)
    folder = Path(sys.argv[1])
    data = json.loads((folder / JOB_NAME).read_text())
    recipe, job = Recipe.from_json(data["recipe"]), Job.from_json(data["job"])
    try:
        plan = plan_block(recipe.blank(job.block), job.block, job.sizes)
        package = compile_plan(plan, recipe.options, Compiler(**data["compiler"]))
    except (CompiledBlockError, RuntimeError) as error:
        logging.getLogger(__name__).exception("%s is not compiled", job.block)
        room = "there was too little GPU memory to compile it" if isinstance(error, torch.OutOfMemoryError) else None
        (folder / ERROR_NAME).write_text(f"{room or 'compiling it failed'}: {first_line(error)}")
        raise SystemExit(1) from None
    (folder / PACKAGE_NAME).write_bytes(pickle.dumps(package))


if __name__ == "__main__":
    main()
