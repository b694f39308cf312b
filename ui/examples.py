"""The shipped examples: requests in `examples/<name>/`, with their results if there are any.

A folder holds `request.json` (see `flashworld.io.request_json`), the picture it names, and may hold `about.json`
({"title", "caption", "credit", "licence"}) and `result/` with the files of `ui.contract.FileName` under the names below
and `result.json`.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flashworld.config import DEFAULT_FOV_Y_DEG
from flashworld.errors import InputError
from flashworld.trajectories.json_forms import parse_trajectory
from ui.contract import FileName, Result
from ui.texts import TEXTS

EXAMPLES_DIR = Path(__file__).parents[1] / "examples"
RESULT_FILES: dict[FileName, str] = {
    "video": "video.mp4",
    "poster": "poster.webp",
    "viewer": "scene.spz",
    "spz": "scene.spz",
    "path": "path.json",
}
"""Files that are shipped if small enough. The others are made by generating the example."""

OPENINGS = ("coffee", "cat", "photographer", "astronaut")
"""In order of preference."""
OPENING_BYTES = 1_500_000
"""Every visitor of the page downloads it."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Example:
    """One example.

    Attributes:
        name: Folder name.
        title: Display name.
        caption: One sentence.
        credit: Author and licence of the picture; empty without a picture.
        request: The request JSON, unchanged.
        picture: The picture or None.
        thumbnail: The image in the gallery.
        result: The shipped result or None.
    """

    name: str
    title: str
    caption: str
    credit: str
    request: dict[str, Any]
    picture: Path | None
    thumbnail: Path | None
    result: Result | None

    def said(self, what: Literal["title", "caption"]) -> str:
        """The key of the title or caption among the page's texts, or "=" and the English text if it has none."""
        key = f"example.{self.name}" + (".caption" if what == "caption" else "")
        own = getattr(self, what)
        return key if TEXTS["en"].get(key) == own else f"={own}"


def opening_result(folder: Path = EXAMPLES_DIR) -> Result | None:
    """The scene that the page opens with: the first in `OPENINGS` that is shipped and light; None if there is none."""
    found = {example.name: example.result for example in load_examples(folder)}
    for name in OPENINGS:
        result = found.get(name)
        scene = result.files.get("viewer") if result else None
        if scene is not None and scene.stat().st_size <= OPENING_BYTES:
            return result
    return None


def load_examples(folder: Path = EXAMPLES_DIR) -> list[Example]:
    """All readable examples, by folder name; a damaged one is logged and skipped."""
    found = []
    for request_file in sorted(folder.glob("*/request.json")):
        try:
            found.append(_load(request_file.parent))
        except (OSError, ValueError, KeyError) as error:
            logger.warning("example %s is left out: %s", request_file.parent.name, error)
    return found


def _load(folder: Path) -> Example:
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    about_file = folder / "about.json"
    about = json.loads(about_file.read_text(encoding="utf-8")) if about_file.is_file() else {}
    named = request.get("image")
    picture = folder / Path(named).name if isinstance(named, str) and not named.startswith("data:") else None
    if picture is not None and not picture.is_file():
        raise KeyError(f"its picture {picture.name} is missing")
    result = _load_result(folder / "result")
    poster = result.files.get("poster") if result else None
    credit = ". ".join(part for part in (about.get("credit", ""), about.get("licence", "")) if part)
    return Example(
        name=folder.name,
        title=about.get("title") or folder.name.replace("_", " ").capitalize(),
        caption=about.get("caption") or request.get("text") or "",
        credit=credit,
        request=request,
        picture=picture,
        thumbnail=poster or picture,
        result=result,
    )


def _load_result(folder: Path) -> Result | None:
    facts_file = folder / "result.json"
    if not facts_file.is_file():
        return None
    facts = json.loads(facts_file.read_text(encoding="utf-8"))
    size = {"height": facts["height"], "width": facts["width"]}
    try:
        cameras = parse_trajectory(facts["cameras"], **size, fov_y_deg=DEFAULT_FOV_Y_DEG).cameras
    except InputError as error:
        raise ValueError(str(error)) from error
    files: dict[FileName, Path] = {
        name: folder / file for name, file in RESULT_FILES.items() if (folder / file).is_file()
    }
    return Result(
        files=files,
        seed=facts["seed"],
        gaussians=facts["gaussians"],
        cameras=cameras,
        **size,
        image_index=facts["image_index"],
        focus_distance=facts["focus_distance"],
    )
