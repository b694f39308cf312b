"""Parts about the cost of a call besides the scene: the video, the transfer out of a worker, the requested seconds."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

from benchmarks.gpu.run import VIDEO_FPS, Run
from benchmarks.stages import a_request
from flashworld.inputs import GenerationRequest, VideoSettings
from flashworld.io.video import write_video
from flashworld.pipeline import FlashWorldPipeline
from flashworld.result import SceneResult
from flashworld.serving.costs import Work
from flashworld.serving.durations import DurationModel
from flashworld.serving.transfer import pack_result

LEARNING_CALLS = 10
"""Calls after which the estimates should have converged."""
CALLS_AFTER = 4


def video(run: Run) -> dict[str, object]:
    """A finished scene's video, from the GPU to a file, and the transfer out of a worker."""
    run.install_graphs()
    result = FlashWorldPipeline(run.networks)(run.filmed())
    found: dict[str, object] = {"gaussians": len(result.scene), "frames": len(list(result.iter_video()))}
    found["rendered_s"] = run.timed(lambda: [None for _ in result.iter_video()])
    run.keep(**found)
    path = run.result.parent / "scene.mp4"
    found["on_disk_s"] = run.timed(lambda: film(result, path))
    found["mb"] = path.stat().st_size / 1e6
    path.unlink()
    packed: list[object] = []
    found["packed_s"] = run.timed(lambda: packed.append(pack_result(result)))
    pickled: list[bytes] = []
    found["pickled_s"] = run.timed(lambda: pickled.append(pickle.dumps(packed[0])))
    return found | {"transfer_mb": len(pickled[0]) / 1e6}


def film(result: SceneResult, path: Path) -> None:
    """Render and encode, a few frames at a time."""
    settings = result.request.video
    write_video(result.iter_video(), path, fps=settings.fps, quality=settings.quality)


def reserved(run: Run) -> dict[str, object]:
    """Real calls of several kinds: GPU seconds requested, as on ZeroGPU, over those used."""
    run.install_graphs()
    pipeline = FlashWorldPipeline(run.networks)
    model = DurationModel(str(run.found["card"]), factor=1.0, cap_s=120.0)
    kinds = requests(run)
    pipeline(kinds[0])  # the first call of a process differs from the others: in a Space it is a cold start
    rows = []
    for number in range(LEARNING_CALLS + CALLS_AFTER):
        request = kinds[number % len(kinds)]
        frames = request.video.frame_count(request.frames) if request.video.enabled else 0
        work = Work(request.frames, request.height, request.width, frames)
        asked = model.estimate(work)
        run.networks.text.forget()
        used = run.timed(lambda request=request: pack_result(pipeline(request)))
        model.record(work, used)
        rows.append({"asked_s": asked.request_s, "expected_s": asked.expected_s, "used_s": used, "kind": work.bucket})
        run.keep(rows=rows)
    late = rows[LEARNING_CALLS:]
    return {
        "rows": rows,
        "asked_over_used": sum(float(row["asked_s"]) for row in late) / sum(float(row["used_s"]) for row in late),
        "cut_short": sum(float(row["used_s"]) > float(row["asked_s"]) for row in rows),
    }


def requests(run: Run) -> list[GenerationRequest]:
    """Typical requests: the default, portrait, without a video, with a long one."""
    usual = run.filmed()
    height, width = run.size
    upright = a_request(run.config, width, height)
    return [
        usual,
        replace(usual, video=VideoSettings(enabled=False)),
        replace(upright, video=usual.video),
        replace(usual, video=VideoSettings(fps=VIDEO_FPS, seconds=2 * run.args.video_frames / VIDEO_FPS)),
    ]
