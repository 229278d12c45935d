"""Reading evidence from a directory or an address that somebody hostile filled: bounded, and no way out of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsm_app.errors import LogError
from hsm_app.evidence.statement import STATEMENT
from hsm_app.monitor import evidence_source
from hsm_app.monitor.evidence_source import read_evidence
from hsm_app.net.address import Address
from hsm_app.net.http import HttpServer, Reply
from tests.cli.command import run_without_privileges
from tests.evidence.deployment import Deployment


def test_all_files_together_have_a_limit(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each may be within its own: four hundred of the largest would be twelve gigabytes in an auditor's memory."""
    files, asked = deployment.files, []
    monkeypatch.setattr(evidence_source, "MOST_BYTES", 20_000)
    with pytest.raises(LogError, match="more than 20000 bytes"):
        read_evidence(str(deployment.evidence))

    def answer(method: str, path: str, body: bytes) -> Reply:
        asked.append(path)
        content = files.get(path.removeprefix("/"))
        return Reply(404) if content is None else Reply(200, content)

    server = HttpServer(Address(host="127.0.0.1", port=0), answer)
    try:
        with pytest.raises(LogError, match="more than 20000 bytes"):
            read_evidence(f"http://127.0.0.1:{server.port}")
    finally:
        server.close()
    assert len(asked) < len(files)


LINKS = {"a file": "transcript.jsonl", "a directory": "."}


@pytest.mark.parametrize("target", LINKS.values(), ids=LINKS)
def test_links_are_not_followed(deployment: Deployment, tmp_path: Path, target: str) -> None:
    (tmp_path / STATEMENT).write_bytes(deployment.files[STATEMENT])
    (tmp_path / "link").symlink_to(deployment.evidence / target)
    with pytest.raises(LogError, match="link is no regular file"):
        read_evidence(str(tmp_path))


@pytest.mark.parametrize("closed", ["", "testimonies", STATEMENT], ids=["all", "a directory in it", "a file"])
def test_evidence_that_may_not_be_read_is_not_taken_for_evidence_that_is_missing(tmp_path: Path, closed: str) -> None:
    (tmp_path / "evidence/testimonies").mkdir(parents=True)
    (tmp_path / "evidence" / STATEMENT).write_bytes(b"{}")
    path = tmp_path / "evidence" / closed
    path.chmod(0o000)
    done = run_without_privileges("-m", "hsm_app.cli.main", "audit", str(tmp_path / "evidence"))
    path.chmod(0o700)
    assert (done.returncode, done.stderr) == (
        3,
        f"hsm-vault: {path} cannot be read: Permission denied. Check the rights to it\n",
    )
