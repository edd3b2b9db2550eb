"""onnxruntime-web in a headless Chromium: MODEL INPUTS OUT, then the package's file to import and its backend.

A server on this machine alone hands out the page, the package, the model and the inputs, and takes the outputs.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# WebGPU on the processor, through the SwiftShader that comes with the browser.
WEBGPU = ("--enable-unsafe-webgpu", "--enable-features=Vulkan", "--use-webgpu-adapter=swiftshader")
NO_WEBGPU = ("--disable-gpu",)
TYPES = {".html": "text/html", ".mjs": "text/javascript", ".wasm": "application/wasm"}


class Pages(BaseHTTPRequestHandler):
    """Hands out files below a few names, and keeps what is sent."""

    def __init__(self, places: dict[str, Path], finished: threading.Event, *rest: object) -> None:
        self.places, self.finished = places, finished
        super().__init__(*rest)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if self.path == "/about":
            self._answer(json.dumps(self._about()).encode(), "application/json")
            return
        name, _, rest = self.path.lstrip("/").partition("?")[0].partition("/")
        path = self.places[name] / rest if name in self.places else None
        if path is None or not path.is_file():
            self.send_error(404)
            return
        self._answer(path.read_bytes(), TYPES.get(path.suffix, "application/octet-stream"))

    def _about(self) -> dict[str, object]:
        package = json.loads((self.places["packages"] / "onnxruntime-web" / "package.json").read_text())
        names = sorted(path.name for path in self.places["inputs"].glob("*.npy"))
        return {"versions": {"onnxruntime-web": package["version"]}, "names": names}

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        name = self.path.rpartition("/")[2]
        if name == "done":
            if content:
                print(content.decode(), file=sys.stderr)
            self.finished.set()
        else:
            (self.places["out"] / name).write_bytes(content)
        self._answer(b"", "text/plain")

    def _answer(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        # with these two a page may use threads
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing: what matters is in the result."""


def main() -> None:
    model, inputs, out = map(Path, sys.argv[1:4])
    file, provider = sys.argv[4:6]
    packages, here = Path(os.environ["CLIENT_PACKAGES"]) / "node_modules", Path(__file__).parent
    places = {"model": model, "inputs": inputs, "out": out, "packages": packages, "client": here}
    finished = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Pages, places, finished))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/client/browser.html?{file}&{provider}"
    flags = WEBGPU if provider == "webgpu" else NO_WEBGPU
    chromium = shutil.which("chromium") or "chromium"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen(
            [chromium, *FLAGS, *flags, f"--user-data-dir={profile}", address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            while not finished.wait(1.0):
                if browser.poll() is not None:
                    raise SystemExit(f"the browser ended with status {browser.returncode}")
        finally:
            browser.terminate()
            browser.wait()


main()
