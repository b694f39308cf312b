"""Time every stage of one scene against its floor: python -m benchmarks.stages --help.

    python -m benchmarks.stages --model full --fused --fp8 auto --graphs aot --frames 8,16,24,32 --json stages.json
    python -m benchmarks.stages --model tiny --device cpu

Weights are random (they do not change speed). Each figure is the median of seven warm calls: CUDA events on a GPU, CPU
seconds elsewhere. The floor is the stage's counted arithmetic or memory traffic at this machine's own best rates,
measured in the same run. Prints a table; JSON with everything goes to --json, or to the screen with --json -.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch

from benchmarks.machine import ROUNDS, WARM_UP, Machine, measure_machine, median_seconds
from benchmarks.work import Work, film_work, network_work, render_work, text_work
from flashworld.cameras import normalize
from flashworld.config import FULL, SPATIAL_FACTOR, ModelConfig
from flashworld.gaussians import Gaussians
from flashworld.inputs import GenerationRequest, VideoSettings, build_request
from flashworld.limits import MIN_SIDE_PX
from flashworld.models.fp8 import probe_fp8
from flashworld.models.fused import fuse_networks
from flashworld.models.gaussian_decoder import gaussians_from_maps
from flashworld.models.networks import Networks, random_networks
from flashworld.nano.sizes import NANO, TINY
from flashworld.pipeline import FlashWorldPipeline
from flashworld.rendering import iter_frames, render

MODELS = {"full": FULL, "nano": NANO, "tiny": TINY}
GIB = 2**30
PROMPT = "a wooden dock at dawn"
"""With its prefix 31 tokens, one for each byte, of the tokenizer that comes with random weights. The real one, which has whole
words, makes as many of a longer sentence; how many words that is was not counted."""


@dataclass(frozen=True)
class Row:
    """One stage at one size.

    Attributes:
        stage: Its name.
        frames: Views of the scene (of the video, for "video").
        ms: Median of one call.
        calls: Calls per scene.
        rate: TFLOP/s, or GB/s for stages that only move data; 0 where neither is counted.
        unit: Unit of the rate.
        floor_ms: Lower bound on this machine.
        peak_gib: Most GPU memory during the call, weights of all networks included.
    """

    stage: str
    frames: int
    ms: float
    calls: int
    rate: float
    unit: str
    floor_ms: float
    peak_gib: float

    @property
    def ratio(self) -> float:
        """Time over floor; 0 without a floor."""
        return self.ms / self.floor_ms if self.floor_ms else 0.0


@dataclass(frozen=True)
class Case:
    """The configuration that is timed."""

    networks: Networks
    frames: int
    height: int
    width: int
    video_frames: int
    rounds: int
    warm_up: int

    @property
    def request(self) -> GenerationRequest:
        """The scene's request."""
        return a_request(self.networks.config, self.height, self.width, self.frames)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print it."""
    args = parse(argv)
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    config = MODELS[args.model or ("full" if device.type == "cuda" else "nano")]
    height, width = args.size or (max(config.height, MIN_SIDE_PX), max(config.width, MIN_SIDE_PX))
    frames = args.frames or [config.frames]

    machine = measure_machine(device, dtype)
    started = time.perf_counter()
    networks, precision = build(config, device, dtype, fused=args.fused, fp8=args.fp8)
    build_s = time.perf_counter() - started
    graphs = compile_graphs(networks, frames, height, width, args) if args.graphs == "aot" else {}

    rows: list[Row] = []
    for count in frames:
        case = Case(networks, count, height, width, args.video_frames, args.rounds, args.warm_up)
        rows += measure(case, machine, eight_bit=precision != str(dtype))
    report = {
        "machine": asdict(machine),
        "model": config.name,
        "precision": precision,
        "graphs": graphs or args.graphs,
        "height": height,
        "width": width,
        "build_s": build_s,
        "rows": [asdict(row) | {"ratio": row.ratio} for row in rows],
    }
    if args.json != "-":
        print(table(machine, rows, f"{config.name}, {height} x {width}, {precision}, graphs: {args.graphs}"))
        for name, counts in call_counts(networks).items():
            print(f"{name}: calls {counts}")
        for name, made in graphs.items():
            print(f"{name}: {made}")
    write(report, args.json)
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stages", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=MODELS, help="default: full on a GPU, else nano")
    parser.add_argument("--device", choices=("cuda", "cpu"))
    parser.add_argument("--frames", type=_numbers, help="numbers of views, e.g. 8,16,24,32")
    parser.add_argument("--size", type=_size, help="height x width, e.g. 480x704")
    parser.add_argument("--video-frames", type=int, default=97)
    parser.add_argument("--fused", action="store_true", help="fused projections, text keys and values once per scene")
    parser.add_argument("--fp8", choices=("none", "auto", "per_row", "per_tensor"), default="none")
    parser.add_argument("--graphs", choices=("eager", "aot"), default="eager")
    parser.add_argument("--shapes", choices=("static", "dynamic"), default="dynamic", help="of compiled graphs")
    parser.add_argument("--inductor", default="default")
    parser.add_argument("--attention", default="auto")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--warm-up", type=int, default=WARM_UP)
    parser.add_argument("--json", help="file to write, or - for the screen")
    return parser.parse_args(argv)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _size(text: str) -> tuple[int, int]:
    height, width = text.lower().split("x")
    return int(height), int(width)


def build(
    config: ModelConfig, device: torch.device, dtype: torch.dtype, *, fused: bool, fp8: str
) -> tuple[Networks, str]:
    """Random networks as an app would run them, and the name of their precision."""
    networks = random_networks(config, device=device, dtype=dtype)
    for module in networks.modules.values():
        module.requires_grad_(False)
    mode = probe_fp8(device) if fp8 == "auto" else None if fp8 == "none" else fp8
    if fused or mode:
        networks = fuse_networks(networks, mode)
    return networks, f"fp8 {mode}" if mode else str(dtype)


def compile_graphs(
    networks: Networks, frames: list[int], height: int, width: int, args: argparse.Namespace
) -> dict[str, dict[str, object]]:
    """Compile and install every block ahead of time; seconds and sizes."""
    import tempfile

    from aot import install
    from aot.artifacts import ArtifactStore
    from aot.blocks import BLOCKS, module_of, plan_block
    from aot.compile import CompileOptions, compile_plan
    from aot.shapes import EVERY_SIZE, SizeRange

    options = CompileOptions(args.inductor, args.attention)
    sizes = [EVERY_SIZE] if args.shapes == "dynamic" else [SizeRange.exactly(f, height, width) for f in frames]
    made: dict[str, dict[str, object]] = {}
    store = ArtifactStore(tempfile.mkdtemp(prefix="flashworld-bench-"))
    for name in BLOCKS:
        artifacts = []
        for size in sizes:
            package = compile_plan(plan_block(networks, name, size, (frames[-1], height, width)), options)
            artifacts.append(package.save(store))
            made[f"{name} {size.label}"] = {
                **package.metadata["seconds"],
                "package_mb": len(package.files["package.pt2"]) / 1e6,
                "attention": package.metadata["attention"],
            }
        install.apply(name, module_of(networks, name), artifacts, strict=True)
    return made


def call_counts(networks: Networks) -> dict[str, dict[str, int]]:
    """Calls of each network by graph, or eager; empty for those without a graph."""
    from aot import install
    from aot.blocks import BLOCKS, module_of

    return {name: found for name in BLOCKS if (found := install.counts(module_of(networks, name)))}


def measure(case: Case, machine: Machine, *, eight_bit: bool) -> list[Row]:
    """Every stage of one scene."""
    size = (case.frames, case.height, case.width)
    work = network_work(case.networks.config, *size, eight_bit=eight_bit)
    with torch.inference_mode():
        parts = list(_stages(case, machine, work))
        return [*parts, _whole(case, machine, parts, work)]


def _stages(case: Case, machine: Machine, work: dict[str, Work]) -> Iterator[Row]:
    networks, config = case.networks, case.networks.config
    device, dtype, vae = networks.device, networks.dtype, config.vae
    frames, height, width = case.frames, case.height, case.width
    rows, columns = height // SPATIAL_FACTOR, width // SPATIAL_FACTOR
    request = case.request
    cameras = normalize(request.cameras)[0].to(device)
    ids = networks.text.token_ids(PROMPT)

    def noise(*shape: int, kind: torch.dtype = dtype) -> torch.Tensor:
        return torch.randn(shape, device=device, dtype=kind)

    yield _row(case, machine, "text", 1, lambda: networks.text.encode_ids(ids), text_work(networks))
    embeds = networks.embed(PROMPT).to(dtype)
    yield _row(case, machine, "text_context", 1, lambda: networks.text_context(embeds), Work())
    context = networks.text_context(embeds)
    hidden, clock = noise(1, config.in_channels, frames, rows, columns), torch.full((1,), 900.0, device=device)
    yield _row(
        case, machine, "transformer", 4,
        lambda: networks.transformer(
            hidden_states=hidden, timestep=clock, encoder_hidden_states=context, return_dict=False
        ),
        work["transformer"],
    )  # fmt: skip
    features, latents = noise(frames, config.feature_dim, rows, columns), noise(frames, vae.z_dim, rows, columns)
    latents = latents.float()
    yield _row(
        case, machine, "gaussian_decoder", 4, lambda: networks.gaussian_decoder(features, latents),
        work["gaussian_decoder"],
    )  # fmt: skip
    maps = networks.gaussian_decoder(features, latents)
    scene = gaussians_from_maps(maps, cameras)
    geometry = Work(memory=2.0 * maps.numel() * maps.element_size())
    yield _row(case, machine, "geometry", 4, partial(gaussians_from_maps, maps, cameras), geometry)
    del maps
    yield _row(
        case, machine, "render", 3, lambda: render(scene, cameras, height, width),
        render_work(len(scene), frames, height, width),
    )  # fmt: skip
    pictures = noise(frames, 3, height, width).clamp(-1, 1)
    yield _row(case, machine, "vae_encoder", 3, lambda: networks.vae_encoder(pictures), work["vae_encoder"])
    if case.video_frames:
        yield _video(case, machine, scene, request)


def _video(case: Case, machine: Machine, scene: Gaussians, request: GenerationRequest) -> Row:
    """The video, frames on the host."""
    path = request.cameras[torch.arange(case.video_frames) % len(request.cameras)]
    path = normalize(path)[0]

    def film() -> None:
        for _ in iter_frames(scene, path, case.height, case.width):
            pass

    counted = film_work(len(scene), case.video_frames, case.height, case.width)
    row = _row(replace(case, rounds=min(3, case.rounds), warm_up=1), machine, "video", 1, film, counted)
    return replace(row, frames=case.video_frames)


def _whole(case: Case, machine: Machine, parts: list[Row], work: dict[str, Work]) -> Row:
    """A whole scene; its floor is the sum of its parts' floors."""
    calls = {row.stage: row.calls for row in parts}
    total = Work(
        products=sum(calls[name] * w.products for name, w in work.items()),
        attention=sum(calls[name] * w.attention for name, w in work.items()),
    )
    request = case.request
    row = _row(case, machine, "scene, no video", 1, lambda: whole_scene(case.networks, request), total)
    return replace(row, floor_ms=sum(part.floor_ms * part.calls for part in parts if part.stage != "video"))


def whole_scene(networks: Networks, request: GenerationRequest) -> None:
    """One scene as in the app, with the text encoded each time."""
    networks.text.forget()
    FlashWorldPipeline(networks)(request)


def a_request(config: ModelConfig, height: int, width: int, frames: int | None = None) -> GenerationRequest:
    """An image, a sentence and an orbit. Needs no networks."""
    shades = torch.linspace(0, 255, height)[:, None, None].expand(-1, width, 3)
    return build_request(
        image=shades.byte().numpy(), text=PROMPT, trajectory="orbit_right", seed=1, frames=frames or config.frames,
        height=height, width=width, video=VideoSettings(enabled=False), defaults=config,
    )  # fmt: skip


def _row(case: Case, machine: Machine, stage: str, calls: int, call: Callable[[], object], work: Work) -> Row:
    device = case.networks.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = median_seconds(call, device, case.rounds, case.warm_up)
    peak = torch.cuda.max_memory_allocated(device) / GIB if device.type == "cuda" else 0.0
    operations = work.products + work.attention
    rate, unit = (operations / 1e12, "TFLOP/s") if operations else (work.memory / 1e9, "GB/s")
    return Row(
        stage=stage, frames=case.frames, ms=seconds * 1e3, calls=calls, rate=rate / seconds, unit=unit,
        floor_ms=work.floor_seconds(machine) * 1e3, peak_gib=peak,
    )  # fmt: skip


def table(machine: Machine, rows: list[Row], title: str) -> str:
    """Everything as text."""
    fp8 = f", {machine.fp8 / 1e12:.0f} TFLOP/s in eight bits" if machine.fp8 else ""
    lines = [
        f"{title}",
        f"{machine.name}, torch {machine.torch}: {machine.matmul / 1e12:.4g} TFLOP/s{fp8}, attention "
        f"{machine.attention / 1e12:.4g} TFLOP/s, memory {machine.memory / 1e9:.4g} GB/s, "
        f"to the host {machine.to_host / 1e9:.3g} GB/s",
        "",
        f"{'stage':18} {'frames':>6} {'calls':>5} {'ms':>10} {'rate':>10} {'':8} {'floor ms':>10} {'ratio':>6} "
        f"{'peak GiB':>9}",
    ]
    for row in rows:
        ratio = f"{row.ratio:6.2f}" if row.floor_ms else f"{'':6}"
        rate = f"{row.rate:10.2f} {row.unit:8}" if row.rate else f"{'':19}"
        lines.append(
            f"{row.stage:18} {row.frames:6} {row.calls:5} {row.ms:10.2f} {rate} {row.floor_ms:10.2f} {ratio} "
            f"{row.peak_gib:9.1f}"
        )
    return "\n".join(lines)


def write(report: dict[str, object], target: str | None) -> None:
    """JSON to a file or the screen."""
    text = json.dumps(report, indent=1)
    if target == "-":
        print(text)
    elif target:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).write_text(text + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
