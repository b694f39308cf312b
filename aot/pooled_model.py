"""The model an app serves from several GPUs: each has it in a worker process, the app's own process has none."""

from __future__ import annotations

from aot.pool_worker import worker_command
from flashworld.checkpoints.loading import model_config
from flashworld.config import ModelConfig
from flashworld.errors import InputError
from flashworld.serving.gpu_pool import GpuPool
from flashworld.serving.gpus import choose_gpus
from flashworld.serving.options import ModelOptions


class PooledModel:
    """What the page asks of a model, as `served_model.Model` has it, and the pool that makes its scenes.

    Args:
        gpus: As `choose_gpus` takes it.
        options: Which model; its device is each worker's own.
        zero_gpu: Whether this is ZeroGPU.

    Raises:
        FlashWorldError: `gpus` names what is not there, or the first worker cannot load the model.
    """

    def __init__(self, gpus: str, options: ModelOptions, *, zero_gpu: bool) -> None:
        if zero_gpu:
            raise InputError(
                "--gpus and --gpus-per-scene are for GPUs of your own: on ZeroGPU the platform hands them out"
            )
        if options.device is not None:
            raise InputError(f"--gpus names the devices itself: leave out --device {options.device}")
        devices = choose_gpus(gpus, options.gpus_per_scene)
        self.source = options.source
        self.config: ModelConfig = model_config(self.source)
        self.on_gpu = devices[0].kind == "cuda"
        self.pool = GpuPool(devices, lambda device: lambda fd: worker_command(fd, device, options))
        ready = self.pool.ready
        self.device_name, self.compiled = ready.device_name, ready.compiled
        self.note = f"{ready.note}; {len(devices)} workers" if len(devices) > 1 else ready.note

    def load_behind_the_page(self) -> None:
        """Nothing: workers load as they start."""
