"""One running app for all tests of its HTTP side."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from tests.app.running import RunningApp, Visitor

TOKEN = "hf_" + "secretsecret" * 3


@pytest.fixture(scope="session")
def app(tmp_path_factory) -> Iterator[RunningApp]:
    """Its environment holds a token, which must never be exposed."""
    with RunningApp(tmp_path_factory.mktemp("app"), env={"HF_TOKEN": TOKEN}) as app:
        yield app


@pytest.fixture
def visitor(app) -> Iterator[Visitor]:
    visitor = app.visitor()
    yield visitor
    visitor.http.close()


@pytest.fixture(scope="session")
def photo() -> bytes:
    import io

    pixels = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def scene(app, photo):
    """One visitor's finished scene: the answer of `generate`."""
    from tests.app.running import FILE

    visitor = app.visitor()
    answer = visitor.generate(image={"path": visitor.upload(photo), "meta": FILE})
    assert answer.error is None
    return answer
