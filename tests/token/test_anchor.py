"""The anchor in a real SoftHSM token: what it keeps, what a kill leaves, and who wins when two processes share it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pkcs11 import Attribute, ObjectClass
from pkcs11.exceptions import PKCS11Error

from hsm_app.errors import TokenError
from hsm_app.token import softhsm_files
from hsm_app.token.anchor import AnchorGoneError, TokenAnchor
from hsm_app.token.keyspec import ANCHOR, ANCHOR_OBJECT
from hsm_app.token.owner import TokenOwner
from tests.token.fresh import ReplicaToken, user


@contextmanager
def anchor_of(replica: ReplicaToken) -> Iterator[TokenAnchor]:
    owner = TokenOwner.start(replica.open)
    try:
        yield TokenAnchor(owner, replica.location)
    finally:
        owner.close()


def test_an_anchor_is_made_once_and_outlives_the_process(replica: ReplicaToken) -> None:
    """VAULT-ANCHOR-MADE-ONCE"""
    with anchor_of(replica) as anchor:
        assert anchor.read() == []
        anchor.first(b"one")
        with pytest.raises(TokenError, match="holds an anchor already"):
            anchor.first(b"two")
        anchor.replace(b"one", b"two")
    with anchor_of(replica) as anchor:
        assert anchor.read() == [b"two"]


def test_an_anchor_outlives_the_reopening_of_the_token(replica: ReplicaToken) -> None:
    owner = TokenOwner.start(lambda: replica.open(recycle_after=1))  # reopens after every job
    try:
        anchor = TokenAnchor(owner, replica.location)
        anchor.first(b"0")
        for number in range(5):
            anchor.replace(b"%d" % number, b"%d" % (number + 1))
        assert anchor.read() == [b"5"]
    finally:
        owner.close()


def test_what_is_to_be_destroyed_has_to_be_there(replica: ReplicaToken) -> None:
    with anchor_of(replica) as anchor:
        anchor.first(b"one")
        with pytest.raises(AnchorGoneError):
            anchor.destroy(b"another")
        assert anchor.read() == [b"one"]


def test_who_comes_second_fails_and_takes_its_own_anchor_away_again(replica: ReplicaToken) -> None:
    with anchor_of(replica) as anchor:
        anchor.first(b"one")
        anchor.replace(b"one", b"two of the winner")
        with pytest.raises(AnchorGoneError, match="not in the token"):
            anchor.replace(b"one", b"two of the loser")
        assert anchor.read() == [b"two of the winner"]


def test_reading_removes_what_a_kill_left_half_made_and_nothing_else(replica: ReplicaToken) -> None:
    with anchor_of(replica) as anchor:
        anchor.first(b"one")
    files = sorted(token_files(replica, "*.object"))
    with user(replica.location) as session:  # so it looks on SoftHSM after a kill within C_CreateObject
        session.create_object({Attribute.CLASS: ObjectClass.DATA, Attribute.TOKEN: True})
    assert sorted(token_files(replica, "*.object")) != files
    with anchor_of(replica) as anchor:
        assert anchor.read() == [b"one"]
    assert sorted(token_files(replica, "*.object")) == files


def test_two_anchors_are_both_told(replica: ReplicaToken) -> None:
    with anchor_of(replica) as anchor:
        anchor.first(b"one")
    with user(replica.location) as session:
        session.create_object({**ANCHOR_OBJECT, Attribute.VALUE: b"two"})
    with anchor_of(replica) as anchor:
        assert sorted(anchor.read()) == [b"one", b"two"]


def test_the_anchor_can_be_changed_or_copied_by_nobody(replica: ReplicaToken) -> None:
    with anchor_of(replica) as anchor:
        anchor.first(b"one")
    with user(replica.location) as session:
        (found,) = session.get_objects({Attribute.CLASS: ObjectClass.DATA, Attribute.LABEL: ANCHOR})
        assert found[Attribute.PRIVATE]
        with pytest.raises(PKCS11Error):
            found[Attribute.VALUE] = b"x"
        with pytest.raises(PKCS11Error):
            found[Attribute.LABEL] = "x"
        with pytest.raises(PKCS11Error):
            found.copy({})
        assert found[Attribute.VALUE] == b"one"


def test_a_token_that_has_ended_is_a_token_error(replica: ReplicaToken) -> None:
    with anchor_of(replica) as anchor:
        anchor.first(b"one")
    with pytest.raises(TokenError, match="the token has been closed"):
        anchor.read()


def token_files(replica: ReplicaToken, pattern: str) -> list[Path]:
    assert replica.location.softhsm2_conf is not None
    return list((replica.location.softhsm2_conf.parent / "tokens").glob(f"*/{pattern}"))


def test_the_new_anchor_is_synced_before_the_old_one_is_destroyed(
    replica: ReplicaToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, int]] = []

    def fsync(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced.append((path.suffix, len(token_files(replica, "*.object"))))

    monkeypatch.setattr(softhsm_files.os, "fsync", fsync)
    with anchor_of(replica) as anchor:
        anchor.first(b"one")
        count = len(token_files(replica, "*.object"))
        synced.clear()
        anchor.replace(b"one", b"two")
        # The new object's file, then the directory that names it, while the old one is still there.
        assert synced == [(".object", count + 1), ("", count + 1)]
        synced.clear()
        anchor.destroy(b"two")
        assert synced == [("", count - 1)]


def test_a_configuration_without_a_token_directory_is_refused(tmp_path: Path) -> None:
    configuration = tmp_path / "softhsm2.conf"
    configuration.write_text("log.level = ERROR\n")
    with pytest.raises(TokenError, match=r"names no directories\.tokendir"):
        softhsm_files.SoftHsmFiles(configuration)
    with pytest.raises(TokenError, match="cannot read"):
        softhsm_files.SoftHsmFiles(tmp_path / "missing")


def test_the_first_time_every_object_and_the_token_itself_is_synced(
    replica: ReplicaToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(
        softhsm_files.os, "fsync", lambda descriptor: synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
    )
    assert replica.location.softhsm2_conf is not None
    softhsm_files.SoftHsmFiles(replica.location.softhsm2_conf).sync()
    objects = token_files(replica, "*.object")
    assert len(objects) > 3
    assert set(synced[:-2]) == set(objects)
    assert synced[-2:] == [objects[0].parent, objects[0].parent.parent]


def test_files_that_cannot_be_synced_are_a_token_error(tmp_path: Path) -> None:
    configuration = tmp_path / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tmp_path / 'gone'}\n")
    with pytest.raises(TokenError, match="cannot be synced"):
        softhsm_files.SoftHsmFiles(configuration).sync()
