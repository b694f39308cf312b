"""Write `docs/licences.md`: what `requirements.txt` installs and under which licence, as each package states it.

python -m docs.make_licences
"""

from __future__ import annotations

import re
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = Path(__file__).with_name("licences.md")
STATED_ELSEWHERE = {
    "gsplat": "Apache-2.0 (its LICENSE file)",
    "cuda-toolkit": "NVIDIA, proprietary (an empty package that names the CUDA ones)",
    "plyfile": "**GPL-3.0-or-later**",
    "imageio-ffmpeg": "BSD-2-Clause; the FFmpeg program inside is **GPL-3.0-or-later** (built with x264)",
    "pillow-heif": "BSD-3-Clause; its wheels are **GPL-2.0** because of libx265, with LGPL-3.0 libheif and libde265",
    "wadler-lindig": "Apache-2.0",
}
"""Where the metadata says nothing, or less than the files inside."""
CLASSIFIERS = {
    "MIT License": "MIT",
    "BSD License": "BSD",
    "Apache Software License": "Apache-2.0",
    "Other/Proprietary License": "proprietary",
}
INTRODUCTION = """\
# Licences

| What | Licence |
|---|---|
| Code of this repository | Apache-2.0, see [LICENSE](../LICENSE) |
| FlashWorld's weights (`imlixinyang/FlashWorld`) | reported as CC BY-NC-SA 4.0: **non-commercial**, also for scenes made with them. Read the model card before you publish anything |
| Wan2.2-TI2V-5B (text encoder, tokenizer, VAE) | reported as Apache-2.0: read the model card |
| Pictures of `examples/` | CC0, public domain and CC BY 2.0, one by one in [examples/LICENSES.md](../examples/LICENSES.md) |
| Scripts of the 3D viewer (`ui/assets/static/`): Spark 2.2.0, three 0.187.0, fflate | MIT; `LICENSE-*` beside them |
| Python packages | the table below |

## What the GPL parts mean

Three packages bring GPL code: plyfile (it writes the header of PLY files), the FFmpeg program inside imageio-ffmpeg
(it runs as a program of its own), and the wheels of pillow-heif (HEIC photographs).

- **You run the app, here or on a Space:** nothing to do. This repository holds none of them; `pip` fetches them.
- **You hand on a bundle** (a container image, an installer, an archive with the packages inside): the bundle as a whole
  then has to meet the GPL. In short: licence texts go along, the source of the GPL parts and of what is combined with
  them is offered, and nothing may be added that forbids either. Apache-2.0 code may be part of a work under GPL-3.0, but
  not of one under GPL-2.0 alone: do not bundle the wheels of pillow-heif, build it without x265 instead.
- **You hand on this repository alone:** Apache-2.0.

This is a plain reading, not legal advice. The CUDA libraries are proprietary; NVIDIA's terms say what may be handed on.

## Python packages

Written by `python -m docs.make_licences` from the packages' own metadata.

| Package | Version | Licence |
|---|---|---|
"""


def pinned() -> dict[str, str]:
    """Packages and versions of `requirements.txt`; where two Pythons differ, both versions."""
    found: dict[str, str] = {}
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        match = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;]+)", line)
        if match:
            name, version = match.groups()
            found[name] = f"{found[name]}, {version}" if name in found else version
    return found


def licence_of(name: str) -> str:
    """What a package says of itself."""
    if name in STATED_ELSEWHERE:
        return STATED_ELSEWHERE[name]
    try:
        said = metadata(name)
    except PackageNotFoundError:
        return "not installed on this platform"
    return said.get("License-Expression") or _short(said) or _classified(said) or "not stated"


def _short(said: PackageMetadata) -> str:
    text = (said.get("License") or "").strip()
    return "" if "\n" in text or len(text) > 60 else text


def _classified(said: PackageMetadata) -> str:
    kinds = [line.split(" :: ")[-1] for line in said.get_all("Classifier") or () if line.startswith("License ::")]
    return ", ".join(CLASSIFIERS.get(kind, kind) for kind in kinds)


def generate() -> str:
    """The file as it should be now."""
    return INTRODUCTION + "".join(
        f"| {name} | {version} | {licence_of(name)} |\n" for name, version in pinned().items()
    )


if __name__ == "__main__":
    TARGET.write_text(generate(), encoding="utf-8")
