"""Which manifest a replica may enter: the steps of a replacement, and everything else refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.errors import ConfigError
from hsm_app.fleet.manifest import Custody, Fleet, Manifest, Replica
from hsm_app.fleet.manifest_encoding import encode_manifest
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.membership import check_entry
from hsm_app.fleet.membership_certificate import SweepCertificate, parse_certificate, statement
from hsm_app.fleet.membership_manifests import with_replica, without_replica
from hsm_app.fleet.publication import check_publication
from hsm_app.model import ReplicaId
from tests.fleet.example import NOW, example_fleet, point, private_key

MAINTAINED = replace(example_fleet(replicas=5, groups=2), custody=Custody.MAINTAINED)
FLEET = MAINTAINED.fleet


def issued(
    fleets: tuple[Fleet, ...],
    epoch: int,
    previous: Manifest | None,
    *,
    namespace: str = "vault.example/fleets",
    issued_at: int = NOW,
    not_after: int = NOW + 86_400,
) -> Manifest:
    return parse_manifest(
        encode_manifest(
            namespace=namespace,
            epoch=epoch,
            previous_sha256=None if previous is None else previous.digest,
            issued_at=issued_at,
            not_before=NOW,
            not_after=not_after,
            fleets=fleets,
        )
    )


def fresh(incarnation: int = 2, number: int = 3) -> Replica:
    return Replica(
        replica=ReplicaId(number), incarnation=incarnation, identity_public=point(801), link_public=point(802)
    )


FIRST = issued((MAINTAINED,), 1, None)
WITHOUT = without_replica(FIRST, FLEET, 3, issued_at=NOW + 1)
WITH = with_replica(WITHOUT, FLEET, 0, fresh(), issued_at=NOW + 2)


def signature(scalar: int, signed: bytes) -> bytes:
    r, s = decode_dss_signature(private_key(scalar).sign(signed, ec.ECDSA(SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def certificate(manifest: Manifest, signers: tuple[int, ...] = (1, 2, 4), group: int = 0) -> SweepCertificate:
    signed = statement(fleet=FLEET, group=group, epoch=manifest.epoch, manifest=manifest.digest)
    return SweepCertificate(
        fleet=FLEET,
        group=group,
        epoch=manifest.epoch,
        manifest=manifest.digest,
        signatures=tuple((ReplicaId(n), signature(1000 * group + 2 * n - 1, signed)) for n in signers),
    )


CERTIFICATE = certificate(WITHOUT)


def test_a_replacement_is_two_epochs_and_the_next_one_two_more() -> None:
    """VAULT-MEMBERSHIP-ONE-AT-A-TIME: all the steps of two replacements, in order."""
    check_entry(None, FIRST, WITHOUT)
    check_entry(FIRST, WITHOUT, WITH, [CERTIFICATE])
    third = without_replica(WITH, FLEET, 1, issued_at=NOW + 3)
    check_entry(WITHOUT, WITH, third)
    back = replace(FIRST.fleets[0].groups[0].replicas[0], incarnation=2)
    check_entry(WITH, third, with_replica(third, FLEET, 0, back, issued_at=NOW + 4), [certificate(third, (2, 4, 5))])


def test_a_successor_that_died_is_replaced_in_two_more_epochs_and_in_no_other_way() -> None:
    """VAULT-MEMBERSHIP-ISSUED-STAYS: whoever has entered the epoch that lists it enters no other one of that number."""
    out = without_replica(WITH, FLEET, 3, issued_at=NOW + 3)
    check_entry(WITHOUT, WITH, out)
    newest = replace(fresh(3), identity_public=point(803), link_public=point(804))
    check_entry(WITH, out, with_replica(out, FLEET, 0, newest, issued_at=NOW + 4), [certificate(out)])
    other = with_replica(WITHOUT, FLEET, 0, replace(newest, incarnation=2), issued_at=NOW + 2)
    with pytest.raises(ConfigError, match="does not follow epoch 3"):
        check_entry(WITHOUT, WITH, other)
    with pytest.raises(ConfigError, match="follows another manifest"):
        check_entry(WITHOUT, WITH, without_replica(other, FLEET, 3, issued_at=NOW + 3))
    again = replace(newest, incarnation=2)
    with pytest.raises(ConfigError, match="comes back as incarnation 2, not 3"):
        check_entry(WITH, out, with_replica(out, FLEET, 0, again, issued_at=NOW + 4), [certificate(out)])


def test_a_sealed_fleet_takes_back_the_same_token_only() -> None:
    """VAULT-MEMBERSHIP-NEW-INCARNATION: in a sealed fleet with the keys it had."""
    first = issued((replace(MAINTAINED, custody=Custody.SEALED),), 1, None)
    removed = without_replica(first, FLEET, 3, issued_at=NOW)
    same = replace(first.fleets[0].groups[0].find(3), incarnation=2)
    check_entry(
        first, removed, with_replica(removed, FLEET, 0, same, issued_at=NOW), [certificate(removed, (1, 4, 5, 2))]
    )
    with pytest.raises(ConfigError, match="sealed"):
        check_entry(
            first, removed, with_replica(removed, FLEET, 0, fresh(), issued_at=NOW), [certificate(removed, (1, 4, 5))]
        )


def with_groups(change: Callable[[tuple[Replica, ...]], tuple[Replica, ...]]) -> Fleet:
    first, second = MAINTAINED.groups
    return replace(MAINTAINED, groups=(replace(first, replicas=change(first.replicas)), second))


REFUSED_FROM_FIRST = {
    "the same epoch again": (FIRST, "does not follow epoch 1"),
    "an epoch that is skipped": (WITH, "does not follow epoch 1"),
    "another predecessor": (
        issued((with_groups(lambda all_: all_[1:]),), 2, issued((MAINTAINED,), 1, None, not_after=NOW + 5)),
        "follows another manifest",
    ),
    "two removed at once": (issued((with_groups(lambda all_: all_[2:]),), 2, FIRST), "at once"),
    "one exchanged for another": (
        issued((with_groups(lambda all_: (*all_[:2], fresh(), *all_[3:])),), 2, FIRST),
        "at once",
    ),
    "one added that nobody removed": (
        issued((with_groups(lambda all_: (*all_, fresh(1, 6))),), 2, FIRST),
        "did not remove it",
    ),
    "another order": (issued((with_groups(lambda all_: all_[::-1]),), 2, FIRST), "another order"),
    "another namespace": (issued((MAINTAINED,), 2, FIRST, namespace="other"), "is of another namespace"),
    "another window": (issued((MAINTAINED,), 2, FIRST, not_after=NOW + 7), "changes not_after"),
    "issued earlier": (issued((MAINTAINED,), 2, FIRST, issued_at=NOW - 1), "issued before"),
    "a sealed fleet opened, or the other way": (
        issued((replace(MAINTAINED, custody=Custody.SEALED),), 2, FIRST),
        "more than the members",
    ),
    "another key": (issued((replace(MAINTAINED, opaque_public=point(9)),), 2, FIRST), "more than the members"),
    "a group less": (issued((replace(MAINTAINED, groups=MAINTAINED.groups[:1]),), 2, FIRST), "more than the members"),
    "a fleet less": (issued((example_fleet(fleet="fleet-2"),), 2, FIRST), "more than the members"),
}


@pytest.mark.parametrize(("following", "why"), REFUSED_FROM_FIRST.values(), ids=REFUSED_FROM_FIRST.keys())
def test_a_manifest_that_does_not_follow_is_refused(following: Manifest, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        check_entry(None, FIRST, following)


EVIDENT = replace(MAINTAINED, evidence_sha256=b"\x01" * 32)
OTHER_EVIDENCE = b"\x02" * 32


def following(fleet: Fleet, evidence: bytes | None = None) -> tuple[Manifest, Manifest, Manifest]:
    """A fleet's first epoch, one without a replica, and one with it again, under this evidence."""
    first = issued((fleet,), 1, None)
    removed = without_replica(first, FLEET, 3, issued_at=NOW)
    return first, removed, with_replica(removed, FLEET, 0, fresh(), issued_at=NOW, evidence=evidence)


def test_an_epoch_that_adds_a_replica_may_name_the_evidence_of_its_token() -> None:
    """VAULT-MEMBER-EVIDENCED: in the very epoch, so no manifest lists a key that its evidence does not have."""
    first, removed, with_it = following(EVIDENT, OTHER_EVIDENCE)
    assert with_it.fleets[0].evidence_sha256 == OTHER_EVIDENCE
    check_entry(first, removed, with_it, [certificate(removed)])
    check_publication(with_it, removed, NOW)
    check_entry(removed, with_it, without_replica(with_it, FLEET, 1, issued_at=NOW))
    assert following(EVIDENT)[2].fleets[0].evidence_sha256 == EVIDENT.evidence_sha256


def other_evidence(manifest: Manifest, before: Manifest, evidence: bytes | None) -> Manifest:
    return issued((replace(manifest.fleets[0], evidence_sha256=evidence),), manifest.epoch, before)


def test_evidence_changes_in_no_other_epoch_and_never_comes_or_goes() -> None:
    first, removed, with_it = following(EVIDENT, OTHER_EVIDENCE)
    never = following(MAINTAINED, OTHER_EVIDENCE)
    for older, current, next_ in (
        (None, first, other_evidence(removed, first, OTHER_EVIDENCE)),
        (None, first, issued((replace(EVIDENT, evidence_sha256=OTHER_EVIDENCE),), 2, first)),
        (first, removed, other_evidence(with_it, removed, None)),
        never,
    ):
        with pytest.raises(ConfigError, match="more than the members"):
            check_entry(older, current, next_, [certificate(current)] if older else [])


def test_a_sealed_fleet_names_no_other_evidence_for_the_token_that_it_takes_back() -> None:
    sealed = replace(EVIDENT, custody=Custody.SEALED)
    first = issued((sealed,), 1, None)
    removed = without_replica(first, FLEET, 3, issued_at=NOW)
    same = replace(sealed.groups[0].find(3), incarnation=2)
    back = with_replica(removed, FLEET, 0, same, issued_at=NOW, evidence=OTHER_EVIDENCE)
    with pytest.raises(ConfigError, match="more than the members"):
        check_entry(first, removed, back, [certificate(removed)])


def grown(replica: Replica) -> Manifest:
    return with_replica(WITHOUT, FLEET, 0, replica, issued_at=NOW + 2)


REFUSED_COMEBACKS = {
    "as the incarnation it was": (grown(fresh(1)), "incarnation 1, not 2"),
    "an incarnation too far": (grown(fresh(3)), "incarnation 3, not 2"),
    "under another number": (grown(fresh(1, 6)), "did not remove it"),
}


@pytest.mark.parametrize(("following", "why"), REFUSED_COMEBACKS.values(), ids=REFUSED_COMEBACKS.keys())
def test_who_comes_back_otherwise_is_refused(following: Manifest, why: str) -> None:
    """VAULT-MEMBERSHIP-NEW-INCARNATION: the number that was removed, one incarnation on."""
    with pytest.raises(ConfigError, match=why):
        check_entry(FIRST, WITHOUT, following, [CERTIFICATE])


def test_the_manifest_before_is_needed_to_judge_a_step() -> None:
    with pytest.raises(ConfigError, match="before epoch 2 is missing"):
        check_entry(None, WITHOUT, WITH, [CERTIFICATE])
    with pytest.raises(ConfigError, match="follows another manifest"):
        check_entry(issued((MAINTAINED,), 1, None, issued_at=NOW - 9), WITHOUT, WITH, [CERTIFICATE])


BAD_CERTIFICATES: dict[str, tuple[tuple[SweepCertificate, ...], str]] = {
    "none": ((), "without a certificate"),
    "of the other group": ((certificate(WITHOUT, (1, 2, 3), group=1),), "without a certificate"),
    "of the epoch before": ((certificate(FIRST),), "is for epoch 1"),
    "of another manifest": ((replace(CERTIFICATE, manifest=bytes(32)),), "and its manifest"),
    "too few signers": ((certificate(WITHOUT, (1, 2)),), "takes 3 of the group's 4"),
    "one signer counted twice": (
        (replace(CERTIFICATE, signatures=(*CERTIFICATE.signatures[:2], CERTIFICATE.signatures[0])),),
        "2 signers in 3",
    ),
    "signed by the removed one": ((certificate(WITHOUT, (1, 2, 3)),), "no replica 3"),
    "a majority, and one bad signature": (
        (replace(CERTIFICATE, signatures=(*CERTIFICATE.signatures, (ReplicaId(5), bytes(64)))),),
        "replica 5's signature",
    ),
    "a signature for another": (
        (replace(CERTIFICATE, signatures=(*CERTIFICATE.signatures[:2], (ReplicaId(5), CERTIFICATE.signatures[2][1]))),),
        "replica 5's signature",
    ),
    "a group that is none": ((replace(CERTIFICATE, group=2),), "does not have"),
}


@pytest.mark.parametrize(("given", "why"), BAD_CERTIFICATES.values(), ids=BAD_CERTIFICATES.keys())
def test_an_epoch_that_removed_is_not_left_without_its_certificate(
    given: tuple[SweepCertificate, ...], why: str
) -> None:
    """VAULT-MEMBERSHIP-SWEPT: a majority of the epoch's own members, and nobody else."""
    with pytest.raises(ConfigError, match=why):
        check_entry(FIRST, WITHOUT, WITH, given)


def test_an_even_group_is_never_left_without_a_certificate_also_by_a_step_of_another_group() -> None:
    """VAULT-MEMBERSHIP-SWEPT: quorums around an even group that changes twice need not meet."""
    groups = WITHOUT.fleets[0].groups
    second = replace(groups[1], replicas=groups[1].replicas[1:])
    other = issued((replace(MAINTAINED, groups=(groups[0], second)),), 3, WITHOUT, issued_at=NOW + 2)
    with pytest.raises(ConfigError, match="without a certificate"):
        check_entry(FIRST, WITHOUT, other)
    check_entry(FIRST, WITHOUT, other, [CERTIFICATE])


def test_a_certificate_comes_back_from_its_file_as_it_was() -> None:
    assert parse_certificate(CERTIFICATE.to_bytes()) == CERTIFICATE


@given(st.binary(max_size=200) | st.just(CERTIFICATE.to_bytes()).map(lambda raw: raw[:-9]))
def test_other_bytes_are_no_certificate(raw: bytes) -> None:
    with pytest.raises(ConfigError):
        parse_certificate(raw)
