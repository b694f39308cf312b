"""One generation as a worker does it: the messages it sends, whoever carries them."""

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
        pipeline: Gives the loaded model; may wait for one that is still loading, which is no work.
        request: What to make.
        startup_s: Seconds that the worker took to start, which count as work.

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
    # Outside the handler: the error's traceback holds on to the tensors that filled the memory.
    torch.cuda.empty_cache()
    yield failed
