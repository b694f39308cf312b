from __future__ import annotations

import json

import pytest

from tests.zerogpu.device_api import Rules, alive
from tests.zerogpu.harness import ZeroGpuApp, wait_for


@pytest.fixture(scope="session")
def running_app():
    with ZeroGpuApp("tests.zerogpu.small_app:demo", gpus=2) as app:
        yield app


@pytest.fixture
def app(running_app):
    """The running app with a platform that has one free GPU, no memory of workers and no bad intentions."""
    running_app.api.rules = Rules()
    earlier = [gpu.pid for gpu in running_app.api.slots if gpu.pid is not None]
    running_app.api.use(1)
    assert wait_for(lambda: not any(map(alive, earlier)))
    running_app.api.calls.clear()
    return running_app


@pytest.fixture
def stages():
    """The JSON texts an endpoint gave, read."""
    return lambda visit: [json.loads(text) for text in visit.outputs]
