"""Private interfaces of other packages are as they were when the `*_compat` modules were written."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import inspect
import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import gradio as gr
import pytest
import torch
from gradio import state_holder
from gradio.data_classes import PredictBodyInternal
from gradio.queueing import Event, Queue
from gradio.route_utils import get_fn
from starlette.requests import Request
from torch._C._aoti import AOTIModelPackageLoader
from torch._inductor.package import load_package

from aot import spaces_compat, torch_compat
from flashworld.models import torch_compat as models_torch_compat
from flashworld.rendering import gsplat_compat
from ui import gradio_compat
from ui.gate import NO_STATISTICS, gate_options, limited_queue

READ_FROM = re.compile(r"Read from (\S+) ([\d.]+)\.$", re.MULTILINE)
LINE = "a-line"


@pytest.mark.parametrize("module", [torch_compat, models_torch_compat, spaces_compat, gsplat_compat, gradio_compat])
def test_installed_versions_are_those_the_modules_were_written_for(module):
    """If this fails, read the new version's private code, correct the module and its docstring's version."""
    found = READ_FROM.search((module.__doc__ or "").replace("\n", " ").strip())
    assert found, f"{module.__name__} must say which version it was read from"
    name, read_from = found.groups()
    assert version(name.lower()).partition("+")[0] == read_from


def test_torch_creates_the_loader_with_the_same_arguments():
    signature = AOTIModelPackageLoader.__init__.__doc__
    assert re.search(r"arg0: str, arg1: str, arg2: bool, arg3: [\w.]*[iI]nt, arg4: [\w.]*[iI]nt\)", signature)
    defaults = {name: p.default for name, p in inspect.signature(load_package).parameters.items()}
    assert list(defaults) == ["path", "model_name", "run_single_threaded", "num_runners", "device_index"]
    assert (defaults["model_name"], defaults["num_runners"], defaults["device_index"]) == (
        torch_compat.MODEL_NAME,
        1,
        -1,
    )


def test_torch_library_accepts_weights_that_it_does_not_own():
    torch_compat.import_loader()
    from torch.export.pt2_archive._package import AOTICompiledModel

    assert list(inspect.signature(AOTICompiledModel).parameters) == ["loader"]
    assert "user_managed" in inspect.signature(AOTICompiledModel.load_constants).parameters
    assert list(inspect.signature(AOTICompiledModel.get_constant_fqns).parameters) == ["self"]


def test_torch_multiplies_scaled_e4m3_matrices_with_the_same_arguments():
    arguments = {argument.name: str(argument.type) for argument in torch.ops.aten._scaled_mm.default._schema.arguments}
    assert arguments == {
        "self": "Tensor", "mat2": "Tensor", "scale_a": "Tensor", "scale_b": "Tensor", "bias": "Optional[Tensor]",
        "scale_result": "Optional[Tensor]", "out_dtype": "Optional[int]", "use_fast_accum": "bool",
    }  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(size, 32, generator=generator).to(torch.float8_e4m3fn) for size in (48, 16))
    bias, scale = torch.randn(16, generator=generator).bfloat16(), torch.tensor([0.5])
    got = models_torch_compat.scaled_matmul(x, weight, scale, 4 * scale, bias)
    wanted = x.float() @ weight.float().t() + bias.float()
    assert got.dtype == torch.bfloat16 and torch.allclose(got.float(), wanted, rtol=2**-7, atol=2**-7)


def test_torch_refuses_files_that_are_not_libraries(tmp_path):
    (tmp_path / "a.pt2").write_bytes(b"no archive")
    with pytest.raises(RuntimeError):
        torch_compat.load_library(tmp_path / "a.pt2")


def test_spaces_reports_zero_gpu_and_its_duration_factor(monkeypatch):
    from spaces.config import Config

    assert not spaces_compat.on_zero_gpu() and spaces_compat.platform_factor() == 1.0
    monkeypatch.setattr(Config, "zero_gpu", True)
    assert spaces_compat.on_zero_gpu() and spaces_compat.platform_factor() > 0


def test_spaces_cleans_up_after_loaded_graphs(monkeypatch):
    from spaces.config import Config
    from spaces.zero.torch import aoti

    monkeypatch.setattr(Config, "zero_gpu", True)
    assert list(inspect.signature(aoti._register_aoti_cleanup).parameters) == []
    with spaces_compat.cleanup_when_worker_dies():
        pass


def test_gsplat_reports_its_kernels_and_their_absence():
    spec = importlib.util.find_spec("gsplat.cuda")
    source = Path(spec.submodule_search_locations[0], "_backend.py").read_text()
    top = ast.parse(source).body
    assert any(isinstance(node, ast.Assign) and ast.unparse(node) == "_C = None" for node in top)
    assert "from gsplat import csrc as _C" in source


def test_gradio_downloads_links_through_the_function_that_is_replaced(monkeypatch):
    monkeypatch.setattr(gradio_compat.processing_utils, "async_ssrf_protected_download", None)
    gate_options()
    moving = gr.File().async_move_resource_to_block_cache("https://example.com/picture.png")
    with pytest.raises(gr.Error, match="links are not fetched"):
        asyncio.run(moving)


def test_gradio_reports_an_unknown_function_as_the_gate_expects():
    with gr.Blocks() as page:
        gr.Button().click(lambda: None, api_name="there")
    for body in ({"fn_index": 99}, {}):
        with pytest.raises(gradio_compat.UNKNOWN_FUNCTION):
            get_fn(page, "gone", gr.data_classes.PredictBody(data=[], **body))


def test_gradio_creates_sessions_without_copies_and_keeps_their_values(monkeypatch):
    monkeypatch.setattr(
        state_holder, "SessionState", gradio_compat._Session.__base__
    )  # another test may have replaced it
    with gr.Blocks() as page:
        box, state = gr.Textbox("first"), gr.State([])
    holder = state_holder.StateHolder()
    holder.set_blocks(page)
    page.state_session_capacity = holder.capacity = 2
    assert list(holder["before"].components), (
        "Gradio copies nothing any more: `keep_no_copies_for_deep_links` is not needed"
    )
    gradio_compat.keep_no_copies_for_deep_links()
    mine, others = holder["mine"], holder["others"]
    assert not list(mine.components)
    mine[state._id].append("mine")
    mine[box._id] = gr.Textbox("second", render=False)
    mine._update_value_in_config(box._id, "third")
    assert (mine[state._id], others[state._id]) == (["mine"], [])
    assert (mine[box._id].value, others[box._id].value) == ("second", "first")
    assert "before" not in holder and mine.blocks_config.fns == page.default_config.fns


def test_gradio_keeps_queued_requests_in_order():
    with gr.Blocks() as page:
        gr.Button().click(lambda: None, concurrency_id=LINE, concurrency_limit=1)
    (function,) = page.fns.values()
    queue = page._queue
    queue.create_event_queue_for_fn(function)
    waiting = queue.event_queue_per_concurrency_id[LINE]
    assert isinstance(waiting.queue, list) and waiting.current_concurrency == 0
    waiting.queue += [Event(name, function, None, None) for name in ("first", "second")]
    waiting.current_concurrency = 1
    assert [gradio_compat.people_ahead(queue, LINE, name) for name in ("first", "second", "away")] == [1, 2, None]
    assert gradio_compat.people_ahead(queue, "no such line", "first") is None


@pytest.fixture
def line():
    """A queue that remembers two sessions, and a request of the session "waits" that is waiting in it."""
    with gr.Blocks() as page:
        gr.Button().click(lambda: None)
    (function,) = page.fns.values()
    gradio_compat.remember_sessions(page._queue, 2)
    event = Event("waits", function, None, None)
    page._queue.event_ids_to_events[event._id] = event
    return Line(page._queue, event)


@dataclass
class Line:
    """Joins sessions as Gradio's queue does when a request arrives."""

    queue: Queue
    event: Event

    @property
    def sessions(self) -> list[str]:
        return list(self.queue.pending_messages_per_session)

    @property
    def with_ids(self) -> list[str]:
        return list(self.queue.pending_event_ids_session)

    def join(self, *sessions: str) -> None:
        for session in sessions:
            self.queue.pending_messages_per_session[session] = asyncio.Queue()
            ids = {self.event._id} if session == self.event.session_hash else set()
            self.queue.pending_event_ids_session[session] = ids


def test_gradio_keeps_few_past_sessions_and_all_that_wait(line):
    line.join("done", "waits", "newer", "newest")
    assert line.sessions == line.with_ids == ["waits", "newest"]
    line.queue.event_ids_to_events.clear()  # it ran
    line.queue.pending_event_ids_session["waits"].clear()  # and was answered
    line.join("newest of all")
    assert line.sessions == line.with_ids == ["newest", "newest of all"]


def test_gradio_keeps_answers_that_were_not_fetched_up_to_its_own_limit(line):
    line.join("first", "second")
    for session in ("first", "second"):
        line.queue.pending_event_ids_session[session].add("an id")
    line.join("a", "b", "c")
    assert line.sessions == ["first", "second", "c"]
    line.queue.pending_messages_per_session.max_size = 3
    line.queue.pending_event_ids_session["c"].add("an id")
    line.join("d")
    assert line.sessions == ["second", "c", "d"]


def test_gradio_forgets_requests_of_visitors_who_left_while_they_ran(line):
    line.join("waits", "left")
    for session in ("waits", "left"):
        del line.queue.pending_messages_per_session[session]  # what Gradio does when a stream is cut
    line.queue.pending_event_ids_session["left"].add("an id")
    line.join("a", "b", "c")
    assert line.with_ids == ["waits", "b", "c"]


def test_gradio_pushes_requests_into_the_queues_that_are_kept(line):
    async def push(*sessions: str) -> None:
        for session in sessions:
            body = PredictBodyInternal(data=[], fn_index=0, session_hash=session)
            assert (await line.queue.push(body, Request({"type": "http"}), None))[2] == "success"
            await line.queue.clean_events(session_hash=session)  # as if it left before it was served

    kept = line.queue.pending_messages_per_session
    assert kept.max_size == 2000
    asyncio.run(push("a", "b", "c", "d"))
    assert line.queue.pending_messages_per_session is kept
    assert line.sessions == ["c", "d"]


def test_gradio_keeps_no_statistics_of_requests(monkeypatch):
    for name in NO_STATISTICS:
        monkeypatch.setenv(name, "")  # so that it is unset again afterwards
        monkeypatch.delenv(name)
    with gr.Blocks() as page:
        gr.Button().click(lambda: None)
    limited_queue(page, max_size=60)
    queue = page._queue
    assert (queue.max_size, queue.ANALYTICS_MAX_EVENTS, page.api_open) == (60, 1, False)
    queue.events_recorded = 10**6
    record = {"function": "f", "status": "success", "process_time": 1.0}
    assert queue.compute_analytics_summary([record]) == {"functions": {}}
