"""Isolation of visitors: nobody else can fetch, name or guess a visitor's files; no path or link from a visitor is followed."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import re
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest
from PIL import Image

from tests.app.running import FILE, RESULT_FILES, ROOT, links
from tests.local_server import serving
from ui.gate import Gate
from ui.uploads import EXPECTED

REFUSED = {400, 403, 404, 405, 422, 500}


def test_links_work_for_their_holder_and_folders_have_128_random_bits(scene, app):
    other = app.visitor()
    found = links(scene)
    assert set(found) == RESULT_FILES
    for link in found.values():
        assert other.http.head(link).status_code == 200
    folders = {Path(urlsplit(link).path.partition("file=")[2]).parent.name for link in found.values()}
    (folder,) = folders
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{32}", folder)


def test_two_scenes_share_no_folder(app, scene):
    again = app.visitor().generate()
    assert Path(links(again)["ply"]).parent != Path(links(scene)["ply"]).parent


def test_guessed_and_malformed_names_give_nothing(app, scene, visitor):
    folder = Path(urlsplit(links(scene)["ply"]).path.partition("file=")[2]).parent
    root = folder.parent
    lock = next(app.temporary.glob("flashworld-app-*")) / ".lock"
    tries = [
        *(str(p) for p in (root, folder, folder.parent.parent, lock, app.log_path, ROOT / "app.py", "/etc/passwd")),
        f"{root}/", f"{folder}/", f"{folder}/*", f"{folder}/nothing.ply", str(root / ("0" * 32) / "scene.ply"),
        f"{root}/../.lock", f"{folder}/../../.lock", f"{root}/%2e%2e/.lock", f"{root}/..%2f.lock", f"{root}%2f..%2f.lock",
        f"{ROOT}/ui/assets/static/../../page.py", f"{ROOT}/ui/assets/static/%2e%2e/%2e%2e/page.py", f"{ROOT}/examples/..%2fapp.py",
        "/proc/self/environ", "/dev/stdin", "file:///etc/passwd", "//etc/passwd", "~/.bashrc", ".", "..",
    ]  # fmt: skip
    for name in tries:
        answer = visitor.get(f"/gradio_api/file={name}")
        assert answer.status_code in REFUSED, f"{name}: {answer.status_code}"
        assert "root:" not in answer.text
    for route in ("static", "assets", "svelte", "gradio_api/custom_component/1/client/component"):
        for twist in ("../../../../../../etc/passwd", "%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "..%2f..%2fapp.py"):
            answer = visitor.get(f"/{route}/{twist}")
            assert answer.status_code in REFUSED, f"{route}/{twist}: {answer.status_code}"


@pytest.fixture
def secret(tmp_path):
    """A private picture on the server, and a function that tells whether it has been read."""
    path = tmp_path / "secret.png"
    Image.new("RGB", (64, 64), "red").save(path)
    os.utime(path, (1, time.time()))

    def was_read() -> bool:
        return path.stat().st_atime > 1

    yield path, was_read
    before = was_read()
    path.read_bytes()
    if not before and not was_read():
        pytest.skip("this file system keeps no access times")


def test_symlink_among_uploads_is_not_followed(app, visitor, secret):
    """Nothing creates one; should one appear, a request's picture is not read through it."""
    path, was_read = secret
    link = next(app.temporary.glob("flashworld-app-*")) / "uploads" / "link.png"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(path)
    try:
        assert visitor.generate(image={"path": str(link)}).error == EXPECTED
        assert visitor.generate(image={"path": str(link), "meta": FILE}).error
        assert not was_read()
    finally:
        link.unlink()


def test_no_path_from_a_visitor_is_opened(visitor, scene, secret):
    path, was_read = secret
    others = urlsplit(links(scene)["poster"]).path.partition("file=")[2]
    shapes = [
        lambda p: {"path": p}, lambda p: {"path": p, "meta": FILE}, lambda p: {"path": p, "meta": {}},
        lambda p: {"path": p, "url": p, "meta": FILE}, lambda p: {"path": p, "is_stream": True, "meta": FILE},
        lambda p: {"path": None, "url": p, "meta": FILE}, lambda p: p, lambda p: [p], lambda p: {"path": [p]},
    ]  # fmt: skip
    for shape in shapes:
        for name in (str(path), "/etc/passwd", others, str(ROOT / "examples/cat/cat.jpg"), "", "\0", "../x.png"):
            answer = visitor.generate(image=shape(name))
            assert answer.data is None and answer.error, (shape(name), answer)
            assert not was_read(), shape(name)


def test_private_page_events_open_no_path_either(visitor, secret):
    """They can be called by index, as the page does; the file must still be an uploaded one."""
    path, was_read = secret
    components = {c["id"]: c["type"] for c in visitor.config["components"]}
    tried = 0
    for event in visitor.config["dependencies"]:
        files = [i for i in event["inputs"] if components[i] in ("image", "file", "model3d", "video", "downloadbutton")]
        if not files or not event["backend_fn"]:
            continue
        for shape in ({"path": str(path)}, {"path": str(path), "meta": FILE}, str(path)):
            values = [
                shape if i in files else v
                for i, v in zip(event["inputs"], visitor.page_values(event["api_name"]), strict=True)
            ]
            body = {"data": values, "fn_index": event["id"], "session_hash": visitor.session}
            joined = visitor.http.post("/gradio_api/queue/join", json=body)
            if joined.status_code == 200:
                answer = visitor.follow(joined.json()["event_id"])
                assert answer.data is None, (event["api_name"], answer)
            assert not was_read(), (event["api_name"], shape)
            tried += 1
    assert tried >= 9


@pytest.fixture
def listener():
    """The address of a local server and the list of requests it has received."""
    hits: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            hits.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    with serving(Handler) as url:
        yield url, hits
        httpx.get(f"{url}/seen")
        assert hits[-1] == "/seen", "the listener works"


def test_no_link_from_a_visitor_is_fetched(visitor, listener):
    url, hits = listener
    port = urlsplit(url).port
    links_tried = [f"{url}/a.png", f"http://localhost:{port}/b.png", f"http://[::ffff:127.0.0.1]:{port}/c.png"]
    for link in [*links_tried, "http://example.com/d.png"]:
        for file in (
            {"path": link, "meta": FILE}, {"path": link}, {"path": link, "url": link, "meta": FILE},
            {"path": "x.png", "url": link, "meta": FILE}, {"path": link, "is_stream": True, "meta": FILE}, link,
        ):  # fmt: skip
            answer = visitor.generate(image=file)
            assert answer.data is None and answer.error
        answer = visitor.call("_read_files", [[{"path": link, "meta": FILE}]])
        assert answer.error == "picture: send the file itself, links are not fetched"
        for route in (
            f"/gradio_api/file={link}",
            f"/gradio_api/file={quote(link, safe='')}",
            f"/gradio_api/file/{link}",
            f"/gradio_api/file/{quote(link, safe='')}",
            f"/gradio_api/proxy={link}",
        ):
            # The gate's own answer: Gradio would fetch public addresses, and itself refuses only local ones.
            assert (answer := visitor.get(route)).status_code == 404, route
            assert answer.json() == {"detail": "Not found."}
    assert hits == []


@pytest.mark.parametrize("root", ["", "/flashworld"])
def test_links_are_blocked_under_a_root_path_too(root):
    passed, sent = [], []

    async def behind(*_):
        passed.append(True)

    async def send(message):
        sent.append(message)

    for path in ("/gradio_api/file=https://example.com/a", "/gradio_api/file/https://example.com/a", "/monitoring"):
        scope = {"type": "http", "path": root + path, "root_path": root, "headers": [], "method": "GET"}
        asyncio.run(Gate(behind)(scope, None, send))
    assert passed == []
    assert [message["status"] for message in sent if "status" in message] == [404] * 3


def test_parts_of_gradio_that_the_page_does_not_use_are_disabled(visitor):
    assert visitor.http.post("/gradio_api/process_recording", files={"video": ("a.mp4", b"x")}).status_code == 404
    for path in ("monitoring", "monitoring/summary", "gradio_api/deep_link?session_hash=a", "gradio_api/vibe-code/"):
        assert visitor.http.get(f"/{path}").status_code == 404, path
    for component in visitor.config["components"]:
        body = {"session_hash": visitor.session, "component_id": component["id"], "data": "/", "fn_name": "ls"}
        assert visitor.http.post("/gradio_api/component_server", json=body).status_code in REFUSED


def test_unknown_functions_are_not_found(app, visitor):
    before = app.log.count("Traceback")
    for path in ("call/nothing", "run/nothing", "api/nothing", "call/v2/nothing"):
        assert visitor.http.post(f"/gradio_api/{path}", json={"data": []}).status_code == 404, path
    body = {"data": [], "fn_index": 9999, "session_hash": visitor.session}
    for path in ("queue/join", "run/predict"):
        assert visitor.http.post(f"/gradio_api/{path}", json=body).status_code == 404, path
    assert app.log.count("Traceback") == before


def test_queue_cannot_be_bypassed(visitor):
    values = ["a ball", "orbit_right", 1]
    for path in ("run", "api"):
        assert visitor.http.post(f"/gradio_api/{path}/generate_from_text", json={"data": values}).status_code == 404
    body = {"data": values, "fn_index": visitor.event("generate_from_text")["id"]}
    assert visitor.http.post("/gradio_api/run/predict", json=body).status_code == 404


def test_upload_ids_and_events_of_others_reveal_nothing(app, visitor, photo):
    path = visitor.upload(photo)
    assert re.fullmatch(r"[0-9a-f]{64}", Path(path).parent.name), "named by the content, which only its owner has"
    other = app.visitor()
    assert other.get("/gradio_api/upload_progress?upload_id=guess").status_code == 404
    waiting = other.http.post("/gradio_api/call/generate/" + "0" * 32)
    assert waiting.status_code in REFUSED
    folder = other.get(f"/gradio_api/file={Path(path).parent}")
    assert folder.status_code == 403


def test_oversized_bodies_are_refused(visitor):
    too_much = bytes(50 * 2**20)
    for send in (
        lambda: visitor.http.post("/gradio_api/upload", files={"files": ("a.png", too_much)}),
        lambda: visitor.http.post("/gradio_api/queue/join", content=too_much),
        lambda: visitor.http.post("/gradio_api/queue/join", content=(too_much[: 2**20] for _ in range(50))),
    ):
        try:
            assert send().status_code in {400, 413}
        except (httpx.WriteError, httpx.RemoteProtocolError):
            pass  # the server closed the connection midway, which is a refusal too


def test_markup_in_input_is_not_returned_as_markup(visitor):
    markup = "<img src=x onerror=alert(1)>"
    for given in ({"path": markup}, {"params": markup}, {"path_json": markup}, {"frames": markup}):
        answer = visitor.generate(**given)
        assert answer.error
        assert "<img" not in answer.error
    message = visitor.call("admit", visitor.page_values("admit", fw_prompt=markup * 200))
    assert "<img" not in json.dumps(message.data)
