"""A root of trust and its successors as files: walked in their order, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsm_app.errors import ConfigError, LogError
from hsm_app.fleet.dsse import sign_envelope
from hsm_app.fleet.root_of_trust import ROOT_TYPE, Role
from hsm_app.root_files import read_trusted_root
from tests.fleet import trust

FIRST = trust.root_of_trust()
SECOND = trust.root_of_trust(version=2, auditors=Role(1, (trust.auditor(1).key,)))
THIRD = trust.root_of_trust(version=3, auditors=Role(1, (trust.auditor(2).key,)))
SIGNED = {
    "second": sign_envelope(ROOT_TYPE, SECOND.raw, [trust.auditor(0), trust.auditor(1), trust.operator()]),
    "third": sign_envelope(ROOT_TYPE, THIRD.raw, [trust.auditor(1), trust.auditor(2), trust.operator()]),
    "forged": sign_envelope(ROOT_TYPE, SECOND.raw, [trust.auditor(1), trust.operator()]),
}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "first").write_bytes(FIRST.raw)
    for name, envelope in SIGNED.items():
        (tmp_path / name).write_bytes(envelope + b"\n")
    return tmp_path


def test_the_last_of_a_chain_is_trusted_and_says_whom_it_follows(files: Path) -> None:
    alone = read_trusted_root(files / "first")
    assert (alone.document, alone.follows) == (FIRST, ())
    walked = read_trusted_root(files / "first", [files / "second", files / "third"])
    assert (walked.document, walked.follows) == (THIRD, (FIRST.digest, SECOND.digest))


REFUSED = {
    "one left out": (["third"], "does not follow version 1"),
    "the wrong order": (["third", "second"], "does not follow version 1"),
    "one that the old auditor did not sign": (["forged"], "too few of the old document's auditors"),
}


@pytest.mark.parametrize(("names", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_a_chain_is_refused_with(files: Path, names: list[str], why: str) -> None:
    with pytest.raises(LogError, match=why):
        read_trusted_root(files / "first", [files / name for name in names])


def test_a_file_that_is_missing_is_named(files: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*fourth"):
        read_trusted_root(files / "first", [files / "fourth"])
