"""One generation in a worker: the messages it yields, independent of how they are transported."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

import torch

from flashworld.errors import FlashWorldError
from flashworld.inputs import GenerationRequest
from flashworld.pipeline import DENOISED_FRACTION, FlashWorldPipeline
from flashworld.progress import Progress
from flashworld.result import SceneResult
from flashworld.serving.messages import Failed, Finished
from flashworld.serving.sentences import sentence_for
from flashworld.serving.transfer import pack_result

logger = logging.getLogger(__name__)


def generation(
    pipeline: Callable[[], FlashWorldPipeline], request: GenerationRequest, startup_s: float
) -> Iterator[Progress | Finished | Failed]:
    """Run the model.

    Args:
        pipeline: Returns the loaded model; may wait until it is loaded, which does not count as GPU time.
        request: The request.
        startup_s: Seconds that the worker took to start, which count as GPU time.

    Yields:
        `Progress`, and last `Finished` or `Failed`.
    """
    model = None
    try:
        model = pipeline()
        start = time.perf_counter()
        for update in model.stages(request):
            if isinstance(update, SceneResult):
                yield Progress("render", DENOISED_FRACTION)
                packed = pack_result(update)
                yield Finished(packed, startup_s + time.perf_counter() - start)
            else:
                yield update
        return
    except (FlashWorldError, MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        logger.exception("generation failed")
        failed = Failed(sentence_for(error), fatal=model is not None and model.broken)
    # Outside the handler: the error's traceback keeps references to the tensors that filled the memory.
    torch.cuda.empty_cache()
    yield failed
