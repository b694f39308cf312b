"""A scene as one HTML file: the light scene and the viewer inside, opened from a disk or an e-mail without a network.

The viewer's modules are the page's own files, embedded as data URLs under names of an import map.
"""

from __future__ import annotations

import base64
import json
from functools import lru_cache
from html import escape
from pathlib import Path

from flashworld.errors import SceneError
from flashworld.io.atomic import replacing
from ui.components.stage import STATIC_DIR
from ui.contract import Result
from ui.parts.result import scene_file, scene_view
from ui.texts import SCRIPT, viewer_texts
from ui.theme import CSS_DIR

FILE_NAME = "scene.html"
MODULES = {"viewer.js": "fw-viewer", "splats.js": "fw-splats", "shared.js": "fw-shared"}
"""Files of the viewer, and their module names in the page: relative imports do not work in a data URL."""
STYLES = ("1-colours.css", "4-stage.css")
_TEMPLATE = Path(__file__).parent / "assets" / "web_page.html"


def write_web_page(result: Result, folder: Path) -> Path:
    """Write a result's scene as a web page.

    Args:
        result: With at least one SPZ.
        folder: Target folder.

    Raises:
        SceneError: there is no scene.
        WriteError: the page cannot be written.
    """
    scene = scene_file(result)
    if scene is None:
        raise SceneError("web page: expected a result with its scene, found none")
    view = {**scene_view(result), "poster": None, "scene": None, "full": None}  # files of a server
    parts = {
        "CSS": "\n".join((CSS_DIR / name).read_text(encoding="utf-8") for name in STYLES),
        "IMPORTS": _imports(),
        "FACTS": escape(f"Made with FlashWorld · seed {result.seed}"),
        "TEXTS": _inside_script(json.dumps(viewer_texts())),
        "SCRIPT": SCRIPT,
        "VIEW": _inside_script(json.dumps(view)),
        "SCENE": base64.b64encode(scene.read_bytes()).decode(),
    }
    page = _TEMPLATE.read_text(encoding="utf-8")
    for name, text in parts.items():
        page = page.replace(f"__{name}__", text, 1)
    path = folder / FILE_NAME
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


@lru_cache(maxsize=1)
def _imports() -> str:
    """The import map, 4 MB."""
    return json.dumps({"imports": {name: _module(STATIC_DIR / file) for file, name in MODULES.items()}})


def _module(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    for other, name in MODULES.items():
        text = text.replace(f'"./{other}"', f'"{name}"')
    return "data:text/javascript;base64," + base64.b64encode(text.encode()).decode()


def _inside_script(text: str) -> str:
    """JSON that cannot close the element that contains it."""
    return text.replace("<", "\\u003c")
