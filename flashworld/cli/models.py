"""Options for model, device and offloading, shared by the command line and the app; the original's spellings work too."""

from __future__ import annotations

import argparse

from flashworld.checks import echo
from flashworld.cli.output import Output
from flashworld.errors import InputError
from flashworld.models.offload import Offload
from flashworld.pipeline import FlashWorldPipeline
from flashworld.serving.options import ModelOptions

OFFLOADS: tuple[Offload, ...] = ("text", "vae", "transformer")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add --model, --device, --offload and the original's --ckpt and --offload_*."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model", default="auto", metavar="auto|full|nano|PATH",
        help="auto: full with a CUDA device, else nano; PATH: a model.ckpt or a converted folder",
    )  # fmt: skip
    group.add_argument("--ckpt", metavar="FILE", help="the same as --model FILE")
    group.add_argument("--wan", metavar="DIR", help="folder with the Wan parts, if they are not in the Hub's cache")
    group.add_argument("--device", choices=("cuda", "cpu"), help="default: CUDA if available")
    group.add_argument(
        "--offload", default="", metavar="LIST",
        help="comma-separated: text (runs on the CPU), vae, transformer (moved to the GPU as they run)",
    )  # fmt: skip
    group.add_argument(
        "--gpus-per-scene", type=int, default=1, metavar="N", help="GPUs that share each scene (eager only); default: 1"
    )
    group.add_argument("--offload_t5", action="store_true", help="the same as --offload text")
    group.add_argument("--offload_vae", action="store_true", help="the same as --offload vae")
    group.add_argument(
        "--offload_transformer_during_vae", action="store_true", help="the same as --offload transformer"
    )


def model_options(args: argparse.Namespace, *, here: bool = True) -> ModelOptions:
    """The chosen model options.

    Args:
        args: Parsed options of `add_model_options`.
        here: Whether the model will run on this machine.

    Raises:
        InputError: an unknown name in `--offload`, or an unavailable number of GPUs.
    """
    options = ModelOptions(args.ckpt or args.model, args.wan, args.device, _offload(args), args.gpus_per_scene)
    if options.gpus_per_scene != 1:
        from flashworld.parallel.launch import require_gpus

        require_gpus(options, here=here)
    return options


def _offload(args: argparse.Namespace) -> tuple[Offload, ...]:
    wanted = {name.strip() for name in args.offload.split(",") if name.strip()}
    spelled = {"text": args.offload_t5, "vae": args.offload_vae, "transformer": args.offload_transformer_during_vae}
    wanted |= {name for name, on in spelled.items() if on}
    unknown = sorted(wanted - set(OFFLOADS))
    if unknown:
        raise InputError(f"--offload must list names among {', '.join(OFFLOADS)}, got {echo(unknown[0])}")
    return tuple(name for name in OFFLOADS if name in wanted)


def load_pipeline(options: ModelOptions, output: Output) -> FlashWorldPipeline:
    """Load the chosen model, with a progress bar per file."""
    with output.file_progress() as progress:
        return options.load(progress)
