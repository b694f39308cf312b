"""The kinds of visits of a soak test, and the permitted outcomes of each."""

from __future__ import annotations

import io
import json
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
from PIL import Image

from tests.app.running import FILE, RESULT_FILES, Answer, RunningApp, Visitor

RESULT, REFUSED, LEFT, LOST = "result", "refused", "left", "LOST"
SENTENCE_CHARS = 70
BROKEN_SHARE, LEFT_SHARE = 0.3, 0.1
HUGE = 60 * 2**20


@dataclass(frozen=True, order=True)
class Outcome:
    """How one request ended.

    Attributes:
        kind: The kind of request.
        end: A result, a refusal with a message, left by the visitor, or lost.
        sentence: The message shown, shortened.
    """

    kind: str
    end: str
    sentence: str = ""


def picture(kind: str = "PNG") -> bytes:
    """A picture with a few colours."""
    pixels = np.random.default_rng(3).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((120, 80)).save(buffer, kind)
    return buffer.getvalue()


BROKEN: dict[str, Callable[[Visitor], Answer | httpx.Response]] = {
    "no words": lambda v: v.generate(text=""),
    "long words": lambda v: v.generate(text="a" * 100_000),
    "html words": lambda v: v.generate(text="<b>x</b>", height=65),
    "words a list": lambda v: v.generate(text=["a"]),
    "huge size": lambda v: v.generate(height=2**31, width=2**31),
    "not a number": lambda v: v.generate(fov_y_deg="nan"),
    "no such path": lambda v: v.generate(path="../../etc/passwd"),
    "parameters broken": lambda v: v.generate(params='{"angle_deg": 1e308}'),
    "path broken": lambda v: v.generate(path_json=json.dumps({"cameras": [{"position": [0, 0]}] * 3})),
    "one camera": lambda v: v.generate(
        path_json=json.dumps({"cameras": [{"position": [0, 0, 0], "quaternion": [0] * 4}]})
    ),
    "cut picture": lambda v: v.generate(image=_file(v, picture("JPEG")[:200])),
    "no picture": lambda v: v.generate(image=_file(v, b"<svg/>")),
    "server's file": lambda v: v.generate(image={"path": "/etc/passwd"}),
    "a link": lambda v: v.generate(image={"path": f"http://127.0.0.1:9/{uuid.uuid4().hex}", "meta": FILE}),
    "too few values": lambda v: v.call("generate", [None]),
    "not JSON": lambda v: v.http.post(
        "/gradio_api/queue/join", content=b"{", headers={"content-type": "application/json"}
    ),
    "too large": lambda v: v.http.post("/gradio_api/upload", files={"files": ("a.png", bytes(HUGE))}),
    "no such event": lambda v: v.http.post("/gradio_api/call/nothing", json={"data": []}),
}
GOOD = ("text", "picture")
LEAVING = ("hangs up", "cancels", "hangs up waiting")


def plan(requests: int, seed: int = 7) -> list[str]:
    """The kind of each request, in shuffled order."""
    broken, left = round(requests * BROKEN_SHARE), round(requests * LEFT_SHARE)
    names = list(BROKEN)
    kinds = [names[i % len(names)] for i in range(broken)]
    kinds += [LEAVING[i % len(LEAVING)] for i in range(left)]
    kinds += [GOOD[i % len(GOOD)] for i in range(requests - broken - left)]
    random.Random(seed).shuffle(kinds)
    return kinds


class Visits:
    """Makes visits to one app."""

    def __init__(self, app: RunningApp) -> None:
        self.app = app

    def run(self, kind: str) -> Outcome:
        """Make one visit of a kind and say how it ended."""
        visitor = self.app.visitor()
        try:
            if kind in BROKEN:
                return _refusal(kind, BROKEN[kind](visitor))
            if kind in LEAVING:
                return self._leave(kind, visitor)
            image = _file(visitor, picture()) if kind == "picture" else None
            return _result(kind, visitor.generate(image=image, seed=random.randrange(1000)))
        except (httpx.HTTPError, ValueError, KeyError) as error:
            return Outcome(kind, LOST, repr(error)[:SENTENCE_CHARS])
        finally:
            visitor.http.close()

    def _leave(self, kind: str, visitor: Visitor) -> Outcome:
        """Disconnect as the page does: the heartbeat ends while a job is running or queued."""
        values = visitor.page_values("job", fw_prompt="a blue box", fw_frames=2)
        with visitor.http.stream("GET", f"/gradio_api/heartbeat/{visitor.session}") as heartbeat:
            next(heartbeat.iter_raw())
            if kind != "cancels":
                moment = "process_generating" if kind == "hangs up" else "estimation"
                answer = visitor.call("job", values, leave_at=moment)
                return Outcome(kind, LEFT) if answer.messages[-1:] == [moment] else _result(kind, answer)
            joined = visitor.join("job", values)
            if joined.status_code != 200:
                return Outcome(kind, REFUSED, joined.text[:SENTENCE_CHARS])
            event = joined.json()["event_id"]
            visitor.follow(event, leave_at="process_generating")
            body = {"session_hash": visitor.session, "fn_index": visitor.event("job")["id"], "event_id": event}
            visitor.http.post("/gradio_api/cancel", json=body).raise_for_status()
            return Outcome(kind, LEFT)


def _file(visitor: Visitor, content: bytes) -> dict[str, Any]:
    return {"path": visitor.upload(content), "meta": FILE}


def _result(kind: str, answer: Answer) -> Outcome:
    """A result with every file that a request without a light scene gives, or a refusal with a message."""
    if answer.data is None:
        return _refusal(kind, answer)
    missing = RESULT_FILES - set(answer.data[0].get("files", ()))
    return Outcome(kind, LOST if missing else RESULT, f"without {sorted(missing)}" if missing else "")


def _refusal(kind: str, answer: Answer | httpx.Response) -> Outcome:
    if isinstance(answer, httpx.Response):
        ok = 400 <= answer.status_code < 500 or answer.status_code == 503
        return Outcome(kind, REFUSED if ok else LOST, f"{answer.status_code} {answer.text[:SENTENCE_CHARS]}")
    if answer.data is not None:
        return Outcome(kind, LOST, "a result for a broken request")
    clear = answer.error not in (None, "", "None") and "Traceback" not in str(answer.error)
    return Outcome(kind, REFUSED if clear else LOST, str(answer.error)[:SENTENCE_CHARS].replace("\n", " "))
