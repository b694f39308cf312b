"""The process that may crash: `python -m aot.verification.child`, started by `runner.py`, which exchanges lines of JSON with it.

It reads a recipe, reports that it is ready, then takes jobs until its input closes. Before every step that could crash, it
reports that step. Output of libraries goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import TextIO

import torch

from aot.children import end_with_starter
from aot.verification.check import check_graph, first_line
from aot.verification.standins import Recipe
from aot.verification.verdict import NO_DEVICE, UNABLE, Job


def main() -> None:
    """Process jobs; answers go to the original standard output."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    end_with_starter()
    recipe = Recipe.from_json(sys.stdin.readline())
    if recipe.device == "cuda" and not torch.cuda.is_available():
        say(answers, status=NO_DEVICE, reason="the process that verifies graphs finds no CUDA device")
        return
    try:
        networks = recipe.stand_ins()
    except torch.OutOfMemoryError as error:
        say(answers, status=UNABLE, reason=f"too little GPU memory to verify graphs: {first_line(error)}")
        return
    say(answers, at="ready")
    for line in sys.stdin:
        verdict = check_graph(networks, recipe.options, Job.from_json(line), lambda what: say(answers, at=what))
        say(answers, **asdict(verdict))


def say(answers: TextIO, **facts: object) -> None:
    """One line of JSON."""
    print(json.dumps(facts), file=answers, flush=True)


if __name__ == "__main__":
    main()
