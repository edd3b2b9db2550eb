"""What docs/releasing.md tells users to run, run as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.releases import make_reported

from aves_artifacts.base.progress import Silent
from aves_artifacts.files.address import open_address
from aves_artifacts.release.gate import verified
from aves_artifacts.release.provenance import read_signer
from aves_artifacts.release.publishing import plan_upload, publish
from aves_artifacts.release.staging import stage

DOCS = (Path(__file__).parents[2] / "docs" / "releasing.md").read_text()


@pytest.mark.slow
def test_a_signature_is_checked_without_this_tool(tmp_path: Path) -> None:
    for line in re.findall(r"^openssl .*", DOCS, flags=re.MULTILINE):
        subprocess.run(line.split(), cwd=tmp_path, check=True, capture_output=True)
    bundle = verified(make_reported(tmp_path / "bundle").folder)
    release = stage([bundle], "1", tmp_path / "documents", read_signer(tmp_path / "key.pem"))
    publish(plan_upload(release, open_address(str(tmp_path))), Silent())
    place = tmp_path / "1"
    (place / "public.pem").write_bytes((tmp_path / "public.pem").read_bytes())
    (snippet,) = re.findall(r"```python\n(.*?)```", DOCS, flags=re.DOTALL)

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", snippet], cwd=place, capture_output=True, text=True, check=False)

    assert run().returncode == 0, run().stderr
    (place / "RELEASE.md").write_text("Other notes.")
    assert "AssertionError: RELEASE.md" in run().stderr
    statement = place / "provenance.intoto.jsonl"
    statement.write_text(statement.read_text().replace('"payload": "eyJ', '"payload": "eyK'))
    assert "InvalidSignature" in run().stderr


def test_the_waiver_of_the_docs_is_one() -> None:
    from aves_artifacts.configurations.catalog import read_catalog

    (waiver,) = re.findall(r"```toml\n(.*?)```", DOCS, flags=re.DOTALL)
    entry = '[bio]\nfile_name = "bio"\ndimension = 24\n[bio.files]\n'
    assert read_catalog(f"{entry}{waiver}", "docs")["bio"].waivers[0].clip == "offset"
