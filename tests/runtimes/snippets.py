"""The page's snippets, run exactly as they stand there, each in its client's environment."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests.runtimes.clients import CLIENTS, Client
from tests.runtimes.environments import Environment, NoEnvironmentError, make_environment, variables
from tests.runtimes.files import Files

from aves_artifacts.encoder import EncoderConfig

_SAMPLES, _FRAMES = 16_000, 49
_TIMEOUT = 120.0
_BROWSER = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


@dataclass(frozen=True)
class Snippet:
    """A piece of code, whose client it is, and the language that its fence names."""

    client: str
    language: str
    code: str


def snippets(page: str) -> list[Snippet]:
    """Those of a page: fenced code directly behind a mark with the client's name."""
    found = re.findall(r"<!-- snippet: (.+?) -->\n\n```(\w+)\n(.*?)```", page, flags=re.DOTALL)
    return [Snippet(*parts) for parts in found]


def run_snippets(page: Path, files: Files, *, quick: bool) -> list[str]:
    """Run them; one line for each that fails. Each must end by printing the sizes of its embeddings."""
    sizes = [1, _FRAMES, EncoderConfig.read(files.config_file).encoder_embed_dim]
    failures = []
    for snippet in snippets(page.read_text(encoding="utf-8")):
        client = CLIENTS[snippet.client]
        if quick and not client.quick:
            continue
        try:
            said = _said(snippet, client, files)
        except (NoEnvironmentError, OSError, subprocess.SubprocessError) as error:
            failures.append(f"{page.name}, snippet for {client.name}: {type(error).__name__}: {error}")
            continue
        if list(map(int, re.findall(r"\d+", said.strip().rpartition("\n")[2]))) != sizes:
            told = f"expected the sizes {sizes}, not {said.strip()[-300:]}"
            failures.append(f"{page.name}, snippet for {client.name}: {told}")
    return failures


def _said(snippet: Snippet, client: Client, files: Files) -> str:
    """What it prints, in a folder that has the files which the page names."""
    with tempfile.TemporaryDirectory(prefix="aves-snippet-", ignore_cleanup_errors=True) as folder:
        environment = make_environment(client, client.pinned, Path(folder) / "environment")
        # where npm put its packages, so that a script beside them finds them
        work = Path(folder) / ("environment" if client.npm else "work")
        work.mkdir(exist_ok=True)
        shutil.copy(files.folder / "float32.onnx", work / "encoder.onnx")
        waveform = np.linspace(-0.1, 0.1, _SAMPLES, dtype=np.float32)[None]
        np.save(work / "waveform.npy", waveform)
        if snippet.language == "html":
            return _title(snippet.code, work)
        name = "snippet.mjs" if snippet.language == "js" else "snippet.py"
        (work / name).write_text(snippet.code)
        return _output([str(environment.program), name], work, environment)


def _output(command: list[str], work: Path, environment: Environment) -> str:
    ended = subprocess.run(
        command, cwd=work, env=variables(environment), capture_output=True, text=True, timeout=_TIMEOUT, check=False
    )
    return ended.stdout if ended.returncode == 0 else ended.stderr


def _title(page: str, work: Path) -> str:
    """The title that a page gives itself, served from this folder to a browser."""
    (work / "index.html").write_text(page)
    python = shutil.which("python3") or "python3"
    server = subprocess.Popen(
        [python, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
        cwd=work,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        (port,) = re.findall(r"port (\d+)", server.stdout.readline())
        command = [shutil.which("chromium") or "chromium", *_BROWSER, f"--user-data-dir={work / 'profile'}"]
        options = ["--virtual-time-budget=60000", "--dump-dom", f"http://127.0.0.1:{port}/index.html"]
        shown = subprocess.run([*command, *options], capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    finally:
        server.terminate()
        server.wait()
    return "\n".join(re.findall(r"<title>(.*?)</title>", shown.stdout)) or shown.stdout
