"""A hub on a loopback port: as much of the hub's HTTP API as `weir models pull` uses."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMITS = {"main": "a" * 40, "v1": "b" * 40}


@dataclass
class Hub:
    """`repos` maps owner/name to files by path; every repository has the revisions main and v1."""

    url: str
    repos: dict[str, dict[str, bytes]]
    asked: list[tuple[str, str]] = field(default_factory=list)  # (method, path)


class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.hub.asked.append((self.command, path))
        match path.removeprefix("/").split("/"):
            case ["api", "models", owner, name, "tree", revision, *_]:
                self._with_repo(f"{owner}/{name}", revision, None)
            case [owner, name, "resolve", revision, *file]:
                self._with_repo(f"{owner}/{name}", revision, "/".join(file))
            case _:
                self._send(404, b"")

    def _with_repo(self, repo, revision, file) -> None:
        files = self.server.hub.repos.get(repo)
        commit = COMMITS.get(revision, revision if revision in COMMITS.values() else None)
        if files is None:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif commit is None:
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif file is None:
            listed = [{"type": "file", "oid": _tag(body), "size": len(body), "path": at} for at, body in files.items()]
            self._send(200, json.dumps(listed).encode(), {"Content-Type": "application/json"})
        elif file not in files:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        else:
            self._send(200, files[file], {"X-Repo-Commit": commit, "ETag": f'"{_tag(files[file])}"'})

    def _send(self, status, body, headers=()) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **dict(headers)}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


@contextmanager
def hub(repos: dict[str, dict[str, bytes]]) -> Iterator[Hub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.hub = Hub(f"http://127.0.0.1:{server.server_port}", repos)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _tag(body: bytes) -> str:
    return hashlib.sha1(body).hexdigest()
