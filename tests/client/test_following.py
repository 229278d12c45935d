"""A client that follows a root of trust: what it believes, what it keeps, and an epoch that changes in the middle."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from hsm_app.client import patience
from hsm_app.client.blocking import Vault
from hsm_app.client.config import VaultConfig
from hsm_app.client.learning import learn
from hsm_app.client.trust import FollowedManifest
from hsm_app.errors import ConfigError, Denied, LogError, QuorumError, VaultError
from hsm_app.fleet.client_policy import DEVELOPMENT, PRODUCTION
from hsm_app.fleet.manifest import Fleet, FleetState, Manifest
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.root_of_trust import RootOfTrust
from hsm_app.wire import messages as m
from tests.client.software_vault import CHEAP, PATIENCE, SUBJECT, SoftwareVault, running
from tests.fleet import trust
from tests.fleet.example import example_fleet, point

CODE, KEY, DAY = "correct horse", bytes(range(32)), 86_400
NOW = int(time.time())
ROOT = trust.root_of_trust(issued_at=NOW - DAY, expires_at=NOW + 365 * DAY)
FLEET = replace(example_fleet(), argon2=CHEAP)


def manifest(epoch: int, before: Manifest | None, fleet: Fleet = FLEET) -> Manifest:
    times = {"issued_at": NOW - 60, "not_before": NOW - 60, "not_after": NOW + DAY}
    previous = None if before is None else before.digest
    return parse_manifest(trust.manifest_bytes(epoch, previous, fleets=(fleet,), **times))


FIRST = manifest(1, None)
LOG = trust.Log()
BUNDLE = LOG.bundle(trust.entry_of(FIRST.raw), at=NOW)


def after(fleet: Fleet, log: trust.Log | None = None) -> tuple[Manifest, bytes]:
    """The second epoch, with this fleet in it, and its bundle."""
    second = manifest(2, FIRST, fleet)
    own = trust.Log(list(LOG.entries)) if log is None else log
    return second, own.bundle(trust.entry_of(second.raw), at=NOW)


class Shelf:
    """What a client keeps, in memory."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []

    def keep(self, raw: bytes, _manifest: Manifest) -> None:
        self.kept.append(raw)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PAUSES", (0.01, 0.01, 0.01))


@pytest.fixture
def software() -> Iterator[SoftwareVault]:
    with running(SoftwareVault(FIRST)) as vault:
        vault.bundle = BUNDLE
        yield vault


def following(held: bytes | None = BUNDLE, root: RootOfTrust = ROOT, now: int = NOW) -> tuple[FollowedManifest, Shelf]:
    shelf = Shelf()
    return FollowedManifest(root, held, shelf.keep, lambda: now), shelf


def config(software: SoftwareVault, followed: FollowedManifest, **changes: Any) -> VaultConfig:
    made = VaultConfig(
        relay=software.address, trust=followed, fleet="fleet-1", subject=SUBJECT, policy=DEVELOPMENT,
        account_token=lambda: "a.b.c", patience=PATIENCE,
    )  # fmt: skip
    return replace(made, **changes)


def when(kind: type, do: Callable[[], None]) -> Callable[[Any], Any]:
    """Do something when an answer of this kind has been made, before it is sent."""

    def twist(answer: Any) -> Any:
        if type(answer) is kind:
            do()
        return answer

    return twist


async def test_a_client_that_knows_nothing_asks_and_is_told(software: SoftwareVault) -> None:
    followed, shelf = following(held=None)
    assert not followed.is_known
    with pytest.raises(ConfigError, match="no manifest"):
        _ = followed.manifest
    assert await learn(software.address, followed, fleet="", patience=PATIENCE) == FIRST
    assert (followed.manifest, shelf.kept) == (FIRST, [BUNDLE])
    assert software.asked == []  # nothing but the question for keys was sent


async def test_a_client_that_is_told_nothing_says_so(software: SoftwareVault) -> None:
    software.bundle = b""
    with pytest.raises(QuorumError, match="no replica has proved its keys; the relay says: no"):
        await learn(software.address, following(held=None)[0], fleet="", patience=PATIENCE)


def test_a_guess_stays_one_guess_when_the_epoch_changes_in_its_middle(software: SoftwareVault) -> None:
    followed, shelf = following()
    vault = Vault(config(software, followed))
    vault.register(CODE, KEY)
    second, bundle = after(replace(FLEET, state=FleetState.RECOVER_ONLY))
    software.twist = when(m.RecoverStarted, lambda: software.enter(second, bundle))
    software.asked.clear()
    assert vault.recover(CODE).secret == KEY
    assert [type(asked) for asked in software.asked] == [m.RecoverStart, m.RecoverFinish]
    assert (followed.manifest, shelf.kept) == (second, [bundle])
    assert vault.status().body.epoch == 2


def test_a_wrong_guess_costs_one_attempt_when_the_epoch_changes_in_its_middle(software: SoftwareVault) -> None:
    vault = Vault(config(software, following()[0]))
    vault.register(CODE, KEY)
    software.twist = when(m.RecoverStarted, lambda: software.enter(*after(FLEET)))
    with pytest.raises(Denied) as caught:
        vault.recover("wrong horse")
    assert caught.value.attempts_left == 9


ENDS: dict[str, tuple[Fleet, str]] = {
    "another session key": (replace(FLEET, kem_public=point(5)), "another kem_public"),
    "another OPAQUE key": (replace(FLEET, opaque_public=point(5)), "another opaque_public"),
    "other costs": (replace(FLEET, argon2=replace(CHEAP, iterations=2)), "another argon2"),
    "a fleet that is revoked": (replace(FLEET, state=FleetState.REVOKED), "is revoked"),
    "a fleet of another name": (replace(FLEET, fleet="fleet-2"), "lists no fleet"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("fleet", "why"), ENDS.values(), ids=ENDS.keys())
def test_an_operation_ends_when_the_next_epoch_has(software: SoftwareVault, fleet: Fleet, why: str) -> None:
    vault = Vault(config(software, following()[0]))
    vault.register(CODE, KEY)
    second, bundle = after(fleet)
    other = SoftwareVault(second, fleet.fleet)
    software.twist = when(m.RecoverStarted, lambda: software.__dict__.update(_receiver=other._receiver, bundle=bundle))
    with pytest.raises(ConfigError, match=why):
        vault.recover(CODE)


def test_a_production_policy_refuses_a_fleet_without_assurance(software: SoftwareVault) -> None:
    with pytest.raises(ConfigError, match="this device demands"):
        Vault(config(software, following()[0], policy=PRODUCTION)).status()
    assert software.frames == []


def _second(entry: bytes, **how: Any) -> bytes:
    return trust.Log(list(LOG.entries)).bundle(entry, **{"at": NOW, **how})


SECOND = manifest(2, FIRST)
UNBELIEVED: dict[str, tuple[bytes, str]] = {
    "signed by another auditor": (_second(trust.entry_of(SECOND.raw, signed_by=trust.auditor(9))), "auditor-signature"),
    "signed by another operator": (
        _second(trust.entry_of(SECOND.raw, countersigned_by=trust.operator(9))),
        "counter-signature",
    ),
    "that no witness saw": (_second(trust.entry_of(SECOND.raw), witnesses=()), "witnesses"),
    "that witnesses saw long ago": (_second(trust.entry_of(SECOND.raw), at=NOW - 30 * DAY), "freshness"),
    "of the log as it was before": (
        trust.Log([b"another history"]).bundle(trust.entry_of(SECOND.raw), at=NOW),
        "consistency",
    ),
    "that is no bundle": (b"what?", "artifact"),
}


@pytest.mark.parametrize(("bundle", "check"), UNBELIEVED.values(), ids=UNBELIEVED.keys())
def test_no_key_is_used_from_a_bundle(software: SoftwareVault, bundle: bytes, check: str) -> None:
    followed, shelf = following()
    software.enter(SECOND, bundle)
    with pytest.raises(LogError, match="not to be believed") as caught:
        Vault(config(software, followed)).status()
    assert caught.value.check == check
    assert (followed.manifest, shelf.kept, software.asked) == (FIRST, [], [])


def test_a_bundle_that_cannot_be_kept_is_not_believed(software: SoftwareVault) -> None:
    def full(_raw: bytes, _manifest: Manifest) -> None:
        raise ConfigError("cannot write: no space left on device")

    followed = FollowedManifest(ROOT, BUNDLE, full, lambda: NOW)
    software.enter(*after(FLEET))
    with pytest.raises(ConfigError, match="no space"):
        Vault(config(software, followed)).status()
    assert followed.manifest == FIRST


def test_what_was_kept_is_asked_for_again_when_it_is_old_and_never_goes_back() -> None:
    later = NOW + 20 * DAY
    second, bundle = after(FLEET)
    followed, _ = following(held=bundle, now=later)
    assert not followed.is_known
    with pytest.raises(LogError) as caught:
        followed.follow(trust.Log(list(LOG.entries)).bundle(trust.entry_of(FIRST.raw), at=later))
    assert caught.value.check in ("delta", "freshness")
    assert second.epoch == 2


BROKEN: dict[str, tuple[Callable[[], object], type[VaultError], str]] = {
    "a root of trust that has expired": (lambda: following(now=NOW + 400 * DAY), ConfigError, "has expired"),
    "a bundle that is cut short": (lambda: following(held=BUNDLE[:900]), LogError, "bundle|envelope"),
}


@pytest.mark.parametrize(("start", "family", "why"), BROKEN.values(), ids=BROKEN.keys())
def test_it_does_not_begin_with(start: Callable[[], object], family: type[VaultError], why: str) -> None:
    with pytest.raises(family, match=why):
        start()
