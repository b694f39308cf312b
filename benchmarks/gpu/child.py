"""One part of `benchmarks.gpu_all` in its own process: python -m benchmarks.gpu.child MODULE:FUNCTION RESULT.json OPTIONS...

What the part finds is written to RESULT.json as it is found, so that a part that is killed loses its last step at most.
"""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path

from benchmarks.gpu.options import parse
from benchmarks.gpu.record import Record


def main(argv: list[str]) -> int:
    """Run a part; 1 if it raised, with the reason in the result."""
    job, result, *options = argv
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)

    run = Record(parse(options), Path(result))
    try:
        name, function = job.split(":")
        module = importlib.import_module(name)
        run = getattr(module, "Run", Record)(run.args, run.result)  # what parts need, if the module asks for it
        run.keep(**getattr(module, function)(run))
    except Exception as error:
        # GPU time is dear: whatever broke here, what was found before it is kept and the other parts still run.
        logging.getLogger(__name__).exception("%s failed", job)
        run.keep(error=f"{type(error).__name__}: {error}"[:2000])
    return 1 if "error" in run.found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
