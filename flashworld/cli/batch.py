"""`flashworld batch`: make every scene of a manifest, on one device or on all GPUs of a Ray cluster."""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from flashworld.checks import whole_number
from flashworld.cli.files import add_file_options, video_changes, wanted_outputs
from flashworld.cli.models import add_model_options, load_pipeline, model_options
from flashworld.cli.output import Output
from flashworld.serving.options import ModelOptions

if TYPE_CHECKING:
    from flashworld.batch.scenes import Loader

MAX_WORKERS = 10_000


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Declare the command."""
    parser = commands.add_parser("batch", help="make every scene of a manifest, on one device or on a Ray cluster")
    add_options(parser)
    parser.set_defaults(run=run)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("manifest", metavar="MANIFEST", help="a folder of requests, or a .jsonl, .csv or .parquet file")
    parser.add_argument(
        "--out", required=True, metavar="PLACE", help="a folder, or a URL that fsspec writes to: s3://, hf://buckets/"
    )
    workers = parser.add_argument_group("workers", "without any of these: one device of this machine, without Ray")
    workers.add_argument(
        "--workers", type=int, metavar="N", help="number of workers on Ray: one per GPU, or N shares of the CPU cores"
    )
    workers.add_argument("--address", metavar="HOST:PORT", help="a running Ray cluster; auto: the one on this machine")
    add_file_options(parser)
    add_model_options(parser)


def run(args: argparse.Namespace, output: Output, load: Loader | None = None) -> int:
    """Check the manifest and the output location, then make the missing scenes.

    Args:
        args: Parsed options of `add_options`.
        output: Receives progress and the summary.
        load: Loads the model, see `BatchSettings`; None: `ModelOptions.load` with a progress bar.

    Returns:
        1 if a scene failed, else 0.
    """
    from flashworld.batch.manifest import open_manifest
    from flashworld.batch.places import Place
    from flashworld.batch.requests import RequestSettings
    from flashworld.batch.run import run_batch
    from flashworld.batch.scenes import BatchSettings
    from flashworld.checkpoints.loading import model_config

    manifest = open_manifest(args.manifest)
    if manifest.ignored:
        output.remarks([f"ignored columns: {', '.join(manifest.ignored)}"])
    if args.workers is not None:
        whole_number(args.workers, "--workers", 1, MAX_WORKERS)
    on_ray = args.workers is not None or args.address is not None
    loader = load or ModelOptions.load
    model = _model(args, on_ray, loader)
    place = Place(args.out)
    place.require_access()
    settings = BatchSettings(
        model=model,
        place=place.url,
        outputs=tuple(wanted_outputs(args)),
        requests=RequestSettings(manifest.folder, model_config(model.source), video_changes(args)),
        load=loader,
    )
    if on_ray:
        from flashworld.batch.cluster import RayWorkers

        with redirect_stdout(sys.stderr):  # Ray prints the output of its workers to stdout
            workers = RayWorkers(settings, args.workers, args.address)
            output.note(workers.note)
            summary = run_batch(manifest, place, settings, workers.outcomes, output.note)
    else:
        from flashworld.batch.local import LocalWorker

        worker = LocalWorker(settings, None if load else lambda: load_pipeline(model, output))
        summary = run_batch(manifest, place, settings, worker.outcomes, output.note)
    text = (
        f"{place.url}: {summary.earlier + summary.made} of {summary.total} scenes, {summary.made} of them made now at "
        f"{summary.per_minute:g} a minute, {len(summary.failed)} failed; results.parquet lists them"
    )
    failed = [{"id": outcome.id, "error": outcome.error} for outcome in summary.failed]
    output.result(asdict(summary) | {"place": place.url, "failed": failed}, text)
    return 1 if failed else 0


def _model(args: argparse.Namespace, on_ray: bool, load: Loader) -> ModelOptions:
    """The model options with the device chosen here, because all workers must use the same one."""
    from flashworld.device import NANO

    wanted = model_options(args, here=args.address is None)
    if not on_ray:
        return wanted
    from flashworld.batch.cluster import cluster_has_gpus, import_ray

    import_ray()
    if (
        wanted.device is None
        and wanted.model != NANO
        and (wanted.model != "auto" or cluster_has_gpus(args.address, load))
    ):
        return replace(wanted, model="full" if wanted.model == "auto" else wanted.model, device="cuda")
    return replace(wanted, model=NANO if wanted.model == "auto" else wanted.model, device=wanted.device or "cpu")
