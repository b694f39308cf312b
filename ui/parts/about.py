"""What it is not good at, how to use the files elsewhere, the API, licences."""

from __future__ import annotations

from html import escape

import gradio as gr

from ui.contract import Service

LIMITS = """
- **Moving things** (people, animals, water, traffic) come out frozen or smeared: the model makes still scenes.
- **Behind the camera** and far outside the path nothing is known. Stay near the path in the 3D view; wide orbits ask most.
- **Small text, faces and thin structures** (fences, leaves) are soft or wrong.
- **A picture and a path that contradict each other**, such as a close-up with a long flight forward, give invented ground.
- Landscape pictures with some depth work best. Portrait ones are fine; panoramas are cropped.
"""
ELSEWHERE = """
**SuperSplat**: open [superspl.at/editor](https://superspl.at/editor) and drag the **PLY** in. It stands upright.
**Blender** (with a splat add-on), **Unity**, **Unreal**, **PlayCanvas**, **gsplat** read the same PLY;
**Spark**, **Niantic/Scaniverse** tools and most web viewers read the **SPZ**.

| File | Holds | Axes |
|---|---|---|
| PLY | every Gaussian, float32, colours that change with the view (SH degree 2) | x right, y down, z forward (OpenCV) |
| SPZ | the same, compressed about 10 times | x right, y up, z back (OpenGL) |
| MP4 | the camera path as a film, H.264 | |
| Path | the cameras as JSON, camera-to-world | x right, y up, looking along −z (OpenGL) |
| ZIP | PLY, SPZ, MP4 and path together | |
| HTML | the scene and its viewer in one page: opens in any browser, without a network | |

Origin and axes are those of the first camera; one unit is one unit of the camera path.
"""
API = """
`generate` (picture and/or text) and `generate_from_text` are open to programs and to MCP clients; the link
**Use via API** at the foot of the page shows both.

```python
from gradio_client import Client, handle_file
client = Client("SPACE_OR_URL")
scene = client.predict(image=handle_file("photo.jpg"), text="", path="orbit_right", api_name="/generate")
```
"""
LICENCES = """
The code of this page and of the library is Apache-2.0. The **FlashWorld weights** are CC BY-NC-SA 4.0: scenes made with
them are for **non-commercial** use. The viewer is [Spark](https://sparkjs.dev) and
[three.js](https://threejs.org), both MIT. Model: *FlashWorld: High-quality 3D Scene Generation within Seconds*
([arXiv 2510.13678](https://arxiv.org/abs/2510.13678)).
"""


def header_html(service: Service) -> str:
    """Name, two sentences, and which model runs."""
    return (
        '<header class="fw-header"><div><h1>FlashWorld</h1>'
        "<p>A picture or a few words and a camera path: a 3D scene to fly through, in seconds.</p></div>"
        f'<p class="fw-model"><b>{escape(service.model_name)}</b><span>{escape(service.model_note)}</span></p></header>'
    )


def build_about() -> None:
    """Draw the folded texts at the foot."""
    with gr.Accordion("What it is not good at", open=False):
        gr.Markdown(LIMITS)
    with gr.Accordion("Open the files elsewhere (SuperSplat and others)", open=False):
        gr.Markdown(ELSEWHERE)
    with gr.Accordion("For programs: API and MCP", open=False):
        gr.Markdown(API)
    with gr.Accordion("Licences", open=False):
        gr.Markdown(LICENCES)
