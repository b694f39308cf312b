"""One part of `benchmarks.gpu_all` in its own process: python -m benchmarks.gpu.child MODULE:FUNCTION RESULT.json OPTIONS...

Results are written to RESULT.json as soon as they are known, so that a part that is killed loses at most its last step.
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
        run = getattr(module, "Run", Record)(
            run.args, run.result
        )  # the class that the module's parts need, if it has one
        run.keep(**getattr(module, function)(run))
    except Exception as error:
        # GPU time is expensive: whatever failed here, earlier results are kept and the other parts still run.
        logging.getLogger(__name__).exception("%s failed", job)
        run.keep(error=f"{type(error).__name__}: {error}"[:2000])
    return 1 if "error" in run.found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
