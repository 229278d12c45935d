"""What the documents say of command line and wire exists as written: commands, options, exit codes, sizes."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from hsm_app.ceremony.room import RoomClosed
from hsm_app.cli.main import cli
from hsm_app.errors import DenyReason, VaultError
from hsm_app.evidence.verdict import Outcome
from hsm_app.wire.session import SEALED_ANSWER_SIZE, SEALED_REQUEST_SIZE

HERE = Path(__file__).parents[2]
DOCUMENTS = sorted([*(HERE / "docs").glob("*.md"), *HERE.glob("*.md"), *(HERE / "scripts/systemd").iterdir()])
CALL = re.compile(r"hsm-vault ((?:[a-z][a-z-]*)(?: [^\n`\"#&|;>)]*)?)")


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that the words name, and those that follow its name."""
    command: click.Command = cli
    while isinstance(command, click.Group) and words and re.fullmatch("[a-z-]+", words[0]):
        found = command.get_command(click.Context(command), words[0])
        if found is None:
            raise AssertionError(f"there is no {words[0]}")
        command, words = found, words[1:]
    return command, words


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(HERE)))
def test_commands_and_options_are_there(document: Path) -> None:
    for call in CALL.findall(document.read_text().replace("\\\n", " ")):
        command, rest = command_of(call.replace("'", "").split())
        known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}
        used = {word for word in (re.sub(r"[^a-z-].*", "", one) for one in rest) if word.startswith("--")}
        assert used <= known, call


def test_the_readme_and_the_help_have_the_exit_code_of_each_error() -> None:
    readme = (HERE / "README.md").read_text().partition("## Exit codes")[2].partition("## Limits")[0]
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", readme, re.MULTILINE)}
    first, last = map(int, re.findall(r"^\| (\d+)-(\d+) \|", readme, re.MULTILINE)[0])
    families = {family.exit_code for family in VaultError.__subclasses__() if isinstance(family.exit_code, int)}
    ours = {*families, RoomClosed.exit_code, *(outcome.exit_code for outcome in Outcome)}
    assert ours <= listed
    assert [20 + reason for reason in DenyReason] == list(range(first, last + 1))
    said = {int(code) for code in re.findall(r"\d+", (cli.help or "").partition("Exit codes:")[2])}
    assert listed | {20 + reason for reason in DenyReason} <= said


def test_the_protocols_document_has_the_sizes_of_the_sealed_messages() -> None:
    table = re.findall(r"^\| .*, (\d) \| (\d+) \| (\d+) \|$", (HERE / "docs/protocol.md").read_text(), re.MULTILINE)
    assert {int(kind): (int(request), int(answer)) for kind, request, answer in table} == {
        int(kind): (SEALED_REQUEST_SIZE[kind], SEALED_ANSWER_SIZE[kind]) for kind in SEALED_REQUEST_SIZE
    }
