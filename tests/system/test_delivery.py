"""Fleet keys over the air, by the programs that people have: a client that knows only a root of trust.

Covered: learning the keys, following a new epoch, and what cannot be done by an operator alone, with a stale bundle, or
with another root of trust on a replica's disk. What makes a bundle one to believe is tabled in
`tests/fleet/test_bundle.py`; epochs that change while an operation runs are in `tests/client/test_following.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hsm_app.errors import ConfigError, LogError
from hsm_app.fleet.manifest_encoding import encode_manifest
from hsm_app.net.address import Address
from hsm_app.operator.door_client import call
from hsm_app.wire.operator_bodies import BUNDLE, ENTER, Entry, encode_entry
from scripts.show.fake_relay import relay_that_hands_out
from tests.fleet.example import example_fleet
from tests.live_fleet import FLEET, run, well
from tests.system.published_fleet import CODE, World, client, kept, published_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with published_world(tmp_path_factory.mktemp("delivery")) as made:
        yield made


@pytest.fixture
def public(world: World) -> World:
    """The world after its first epoch was published."""
    if not (world.fleet.root / "epochs" / "bundle-1").exists():
        done = world.publish(world.bundle_of(world.manifest.raw))
        assert (done.returncode, "by replicas 1, 2, 3" in done.stdout) == (0, True), done.stderr
    return world


def test_before_anything_is_published_a_client_is_told_so(world: World, tmp_path: Path) -> None:
    if (world.fleet.root / "epochs" / "bundle-1").exists():
        pytest.fail("this test has to be the first of its module")
    config = world.fleet.client_config("early", tmp_path)
    done = client("status", config)
    assert (done.returncode, "no replica has proved its keys" in done.stderr) == (7, True), done.stderr


def test_a_client_with_only_a_root_of_trust_learns_the_keys(public: World, tmp_path: Path) -> None:
    config = public.fleet.client_config("anna", tmp_path / "old")
    assert "manifest" not in config.read_text()
    done = client("register", config, "--choose-code", code=CODE)
    assert (done.returncode, "development policy" in done.stderr) == (0, True), done.stderr
    assert kept(config, "bundle") == (public.fleet.root / f"epochs/bundle-{public.manifest.epoch}").read_bytes()
    assert kept(config, "fleet") == f"{FLEET}\n".encode()
    phone = public.fleet.client_config("anna", tmp_path / "new")
    assert client("recover", phone, code=CODE).returncode == 0
    assert kept(phone, "key") == kept(config, "key")


def test_a_client_follows_to_the_next_epoch_and_never_back(public: World, tmp_path: Path) -> None:
    config = public.fleet.client_config("berta", tmp_path)
    assert client("register", config, "--choose-code", code=CODE).returncode == 0
    before, epoch = kept(config, "bundle"), public.manifest.epoch
    bundle = public.go_on()
    shown = json.loads(client("status", config, "--json").stdout)
    assert (shown["epoch"], shown["state"]) == (epoch + 1, "active")
    assert kept(config, "bundle") == bundle.read_bytes()
    with relay_that_hands_out(before) as address:
        config.write_text(_with_relay(config, address))
        done = client("status", config)
    assert (done.returncode, "is older than epoch" in done.stderr) == (10, True), done.stderr
    assert kept(config, "bundle") == bundle.read_bytes()


def test_a_key_that_the_auditor_has_not_logged_is_refused_by_everyone(public: World, tmp_path: Path) -> None:
    current = public.manifest
    cheat = replace(current.fleets[0], kem_public=example_fleet().kem_public)
    raw = encode_manifest(
        namespace=current.namespace, epoch=current.epoch + 1, previous_sha256=current.digest,
        issued_at=current.issued_at, not_before=current.not_before, not_after=current.not_after, fleets=(cheat,),
    )  # fmt: skip
    forged = public.forged(raw)
    (tmp_path / "forged").write_bytes(forged)
    done = public.publish(tmp_path / "forged")
    assert (done.returncode, "auditors" in done.stderr) == (10, True), done.stderr
    door = Address(path=str(public.fleet.root / "replica-1" / "door"))
    with pytest.raises(LogError, match="auditors"):
        call(door, BUNDLE, forged)
    with pytest.raises(ConfigError, match="nothing proves that the auditor published"):
        call(door, ENTER, encode_entry(Entry(manifest=raw, certificates=())))
    config = public.fleet.client_config("clara", tmp_path)
    assert client("register", config, "--choose-code", code=CODE).returncode == 0
    held = kept(config, "bundle")
    with relay_that_hands_out(forged) as address:
        for device in (config, public.fleet.client_config("clara", tmp_path / "new")):
            device.write_text(_with_relay(device, address))
            refused = client("recover", device, code=CODE)
            assert (refused.returncode, "not to be believed" in refused.stderr) == (10, True), refused.stderr
    assert kept(config, "bundle") == held
    assert public.manifest.digest == current.digest


def test_a_replica_does_not_start_with_another_root_of_trust(public: World) -> None:
    fleet = public.fleet
    settings, kept_text = fleet.settings("replica-3"), fleet.settings("replica-3").read_text()
    other = public.root / "other-root.json"
    other.write_bytes((public.root / "root.json").read_bytes().replace(b'"minimum_epoch": 1', b'"minimum_epoch":  1'))
    fleet.kill(3)
    try:
        for line, expected in ((f'root_of_trust = "{other}"', {8}), ("# no root of trust", {3, 8})):
            settings.write_text(kept_text.replace(f'root_of_trust = "{fleet.root}/root-of-trust.json"', line))
            assert settings.read_text() != kept_text
            fleet.launch("replica-3")
            code, said = fleet.ended("replica-3")
            assert code in expected, said  # 3: without one, the history has a step that only a bundle allows
            assert code == 3 or "root-of-trust document was swapped" in said, said
    finally:
        settings.write_text(kept_text)
        fleet.start("replica-3")


def test_a_replica_that_was_away_for_two_epochs_comes_after(public: World, tmp_path: Path) -> None:
    fleet = public.fleet
    fleet.kill(2)
    public.go_on()
    public.go_on()
    fleet.start("replica-2")
    said = well("fleet", "enter", str(fleet.root))
    assert f"entered epoch {public.manifest.epoch}: replicas 1, 2, 3" in said
    fleet.kill(1)
    try:
        config = fleet.client_config("dora", tmp_path)
        assert client("register", config, "--choose-code", code=CODE).returncode == 0
    finally:
        fleet.start("replica-1")


def _with_relay(config: Path, address: str) -> str:
    lines = config.read_text().splitlines()
    return "\n".join([f'relay = "{address}"', *(line for line in lines if not line.startswith("relay ="))]) + "\n"


def test_a_replica_is_replaced_in_two_epochs_that_the_auditor_published(public: World, tmp_path: Path) -> None:
    """And its token dies while the auditor has the second of them: VAULT-MEMBERSHIP-ISSUED-STAYS."""
    fleet, epoch = public.fleet, public.manifest.epoch
    config = fleet.client_config("frida", tmp_path)
    assert client("register", config, "--choose-code", code=CODE).returncode == 0
    fleet.kill(3)
    command = ("fleet", "replace-replica", str(fleet.root), "--replica", "3")
    same, died = (*command, "--same-token"), (*command, "--new-token-died")
    stops_until_published(public, epoch + 1, same)
    stopped = run(*same)
    assert (stopped.returncode, f"epoch {epoch + 2} is not public yet" in stopped.stderr) == (3, True), stopped.stderr
    proposal = ("namespace", "next", str(fleet.root), "--out", str(tmp_path / "proposal"))
    instead = run(*proposal)
    assert (instead.returncode, "took replica 3 out" in instead.stderr) == (3, True), instead.stderr
    assert not (tmp_path / "proposal").exists()
    assert "--without 3" in instead.stderr
    assert run(*proposal, "--without", "3").returncode == 0  # and is not published here
    tokens = fleet.root / "replica-3" / "tokens"
    tokens.rename(tmp_path / "tokens")
    gone = run(*same)
    assert (gone.returncode, "--new-token-died" in gone.stderr) == (6, True), gone.stderr
    stops_until_published(public, epoch + 2, died)
    assert run(*died).returncode == 0
    assert public.manifest.epoch == epoch + 2
    assert client("recover", config, code=CODE).returncode == 0
    (tmp_path / "tokens").rename(tokens)
    fleet.start("replica-3")  # found again, and it had its anchor: a member like any other
    fleet.kill(1)
    assert client("recover", config, code=CODE).returncode == 0
    fleet.start("replica-1")
    fleet.kill(3)

    for following in (epoch + 3, epoch + 4):
        stops_until_published(public, following, same)
    done = run(*same)
    assert (done.returncode, "clients learn epoch" in done.stdout) == (0, True), done.stdout + done.stderr
    fleet.start("replica-3")
    assert public.manifest.epoch == epoch + 4
    fleet.kill(1)
    try:
        assert client("recover", config, code=CODE).returncode == 0
        assert json.loads(client("status", config, "--json").stdout)["epoch"] == epoch + 4
    finally:
        fleet.start("replica-1")


def stops_until_published(public: World, epoch: int, command: tuple[str, ...]) -> None:
    """See a command stop because an epoch is not public, and have the auditor publish it."""
    stopped = run(*command)
    assert (stopped.returncode, f"epoch {epoch} is not public yet" in stopped.stderr) == (3, True), (
        stopped.stdout + stopped.stderr
    )
    bundle = public.bundle_of((public.fleet.root / "epochs" / f"manifest-{epoch}.json").read_bytes())
    published = public.publish(bundle)
    assert (published.returncode, "fleet replace-replica" in published.stdout) == (0, True), published.stderr
