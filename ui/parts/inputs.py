"""Step 1: a picture and/or a text, with a preview of the crop."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from gradio.data_classes import ImageData
from PIL import Image

from flashworld.errors import InputError
from flashworld.io.images.reading import Photo, read_picture
from flashworld.limits import MAX_IMAGE_BYTES, MAX_PROMPT_CHARS
from ui.components.pictures import crop_html, error_html
from ui.contract import Service
from ui.examples import EXAMPLES_DIR
from ui.parts.words import connect_words, known_words
from ui.texts import html, text
from ui.uploads import known_file

SHOWN_BY_BROWSERS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif"}


class PictureInput(gr.Image):
    """`gr.Image` that passes the file on unchanged: `flashworld.io.images.reading` decodes it and reports errors."""

    def preprocess(self, payload: ImageData | None) -> str | None:
        """The path of the uploaded file, or of an example's.

        Gradio checks a path only if the request marks it as one (`meta`), so a client could otherwise name any file.

        Raises:
            gr.Error: it is any other file.
        """
        if payload is not None and payload.path and not (payload.url or "").startswith("data:"):
            try:
                return known_file(payload.path, EXAMPLES_DIR)
            except InputError as error:
                raise gr.Error(str(error), title="Please change this", print_exception=False) from error
        pixels = super().preprocess(payload)
        return pixels if isinstance(pixels, str) else None

    def get_block_name(self) -> str:
        """The front end's name of the component."""
        return "image"


@dataclass(frozen=True)
class InputsPart:
    """The controls of step 1."""

    image: PictureInput
    crop: gr.HTML
    prompt: gr.Textbox
    words: gr.HTML


def build_inputs(service: Service) -> InputsPart:
    """Draw step 1."""
    some = service.understood is not None
    gr.HTML(f'<h2 class="fw-step"><b>1</b> {html("inputs.step")}</h2>', apply_default_css=False)
    image = PictureInput(
        label=text("inputs.picture"),
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard", "webcam"],
        height=220,
        buttons=[],
        elem_id="fw-image",
        elem_classes="fw-image",
    )
    crop = gr.HTML("", elem_id="fw-crop", apply_default_css=False)
    prompt = gr.Textbox(
        label=text("inputs.words"),
        placeholder=text("words.placeholder" if some else "inputs.placeholder"),
        info=known_words() if some else text("inputs.info"),
        lines=2,
        max_lines=6,
        max_length=MAX_PROMPT_CHARS,
        elem_id="fw-prompt",
    )
    words = gr.HTML("", elem_id="fw-words", apply_default_css=False)
    if service.understood is not None:
        connect_words(service.understood, prompt, words)
    return InputsPart(image, crop, prompt, words)


def read_upload(path: str | None) -> Photo | None:
    """Decode the visitor's picture.

    Raises:
        ImageError: unreadable, too large, too small.
    """
    return None if path is None else read_picture(Path(path))


def show_crop(path: str | None, height: int, width: int) -> str:
    """HTML below the picture: the crop, or the error in the file."""
    try:
        photo = read_upload(path)
        return "" if photo is None else crop_html(photo, height, width)
    except InputError as error:
        return error_html(str(error))


def showable(path: str | None) -> str | None:
    """A file that every browser can display: HEIC, TIFF and similar formats are converted to JPEG next to the upload."""
    if path is None or Path(path).suffix.lower() in SHOWN_BY_BROWSERS or Path(path).stat().st_size > MAX_IMAGE_BYTES:
        return path
    try:
        photo = read_picture(Path(path))
    except InputError:
        return path  # `show_crop` reports the error
    folder = Path(tempfile.mkdtemp(dir=Path(path).parent))
    copy = folder / "picture.jpg"
    Image.fromarray(photo.pixels).save(copy, "JPEG", quality=95)
    return str(copy)
