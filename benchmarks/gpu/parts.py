"""The parts of `benchmarks.gpu_all` in order: whole scenes before anything that takes minutes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One part.

    Attributes:
        job: module:function, which takes the `Run` and returns plain data.
        seconds: Approximate time at full size on an H100; with less time left it is not started.
        limit: Seconds after which it is killed.
    """

    job: str
    seconds: float
    limit: float


PARTS = {
    "machine": Part("benchmarks.gpu.scene:machine", 12, 60),
    "scene_eager": Part("benchmarks.gpu.scene:scene_eager", 30, 90),
    "compile": Part("benchmarks.gpu.graphs:compile_missing", 30, 480),
    "scene": Part("benchmarks.gpu.scene:scene", 30, 90),
    "stages": Part("benchmarks.gpu.scene:stages", 30, 90),
    "stages_eager": Part("benchmarks.gpu.scene:stages_eager", 35, 90),
    "verify": Part("benchmarks.gpu.graphs:verify", 60, 180),
    "reserved": Part("benchmarks.gpu.calls:reserved", 50, 120),
    "video": Part("benchmarks.gpu.calls:video", 30, 90),
    "cold_start": Part("benchmarks.gpu.cold:cold_start", 35, 240),
    "device_tests": Part("benchmarks.gpu.precision:device_tests", 60, 180),
    "rounding": Part("benchmarks.gpu.precision:rounding", 45, 120),
    "trace": Part("benchmarks.gpu.scene:trace", 45, 90),
    "growth": Part("benchmarks.gpu.scene:growth", 75, 180),
    "offload": Part("benchmarks.gpu.memory:offload", 110, 240),
    "static_graphs": Part("benchmarks.gpu.graphs:static_graphs", 90, 480),
    "bfloat16_graph": Part("benchmarks.gpu.graphs:bfloat16_graph", 60, 480),
}
"""Compiling takes 30 s if all graphs are found, and 200 s more if not: they are stored when all are ready, none before."""
