"""Tables of GPU figures out of the parts of a report of `benchmarks.gpu_all`; each says GPU, date and commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Parts = Mapping[str, Mapping[str, Any]]
Rows = list[tuple[str, ...]]
MISSING = "not measured"
STAGES = {
    "text": "text encoder", "text_context": "text keys and values", "transformer": "DiT forward",
    "gaussian_decoder": "Gaussian decoder", "geometry": "geometry", "render": "rendering the views",
    "vae_encoder": "VAE encoder", "video": "the video, frames on the host", "scene, no video": "**scene**",
}  # fmt: skip


RATES = (
    ("matmul", "bfloat16 matrix multiplication", 1e12, "TFLOP/s"), ("fp8", "FP8", 1e12, "TFLOP/s"),
    ("attention", "attention", 1e12, "TFLOP/s"), ("memory", "memory", 1e9, "GB/s"), ("to_host", "to the host", 1e9, "GB/s"),
)  # fmt: skip
"""Of a `Machine`: field, words, scale, unit."""


def seconds(value: object) -> str:
    """A duration, three digits."""
    if not isinstance(value, int | float):
        return MISSING
    return f"{value:.0f} s" if value >= 100 else f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.3g} ms"


def number(value: object, unit: str = "", digits: int = 3) -> str:
    """A figure with its unit."""
    if not isinstance(value, int | float):
        return MISSING
    text = f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{text} {unit}".strip()


def percent(value: object) -> str:
    """A share."""
    return f"{value * 100:.3g} %" if isinstance(value, int | float) else MISSING


def table(head: tuple[str, ...], rows: Rows) -> list[str]:
    """Lines of a Markdown table."""
    return [_line(head), "|" + "---|" * len(head), *map(_line, rows)]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def stamp(parts: Parts, names: Iterable[str]) -> str:
    """Where the parts of a table were measured."""
    stamps: dict[str, list[str]] = {}
    for name in names:
        if name in parts:
            row = parts[name]
            where = f"{row.get('card')}, torch {row.get('torch')}, {row.get('date')}, commit {row.get('commit')}"
            stamps.setdefault(where, []).append(name)
    if len(stamps) == 1:
        return f"Measured on one {next(iter(stamps))}."
    return "Measured on one " + "; ".join(f"{where} ({', '.join(which)})" for where, which in stamps.items()) + "."


def headline(parts: Parts) -> list[str]:
    """The two figures of a scene, as a sentence of the README."""
    scene = parts["scene"]
    return [
        f"On one {scene.get('card')} the full model generates a scene from an image and text in {seconds(scene.get('warm_s'))}, with "
        f"{number(scene.get('peak_gib'), 'GiB')} of GPU memory",
        f"(compiled graphs, random weights; {scene.get('date')}, torch {scene.get('torch')}, commit {scene.get('commit')}).",
        "[Speed](docs/speed.md) has every stage.",
    ]


def summary(parts: Parts) -> list[str]:
    """What most readers want to know."""
    scene, eager, video = (parts.get(name, {}) for name in ("scene", "scene_eager", "video"))
    cold, tests, asked = (parts.get(name, {}) for name in ("cold_start", "device_tests", "reserved"))
    rows: Rows = [
        ("a scene from image and text, warm, compiled graphs", seconds(scene.get("warm_s"))),
        ("the same, eager", seconds(eager.get("warm_s"))),
        ("peak GPU memory, compiled graphs", number(scene.get("peak_gib"), "GiB")),
        ("the same, eager", number(eager.get("peak_gib"), "GiB")),
    ]
    if "first_s" in eager:
        rows.append(("the first scene of a process, eager", seconds(eager["first_s"])))
    if "gaussians" in scene:
        rows.append(("Gaussians in the scene", number(scene["gaussians"])))
    if video:
        rows.append((f"its video of {video['frames']} frames, rendered", seconds(video["rendered_s"])))
        rows.append(("the same, rendered and written to disk", seconds(video.get("on_disk_s"))))
    if cold:
        rows.append(
            (
                "a new process that finds its graphs, from the start of Python to its first scene",
                seconds(cold_total(cold)),
            )
        )
    if asked:
        rows.append(
            ("ZeroGPU seconds requested over used, after ten calls", number(asked["asked_over_used"], digits=3))
        )
    for name, what in (("bfloat16", "bfloat16"), ("fp8 per_row", "FP8 by row")):
        found = parts.get("rounding", {}).get("rows", {}).get(name)
        if found:
            rows.append((f"{what} against float32, one DiT call: velocity", percent(found.get("velocity"))))
            rows.append((f"{what} against float32, one DiT call: features", percent(found.get("features"))))
    for word, count in tests.get("counts", {}).items():
        rows.append((f"tests that need a GPU, the renderer against a float64 reference among them: {word}", str(count)))
    used = ("scene", "scene_eager", "video", "cold_start", "reserved", "rounding", "device_tests")
    return [
        *table(("What", "Figure"), rows),
        "",
        f"{stamp(parts, used)} `make bench-gpu` measures and writes this table.",
    ]


def cold_total(cold: Mapping[str, Any]) -> float:
    """Seconds from the start of the process to its first scene."""
    return sum(cold[name] for name in COLD if name in cold)


COLD = {
    "imports_s": "importing, and opening the device", "weights_s": "weights, generated at random",
    "read_s": "weights, read from a converted folder", "rearrange_s": "fusing projections, sub-pixel weights, quantising",
    "graphs_s": "finding, verifying and loading graphs", "first_scene_s": "the first scene",
}  # fmt: skip


def stages(parts: Parts) -> list[str]:
    """Each stage, eager and compiled, and its floor."""
    found = {
        name: {row["stage"]: row for row in parts.get(name, {}).get("rows", [])} for name in ("stages_eager", "stages")
    }
    rows: Rows = []
    for stage, what in STAGES.items():
        eager, compiled = found["stages_eager"].get(stage), found["stages"].get(stage)
        best = compiled or eager
        if best:
            floor = best.get("floor_ms")
            rows.append((
                what, number(best.get("calls")), *(number((row or {}).get("ms"), "ms") for row in (eager, compiled)),
                number(floor, "ms") if floor else "", number(best["ms"] / floor) if floor else "",
            ))  # fmt: skip
    head = ("Stage", "calls per scene", "eager", "compiled", "floor", "over the floor")
    rates = parts.get("machine", {}).get("machine")
    lines = [*table(head, rows), "", stamp(parts, ("stages_eager", "stages"))]
    if rates:
        best = [
            f"{what} {number(rates[name] / scale)} {unit}" for name, what, scale, unit in RATES if rates.get(name)
        ]  # fmt: skip
        lines.append(f"Best rates of that machine: {', '.join(best)}.")
    return lines


def compiling(parts: Parts) -> list[str]:
    """Build time and size of graphs."""
    rows: Rows = []
    for name, row in parts["compile"].get("networks", {}).items():
        made = row.get("seconds") or {}
        rows.append((name, seconds(made.get("export")), seconds(made.get("compile")), number(row.get("mb"), "MB")))
    lines = table(("Network", "export", "compile", "package"), rows)
    if "wall_s" in parts["compile"] and any(
        row.get("state") == "compiled" for row in parts["compile"]["networks"].values()
    ):
        lines += [
            "",
            f"Compiling and verifying all that were missing, by one command: {seconds(parts['compile']['wall_s'])}.",
        ]
    return [*lines, "", stamp(parts, ("compile",))]


def graphs(parts: Parts) -> list[str]:
    """Each graph against eager."""
    rows = [
        (r["block"], r["precision"], r["size"], number(r["relative_error"], digits=2), number(r["eager_ms"], "ms"), number(r["compiled_ms"], "ms"))
        for r in parts["verify"]["rows"]
    ]  # fmt: skip
    head = ("Network", "precision", "views x height x width", "relative error", "eager", "compiled")
    return [*table(head, rows), "", stamp(parts, ("verify",))]


def static(parts: Parts) -> list[str]:
    """Graphs for one size against those for all."""
    by_kind = parts["static_graphs"]["rows"]
    fixed = {row["block"]: row for row in by_kind["static"]}
    rows = [
        (r["block"], number(r["compiled_ms"], "ms"), number(fixed[r["block"]]["compiled_ms"], "ms"))
        for r in by_kind["dynamic"] if r["block"] in fixed
    ]  # fmt: skip
    return [*table(("Network", "every size", "this size alone"), rows), "", stamp(parts, ("static_graphs",))]


def growth(parts: Parts) -> list[str]:
    """Cost by number of views and pixels."""
    rows = [
        (f"{r['frames']} x {r['height']} x {r['width']}", *(number(r["ms"].get(s), "ms") for s in ("transformer", "gaussian_decoder", "render", "vae_encoder", "scene, no video")), number(r["peak_gib"], "GiB"))
        for r in parts["growth"]["rows"]
    ]  # fmt: skip
    head = ("Views x height x width", "DiT forward", "decoder", "rendering", "VAE", "scene", "peak memory")
    return [*table(head, rows), "", stamp(parts, ("growth",))]


def offload(parts: Parts) -> list[str]:
    """Ways of offloading on GPUs of several sizes."""
    modes = parts["offload"]["modes"]
    budgets = list(dict.fromkeys(b for row in modes.values() for b in row.get("budgets", {})))
    rows = [
        (f"`{mode}`", seconds(row.get("warm_s")), number(row.get("peak_gib"), "GiB"), *(_within(row.get("budgets", {}).get(b)) for b in budgets))
        for mode, row in modes.items()
    ]  # fmt: skip
    head = ("`--offload`", "scene, eager", "peak memory", *(f"with {budget}" for budget in budgets))
    return [*table(head, rows), "", stamp(parts, ("offload",))]


def _within(row: Mapping[str, Any] | None) -> str:
    return "" if row is None else "does not fit" if "does not fit" in row else seconds(row.get("warm_s"))


def rounding(parts: Parts) -> list[str]:
    """Precisions against float32."""
    found = parts["rounding"]["rows"]
    names = ("text", "velocity", "features", "head_maps", "vae_mean")
    rows = [(name, *(percent(row.get(key)) for key in names)) for name, row in found.items()]
    head = ("One call against float32", "text", "velocity", "features", "Gaussian maps", "VAE latents")
    return [*table(head, rows), "", stamp(parts, ("rounding",))]


def cold_start(parts: Parts) -> list[str]:
    """The phases of a cold start."""
    row = parts["cold_start"]
    rows = [(what, seconds(row[name])) for name, what in COLD.items() if name in row]
    rows += [("**together**", seconds(cold_total(row))), ("a second scene", seconds(row.get("second_scene_s")))]
    return [*table(("Part", "Time"), rows), "", stamp(parts, ("cold_start",))]


def reserved(parts: Parts) -> list[str]:
    """GPU seconds requested and used, call by call."""
    row = parts["reserved"]
    rows = [
        (str(number_), call["kind"], f"{call['asked_s']} s", seconds(call["used_s"])) for number_, call in enumerate(row["rows"], 1)
    ]  # fmt: skip
    text = f"From the eleventh call on, {number(row['asked_over_used'])} s were requested per second used."
    return [*table(("Call", "size, video, worker", "requested", "used"), rows), "", text, stamp(parts, ("reserved",))]


def video(parts: Parts) -> list[str]:
    """The video, and what a worker sends back."""
    row = parts["video"]
    rows = [
        (f"{row['frames']} frames rendered", seconds(row["rendered_s"])),
        ("rendered and written to disk", seconds(row.get("on_disk_s"))),
        ("size of the file", number(row.get("mb"), "MB")),
        ("scene and video packed on the host", seconds(row.get("packed_s"))),
        ("the same pickled", seconds(row.get("pickled_s"))),
        ("size of scene, light scene and frames", number(row.get("transfer_mb"), "MB")),
    ]
    return [*table(("What", "Figure"), [r for r in rows if not r[1].startswith(MISSING)]), "", stamp(parts, ("video",))]


def idle(parts: Parts) -> list[str]:
    """Where the GPU idles during a scene."""
    row = parts["trace"]
    rows = [
        (name, number(s["ms"], "ms"), str(s["launches"]), number(s["idle_inside_ms"], "ms")) for name, s in row["stages"].items()
    ]  # fmt: skip
    between = sum(gap["ms"] for gap in row["gaps_between_stages"])
    text = (
        f"Under the profiler the GPU idles {number(row['idle_ms'], 'ms')} of {number(row['device_ms'], 'ms')}, of which "
        f"{number(between, 'ms')} between stages."
    )
    return [*table(("Stage", "busy", "launches", "idle inside"), rows), "", text, stamp(parts, ("trace",))]


TABLES: dict[str, tuple[str, Callable[[Parts], list[str]]]] = {
    "headline": ("scene", headline), "summary": ("scene", summary), "stages": ("stages", stages), "idle": ("trace", idle), "compiling": ("compile", compiling),
    "graphs": ("verify", graphs), "static": ("static_graphs", static), "growth": ("growth", growth),
    "offload": ("offload", offload), "rounding": ("rounding", rounding), "cold_start": ("cold_start", cold_start),
    "reserved": ("reserved", reserved), "video": ("video", video),
}  # fmt: skip
"""By the name in a file's markers: the part that must be there, and the table."""
