"""Without the peers their tests fail and say what to run; and the lock names no place to fetch them from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.peers.peer import HERE, PACKAGES, Peer, PeerError, require_peers


def test_a_missing_peer_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="make peers") as failed:
        require_peers(tmp_path)
    assert all(name in str(failed.value) for name in PACKAGES)


def test_a_missing_node_is_named_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AssertionError, match="make peers"):
        require_peers()


def test_the_lock_pins_every_package_by_hash_and_names_no_registry() -> None:
    packages = json.loads((HERE / "package-lock.json").read_text())["packages"]
    wanted = packages.pop("")["dependencies"]
    assert set(wanted) == set(PACKAGES)
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-")
        assert "resolved" not in package
        assert wanted.get(name.removeprefix("node_modules/"), package["version"]) == package["version"]


def test_a_call_that_does_not_exist_is_an_error_and_the_peer_lives_on(peer: Peer) -> None:
    for name in ("opaque.client.nothing", "constructor.constructor", "noble", ""):
        with pytest.raises(PeerError):
            peer.call(name, "return 1")
    assert peer.call("opaque.server.createSetup")
