"""`hsm-vault auditor`, `witness` and `namespace` with wrong words: what is refused leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsm_app.errors import ConfigError
from hsm_app.tlog.note import COSIGNATURE
from tests.cli.command import well
from tests.tlog.keys import LOG, WITNESSES


@pytest.mark.parametrize("origin", ["", "two words", "a+b", 'a"b', "a\\b", "a\nb", "https://ö.example"])
def test_an_origin_that_cannot_be_one_leaves_no_directory(tmp_path: Path, origin: str) -> None:
    with pytest.raises(ConfigError, match="no log's origin"):
        well("auditor", "init", tmp_path / "auditor", "--origin", origin)
    assert "log key" in well("auditor", "init", tmp_path / "auditor", "--origin", "log.example/fleets")


@pytest.mark.parametrize(
    ("name", "logs"),
    {
        "a space in the name": ("two words", [LOG.text]),
        "a quote in the name": ('w"1', [LOG.text]),
        "a witness's key for a log's": ("w1", [WITNESSES[1].text]),
        "one log twice": ("w1", [LOG.text, LOG.text]),
    }.values(),
)
def test_a_witness_that_could_not_serve_is_not_made(tmp_path: Path, name: str, logs: list[str]) -> None:
    with pytest.raises(ConfigError):
        well("witness", "init", tmp_path / "w", "--name", name, *(word for log in logs for word in ("--log", log)))
    vkey = well("witness", "init", tmp_path / "w", "--name", "w1.example", "--log", LOG.text)
    assert (vkey.startswith("w1.example+"), WITNESSES[1].kind) == (True, COSIGNATURE)
