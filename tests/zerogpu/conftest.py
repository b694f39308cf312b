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
    """The running app, on a platform with one free GPU, no idle workers and no faults."""
    running_app.api.rules = Rules()
    earlier = [gpu.pid for gpu in running_app.api.slots if gpu.pid is not None]
    running_app.api.use(1)
    assert wait_for(lambda: not any(map(alive, earlier)))
    running_app.api.calls.clear()
    return running_app


@pytest.fixture
def stages():
    """A function that parses the JSON texts of an endpoint's outputs."""
    return lambda visit: [json.loads(text) for text in visit.outputs]
