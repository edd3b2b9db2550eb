"""A server on loopback that speaks as much of the Hub's protocol as its client needs to upload files and to load them.

https://huggingface.co/docs/hub/api and the Git LFS batch API. Without the token every request is answered 401.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

TOKEN = "hf_the_token_of_a_user"  # noqa: S105
COMMIT = "c" * 40


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def do_POST(self) -> None:
        if not self.allowed():
            return
        body = self.body()
        path = urlsplit(self.path).path
        if path == "/api/repos/create":
            self.create(json.loads(body))
        elif path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif path.endswith("/preupload/main"):
            self.preupload(json.loads(body))
        elif path.endswith(".git/info/lfs/objects/batch"):
            self.batch(json.loads(body))
        elif path.endswith("/commit/main"):
            self.commit([json.loads(line) for line in body.splitlines()])
        else:
            self.answer({"error": f"no {path}"}, 404)

    def do_PUT(self) -> None:  # the address of the storage, which knows no token
        content = self.body()
        digest = self.path.rsplit("/", 1)[1]
        if hashlib.sha256(content).hexdigest() != digest:
            self.answer({"error": "another file"}, 400)
            return
        self.server.stored[digest] = content
        self.server.uploads.append(digest)
        self.answer({})

    def do_GET(self) -> None:
        if not self.allowed():
            return
        path = urlsplit(self.path).path
        if "/tree/" in path:
            folder = path.partition("/tree/")[2].partition("/")[2]
            self.answer([self.server.entry(name) for name in self.server.files if name.startswith(folder)])
        elif "/revision/" in path or path.startswith("/api/models/"):
            siblings = [{"rfilename": name} for name in self.server.files]
            self.answer({"id": "owner/name", "sha": COMMIT, "siblings": siblings})
        elif "/resolve/" in path:
            self.resolve(path)
        else:
            self.answer({"error": f"no {path}"}, 404)

    def do_HEAD(self) -> None:
        if self.allowed():
            self.resolve(urlsplit(self.path).path)

    def resolve(self, path: str) -> None:
        """A file of a repository, /OWNER/NAME/resolve/REVISION/FILE, or what is known of it."""
        repository, _, rest = path.removeprefix("/").partition("/resolve/")
        name = rest.partition("/")[2]
        if repository not in self.server.repositories or name not in self.server.files:
            self.server.missed.append(name)
            self.send_response(404)
            self.send_header(
                "X-Error-Code", "EntryNotFound" if repository in self.server.repositories else "RepoNotFound"
            )
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        entry, content = self.server.entry(name), self.server.files[name]
        self.send_response(200)
        self.send_header("ETag", f'"{entry.get("lfs", entry)["oid"]}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.server.downloads.append(name)
            self.wfile.write(content)

    def allowed(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return True
        self.body()
        self.answer({"error": "Invalid username or password."}, 401)
        return False

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization'] or 'me'}/{wanted['name']}"
        exists = name in self.server.repositories
        self.server.repositories.append(name)
        self.answer({"url": f"{self.server.address}/{name}"}, 409 if exists else 200)

    def preupload(self, wanted: dict[str, Any]) -> None:
        files = []
        for file in wanted["files"]:
            large = not file["path"].endswith((".json", ".md", ".gitattributes"))
            known = self.server.entry(file["path"])["oid"] if file["path"] in self.server.files else None
            mode = "lfs" if large else "regular"
            files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": known})
        self.answer({"files": files})

    def batch(self, wanted: dict[str, Any]) -> None:
        objects = []
        for item in wanted["objects"]:
            action = {"upload": {"href": f"{self.server.address}/storage/{item['oid']}", "header": {}}}
            objects.append(item if item["oid"] in self.server.stored else {**item, "actions": action})
        self.answer({"transfer": "basic", "objects": objects})

    def commit(self, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            if line["key"] == "file":
                self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "lfsFile":
                self.server.files[line["value"]["path"]] = self.server.stored[line["value"]["oid"]]
                self.server.large.add(line["value"]["path"])
        self.server.commits.append(lines[0]["value"]["summary"])
        self.answer({"success": True, "commitUrl": f"{self.server.address}/me/x/commit/{COMMIT}", "commitOid": COMMIT})

    def answer(self, document: Any, status: int = 200) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class HubServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.repositories: list[str] = []
        self.files: dict[str, bytes] = {}
        self.large: set[str] = set()
        self.stored: dict[str, bytes] = {}
        self.uploads: list[str] = []
        self.commits: list[str] = []
        self.downloads: list[str] = []  # names of files that were sent
        self.missed: list[str] = []  # names that were asked for and are not there

    def entry(self, name: str) -> dict[str, Any]:
        """A file as the tree lists it."""
        content = self.files[name]
        blob = hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()  # noqa: S324
        found: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": blob}
        if name in self.large:
            digest = hashlib.sha256(content).hexdigest()
            found["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 134}
        return found


@contextmanager
def serving() -> Iterator[HubServer]:
    with HubServer() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
