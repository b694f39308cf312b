"""A Hub on localhost with the part of its protocol that huggingface_hub needs to push and pull small files by revision."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote, urlsplit

from tests.local_server import serving


class StandInHub:
    """Repositories in memory, of any kind: branch -> path -> content. A branch's latest commit can also be requested by its hash."""

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, dict[str, bytes]]] = {}
        self.commits = 0
        self.tokens: set[str] = set()
        self.url = ""

    def create(self, repo_id: str, *revisions: str) -> None:
        self.repos[repo_id] = {revision: {} for revision in revisions or ("main",)}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: StandInHub

    def log_message(self, *args: object) -> None:
        pass

    def _reply(self, code: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, data: object, code: int = 200) -> None:
        self._reply(code, json.dumps(data).encode(), {"Content-Type": "application/json"})

    def _missing(self, code: str) -> None:
        self._reply(404, b"{}", {"X-Error-Code": code, "Content-Type": "application/json"})

    def _find(self, repo_id: str, revision: str) -> dict[str, bytes] | None:
        if repo_id not in self.hub.repos:
            self._missing("RepoNotFound")
            return None
        for name, files in self.hub.repos[repo_id].items():
            if revision in (name, sha(files)):
                return files
        self._missing("RevisionNotFound")
        return None

    def do_GET(self) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        if parts[0] == "datasets":
            parts = parts[1:]
        if parts[0] == "api":
            repo_id, verb, revision = "/".join(parts[2:4]), parts[4], parts[5]
            if (files := self._find(repo_id, revision)) is None:
                return
            if verb == "revision":
                self._json({"id": repo_id, "sha": sha(files), "siblings": [{"rfilename": path} for path in files]})
            else:
                self._json(tree(files, "/".join(parts[6:]), "recursive=true" in self.path.lower()))
            return
        repo_id, revision, path = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
        if (files := self._find(repo_id, revision)) is None:
            return
        if path not in files:
            self._missing("EntryNotFound")
            return
        headers = {"X-Repo-Commit": sha(files), "ETag": f'"{hashlib.sha256(files[path]).hexdigest()}"'}
        self._reply(200, files[path], headers)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.hub.tokens.add(self.headers.get("Authorization", ""))
        if parts[1:] == ["repos", "create"]:
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            there = name in self.hub.repos
            if not there:
                self.hub.create(name)
            self._json({"url": f"{self.hub.url}/{asked.get('type', 'model')}s/{name}"}, 409 if there else 200)
            return
        if parts[1:] == ["validate-yaml"]:
            self._json({"errors": [], "warnings": []})
            return
        repo_id, verb, revision = "/".join(parts[2:4]), parts[4], parts[5]
        if (files := self._find(repo_id, revision)) is None:
            return
        if verb == "preupload":
            wanted = [file["path"] for file in json.loads(body)["files"]]
            self._json({"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in wanted]})
            return
        for line in body.splitlines():
            row = json.loads(line)
            if row["key"] == "file":
                files[row["value"]["path"]] = base64.b64decode(row["value"]["content"])
            elif row["key"] == "deletedFile":
                files.pop(row["value"]["path"], None)
        self.hub.commits += 1
        url = f"{self.hub.url}/{repo_id}/commit/{sha(files)}"
        self._json({"success": True, "commitOid": sha(files), "commitUrl": url, "hookOutput": ""})


def sha(files: dict[str, bytes]) -> str:
    return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()


def tree(files: dict[str, bytes], below: str, recursive: bool) -> list[dict[str, object]]:
    prefix = f"{below}/" if below else ""
    inside = {path: data for path, data in files.items() if path.startswith(prefix)}
    folders = {prefix + path[len(prefix) :].split("/")[0] for path in inside if "/" in path[len(prefix) :]}
    rows = [{"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in sorted(folders)]
    shown = {path: data for path, data in inside.items() if recursive or "/" not in path[len(prefix) :]}
    return rows + [
        {"type": "file", "path": path, "oid": hashlib.sha1(data).hexdigest(), "size": len(data)}
        for path, data in shown.items()
    ]


@contextmanager
def standin_hub() -> Iterator[StandInHub]:
    hub = StandInHub()
    with serving(type("Handler", (_Handler,), {"hub": hub})) as hub.url:
        yield hub
