"""docs/audit.md, word for word: its commands pass on good evidence, and stop at the right place on evidence changed."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from tests.evidence.deployment import Deployment
from tests.evidence.replacement import Replaced

DOCUMENT = Path(__file__).parents[2] / "docs" / "audit.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


def by_hand(evidence: Path, before: Path | None = None, leaving_out: Collection[int] = ()) -> tuple[int, str]:
    """Run every command as a person would, and stop at the first that fails; return which block and what it said.

    The number is that of the block that failed, from 1; 0 when none did. `before` is where the evidence before is.
    """
    marked = [
        f"echo 'block {number}' >&2\n{block}" for number, block in enumerate(BLOCKS, 1) if number not in leaving_out
    ]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(marked)],
        cwd=evidence, capture_output=True, text=True, check=False,
        env={**os.environ, **({"BEFORE": str(before)} if before else {})},
    )  # fmt: skip
    reached = int(re.findall(r"^block (\d+)$", done.stderr, re.MULTILINE)[-1])
    return (reached if done.returncode else 0), done.stdout + done.stderr


@pytest.fixture
def evidence(deployment: Deployment, tmp_path: Path) -> Path:
    shutil.copytree(deployment.evidence, tmp_path / "evidence")
    return tmp_path / "evidence"


def test_the_document_has_commands() -> None:
    assert len(BLOCKS) == 8


def test_good_evidence_passes(evidence: Path) -> None:
    assert by_hand(evidence)[0] == 0, by_hand(evidence)[1]


def changed(path: str, old: str, new: str) -> Callable[[Path], None]:
    def change(evidence: Path) -> None:
        text = (evidence / path).read_text()
        assert old in text
        (evidence / path).write_text(text.replace(old, new, 1))

    return change


def with_statement_anew(change: Callable[[Path], None]) -> Callable[[Path], None]:
    """Make the statement fit what was changed, as an operator without the first token could; nobody signs it."""

    def made(evidence: Path) -> None:
        change(evidence)
        envelope = json.loads((evidence / "statement.dsse.json").read_text())
        statement = json.loads(base64.b64decode(envelope["payload"]))
        for one in statement["subject"]:
            one["digest"]["sha256"] = hashlib.sha256((evidence / one["name"]).read_bytes()).hexdigest()
        raw = json.dumps(statement, separators=(",", ":")).encode()
        envelope["payload"] = base64.b64encode(raw).decode()
        (evidence / "statement.dsse.json").write_text(json.dumps(envelope))
        entry = r'("evidence_sha256": ")[0-9a-f]{64}'
        manifest = evidence / "manifest.json"
        manifest.write_text(re.sub(entry, rf"\g<1>{hashlib.sha256(raw).hexdigest()}", manifest.read_text()))

    return made


TOKEN = changed("tokens/2.json", '"CKA_EXTRACTABLE": false', '"CKA_EXTRACTABLE": true')
SCRIPT = changed("script.md", "Genesis", "Exodus")
CHANGES: dict[str, tuple[Callable[[Path], None], int]] = {
    "a token's record": (TOKEN, 1),
    "a file is missing": (lambda evidence: (evidence / "custody.json").unlink(), 1),
    "a file that nobody named": (lambda evidence: (evidence / "note.txt").write_text("trust me"), 2),
    "a link that nobody named": (lambda evidence: (evidence / "note.txt").symlink_to("script.md"), 2),
    "another statement is named": (changed("manifest.json", '"evidence_sha256": "', '"evidence_sha256": "0'), 3),
    "a record, and the statement over it": (with_statement_anew(TOKEN), 4),
    "the script, and the statement over it": (with_statement_anew(SCRIPT), 4),
    "the transcript, and the statement over it": (
        with_statement_anew(changed("transcript.jsonl", '"answer":"here"', '"answer":"gone"')),
        4,
    ),
}


@pytest.mark.parametrize(("change", "block"), CHANGES.values(), ids=CHANGES.keys())
def test_it_stops_at(evidence: Path, change: Callable[[Path], None], block: int) -> None:
    change(evidence)
    stopped, said = by_hand(evidence)
    assert stopped == block, said


def test_a_root_that_may_leave_stops_it_however_the_plan_spells_sealed(evidence: Path) -> None:
    def change(evidence: Path) -> None:
        TOKEN(evidence)
        changed("plan.toml", 'custody = "sealed"', 'custody="sealed"')(evidence)

    with_statement_anew(change)(evidence)
    signed = (4, 5, 6)  # what whoever has the first token and all participants' keys could make fit, too
    assert by_hand(evidence, None, signed)[0] == 7


# -- a token that was replaced

CHAIN = 8  # the block that looks at the evidence before
SLOW = (5, 6)  # a program for each line of the transcript, and for each testimony; the chain needs none of it


def test_a_replaced_token_passes_with_the_evidence_before(replaced: Replaced) -> None:
    stopped, said = by_hand(replaced.evidence, replaced.old.evidence)
    assert stopped == 0, said
    assert by_hand(replaced.evidence, None, SLOW)[0] == CHAIN  # nobody said where the evidence before is


def test_a_replaced_token_does_not_pass_with_other_evidence_before(
    replaced: Replaced, deployment: Deployment, tmp_path: Path
) -> None:
    assert by_hand(replaced.evidence, deployment.evidence, SLOW)[0] == CHAIN
    keys = json.loads((replaced.old.evidence / "fleet.json").read_text())["groups"][0]["replicas"]
    changes = {
        "fleet.json": (keys[2]["link_public"], keys[0]["link_public"]),
        "custody.json": ("Dan", "Don"),
    }
    for path, (old, new) in changes.items():
        before = tmp_path / path
        shutil.copytree(replaced.old.evidence, before)
        changed(path, old, new)(before)
        assert by_hand(replaced.evidence, before, SLOW)[0] == CHAIN
