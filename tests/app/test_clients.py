"""The two documented interfaces for API clients, and what they may not call."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from tests.app.conftest import TOKEN
from tests.app.running import GENERATE


@pytest.fixture(scope="module")
def client(app, tmp_path_factory):
    return Client(app.url, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))


def test_gradio_client_sends_a_picture_and_gets_files(client, photo, tmp_path):
    picture = tmp_path / "photo.png"
    picture.write_bytes(photo)
    frames = [{"transform_matrix": [[1, 0, 0, x], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]} for x in (0, 0.1)]
    path = {"path_json": json.dumps({"frames": frames})}
    found = client.predict(**{**GENERATE, **path, "image": handle_file(str(picture))}, api_name="/generate")
    assert found["seed"] == 1
    assert found["notes"] == ["the path has no lens: using a vertical field of view of 60 degrees"]
    assert Path(found["files"]["ply"]).read_bytes().startswith(b"ply\n")


def test_only_the_two_endpoints_are_offered(client, visitor):
    offered = visitor.http.get("/gradio_api/info").json()
    assert set(offered["named_endpoints"]) == {"/generate", "/generate_from_text"}
    assert offered["unnamed_endpoints"] == {}
    for event in visitor.config["dependencies"]:
        if event["api_visibility"] == "private":
            with pytest.raises(ValueError, match="Cannot find a function"):
                client.predict(api_name=f"/{event['api_name']}")


@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/info"])
def test_the_page_is_sent_compressed(visitor, path):
    packed = visitor.http.get(path, headers={"Accept-Encoding": "gzip"})
    plain = visitor.http.get(path, headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert len(packed.text) == len(plain.text) > 3 * packed.num_bytes_downloaded


def test_files_are_sent_uncompressed_and_in_ranges(app, scene):
    url = scene.data[0]["files"]["ply"]["url"].replace("http://testserver", app.url)
    answer = app.visitor().http.get(url, headers={"Accept-Encoding": "gzip", "Range": "bytes=0-3"})
    assert answer.status_code == 206
    assert answer.content == b"ply\n"


def test_refusals_can_be_read_in_a_terminal(visitor):
    assert "unknown camera path 'upwards'" in visitor.generate(path="upwards").error


def test_invalid_calls_give_one_sentence(visitor):
    wrong = [
        ("seed", "x", "seed must be a whole number"),
        ("seed", -2, "seed must be a whole number"),
        ("frames", 2.5, "frames must be a whole number"),
        ("path", None, "path must be text"),
        ("path", "nowhere", "unknown camera path"),
        ("params", "[1]", "params must be a JSON object"),
        ("params", '{"angel_deg": 3}', "angel_deg"),
        ("path_json", "{", "not JSON"),
        ("text", {"a": 1}, "text must be a string"),
    ]
    for name, value, sentence in wrong:
        answer = visitor.generate(**{name: value})
        assert sentence in str(answer.error), (name, value, answer)
    assert "needed" in str(visitor.call("generate", []).error)


def test_mcp_lists_its_tools_and_makes_a_scene_from_text(app):
    async def visit():
        from mcp import ClientSession
        from mcp.client.streamable_http import streamablehttp_client

        async with (
            streamablehttp_client(f"{app.url}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = {tool.name: tool.description for tool in (await session.list_tools()).tools}
            made = await session.call_tool("generate_from_text", {"text": "a red ball", "seed": 3})
            return tools, made

    tools, made = asyncio.run(visit())
    assert {"generate", "generate_from_text"} == set(tools)
    assert "along a camera path" in tools["generate_from_text"]
    assert not made.isError
    assert any("scene.ply" in getattr(part, "text", "") for part in made.content)


def test_the_servers_token_is_in_no_page_response_log_or_file(app, visitor, scene):
    refused = visitor.generate(image={"path": "/proc/self/environ"})
    texts = [
        *(visitor.http.get(path).text for path in ("/", "/config", "/gradio_api/info", "/gradio_api/openapi.json")),
        json.dumps(scene.data), str(refused.error), app.log,
    ]  # fmt: skip
    assert all(len(text) > 20 for text in texts)
    assert not any(TOKEN in text for text in texts)
    for path in app.temporary.rglob("*"):
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes(), path
