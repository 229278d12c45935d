"""What a replica takes for published, what it lets in, and what it hands to clients (VAULT-EPOCH-BY-BUNDLE)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hsm_app.epochs import Epochs
from hsm_app.errors import ConfigError, LogError, QuorumError, StoreError
from hsm_app.fleet.manifest import Custody, FleetState, Manifest
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.replica.published import LOOK_AGAIN, Published
from tests.fleet import trust
from tests.fleet.example import NOW, example_fleet
from tests.fleet.trust import DAY, entry_of, manifest_bytes

ROOT = trust.root_of_trust()
FIRST = parse_manifest(manifest_bytes())
LEFT = replace(example_fleet(replicas=5), state=FleetState.RECOVER_ONLY)
SECOND = parse_manifest(manifest_bytes(2, FIRST.digest, fleets=(LEFT,)))
THIRD = parse_manifest(manifest_bytes(3, SECOND.digest, fleets=(LEFT,)))


LOG = trust.Log()
ENTRIES = {manifest.digest: entry_of(manifest.raw) for manifest in (FIRST, SECOND, THIRD)}
LOG.entries += ENTRIES.values()


@cache
def bundle(manifest: Manifest, at: int = NOW) -> bytes:
    """The bundle of a manifest in the log, which has all three from the start."""
    return LOG.bundle(ENTRIES[manifest.digest], at=at)


def foreign(manifest: Manifest, **signers: Any) -> bytes:
    """A bundle from a longer log of somebody else's making."""
    return trust.Log(list(LOG.entries)).bundle(entry_of(manifest.raw, **signers))


class Clock:
    def __init__(self) -> None:
        self.time = NOW
        self.jumped = False

    def now(self) -> int:
        if self.jumped:
            raise QuorumError("the clock jumped")
        return self.time


class Place:
    """A replica's files in the first epoch."""

    def __init__(self, root: Path) -> None:
        (root / "manifest.json").write_bytes(FIRST.raw)
        self.epochs = Epochs(root / "manifest.json", ROOT)
        self.clock = Clock()
        self.published = Published(ROOT, self.epochs, self.clock)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_client_is_handed_the_bundle_of_the_present_epoch(place: Place) -> None:
    assert place.published.served() == b""
    place.published.keep(bundle(FIRST))
    assert place.published.served() == bundle(FIRST)
    newer = bundle(FIRST, at=NOW + 50)
    place.published.keep(newer)
    assert place.published.served() == newer


def test_it_is_handed_out_only_for_as_long_as_it_is_believed(place: Place) -> None:
    place.published.keep(bundle(FIRST))
    place.clock.time = NOW + 7 * DAY - LOOK_AGAIN
    assert place.published.served()
    place.clock.time = NOW + 7 * DAY + LOOK_AGAIN
    assert place.published.served() == b""
    place.clock.jumped = True
    assert place.published.served() == b""


def test_a_bundle_that_was_changed_on_the_disk_is_not_handed_out(place: Place, tmp_path: Path) -> None:
    place.published.keep(bundle(FIRST))
    (tmp_path / "epochs" / "bundle-1").write_bytes(foreign(FIRST, signed_by=trust.auditor(9)))
    assert place.published.served() == b""
    (tmp_path / "epochs" / "bundle-1").write_bytes(b"")
    assert Published(ROOT, place.epochs, place.clock).served() == b""


def test_the_next_epoch_is_entered_with_its_bundle_and_not_without(place: Place) -> None:
    """VAULT-EPOCH-BY-BUNDLE"""
    with pytest.raises(ConfigError, match="nothing proves that the auditor published"):
        place.published.check_entry(SECOND)
    place.published.keep(bundle(SECOND))
    place.published.check_entry(SECOND)
    place.epochs.check(SECOND, [])
    place.epochs.enter(SECOND, [])
    assert place.epochs.proven_predecessor() == FIRST.digest
    assert place.published.served() == bundle(SECOND)


def test_a_manifest_on_the_disk_without_its_bundle_follows_nothing(place: Place, tmp_path: Path) -> None:
    place.published.keep(bundle(SECOND))
    place.epochs.enter(SECOND, [])
    for content in (foreign(SECOND, signed_by=trust.auditor(9)), bundle(FIRST), b"no bundle"):
        (tmp_path / "epochs" / "bundle-2").write_bytes(content)
        assert place.epochs.proven_predecessor() is None
    (tmp_path / "epochs" / "bundle-2").unlink()
    assert place.epochs.proven_predecessor() is None


def test_after_its_time_an_epoch_that_was_entered_is_still_proved(place: Place) -> None:
    place.published.keep(bundle(SECOND))
    place.epochs.enter(SECOND, [])
    place.clock.time = NOW + 300 * DAY
    assert place.epochs.proven_predecessor() == FIRST.digest


def test_the_bundle_of_an_epoch_that_was_missed_is_taken_beside_one_of_today(place: Place) -> None:
    place.clock.time = NOW + 20 * DAY
    old, late = bundle(SECOND), bundle(THIRD, at=place.clock.time)
    with pytest.raises(LogError) as caught:
        place.published.keep(old)
    assert caught.value.check == "freshness"
    place.published.keep(late)
    place.published.keep(old)
    place.published.check_entry(SECOND)


OTHER = replace(example_fleet(replicas=5), custody=Custody.MAINTAINED)
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "signed by another auditor": (lambda: foreign(SECOND, signed_by=trust.auditor(9)), "auditor-signature"),
    "signed by another operator": (lambda: foreign(SECOND, countersigned_by=trust.operator(9)), "counter-signature"),
    "that witnesses saw long ago": (lambda: bundle(SECOND, at=NOW - 30 * DAY), "freshness"),
    "of another manifest of this epoch": (lambda: foreign(parse_manifest(manifest_bytes(fleets=(OTHER,)))), "delta"),
    "of another history": (lambda: foreign(parse_manifest(manifest_bytes(2, b"x" * 32))), "delta"),
    "that is none": (lambda: b"", "artifact"),
}


@pytest.mark.parametrize(("made", "check"), REFUSED.values(), ids=REFUSED.keys())
def test_a_bundle_is_refused(place: Place, made: Callable[[], bytes], check: str) -> None:
    place.published.keep(bundle(FIRST))
    with pytest.raises(LogError) as caught:
        place.published.keep(made())
    assert caught.value.check == check
    assert place.epochs.bundle(2) is None
    assert place.epochs.bundle(1) == bundle(FIRST)


def test_another_manifest_than_the_published_one_does_not_enter(place: Place) -> None:
    place.published.keep(bundle(SECOND))
    twin = parse_manifest(manifest_bytes(2, FIRST.digest, fleets=(replace(LEFT, state=FleetState.REVOKED),)))
    with pytest.raises(LogError, match="published another manifest"):
        place.published.check_entry(twin)


def test_a_root_of_trust_that_has_expired_lets_nothing_in(place: Place) -> None:
    place.clock.time = NOW + 400 * DAY
    with pytest.raises(ConfigError, match="has expired"):
        place.published.keep(bundle(FIRST))
    assert place.published.served() == b""


def test_a_full_disk_is_said_and_nothing_is_kept(place: Place, tmp_path: Path) -> None:
    (tmp_path / "epochs").write_bytes(b"in the way")
    with pytest.raises(StoreError, match="cannot create"):
        place.published.keep(bundle(FIRST))
