"""Run a job in Blender and read its result."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.viewers.browser import Shown
from benchmarks.viewers.subject import Subject

SCRIPT = Path(__file__).with_name("blender_scene.py")
SAMPLES = 16
LIMIT_S = 300


def blender(python: Path, subject: Subject, folder: Path) -> Shown:
    """Import the PLY of `folder` as points and render them.

    Raises:
        RuntimeError: Blender failed.
    """
    picture, job = folder / "blender.png", folder / "blender.json"
    words = {
        "ply": str(folder / "scene.ply"),
        "picture": str(picture),
        "c2w": subject.camera.c2w[0].tolist(),
        "fov_y_deg": subject.fov_y_deg,
        "height": subject.height,
        "width": subject.width,
        "samples": SAMPLES,
    }
    job.write_text(json.dumps(words))
    done = subprocess.run(
        [str(python), str(SCRIPT), str(job)], capture_output=True, text=True, check=False, timeout=LIMIT_S
    )
    if done.returncode or not picture.is_file():
        raise RuntimeError(f"Blender: {done.stderr[-500:]}")
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    return Shown(np.asarray(Image.open(picture).convert("RGB")), answer["count"])
