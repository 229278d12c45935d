"""Which manifest may follow which: the rules of a membership change (design section 7), enforced by every replica.

A replica enters a manifest only when `check_entry` lets it; the rules stand nowhere else:

1. its epoch is one higher, it names the present manifest's digest, and beyond its groups' members nothing differs; but
   an epoch that adds a replica to a maintained fleet may name other evidence, that of the replica's token. With a
   root of trust, where the auditor signed each epoch and the log has it (`replica.published`), the rest may differ as
   `fleet.publication` lets it, in an epoch of its own: members or the rest, never both;
2. VAULT-MEMBERSHIP-ONE-AT-A-TIME: of each group at most one replica is removed, or one is added;
3. VAULT-MEMBERSHIP-NEW-INCARNATION: a replica is added only by the epoch right after the one that removed that number,
   with incarnation + 1; in a sealed fleet with the same token. So a group's numbers are those of genesis, and no
   (number, incarnation) ever comes twice;
4. VAULT-MEMBERSHIP-SWEPT: an epoch that removed a replica, and any epoch whose group is even in size, is left only with
   a certificate: a majority of that epoch's members signed that its sweep is complete (`fleet.membership_certificate`).

Why nothing chosen is lost. Replicas answer the frames of one epoch only, the one they have anchored, and never go back.
Call a majority of epoch i's group a quorum of i. A ballot prepared on a quorum of any later epoch has to meet, at some
replica, each value chosen in an earlier one; and it has to be above every ballot prepared in an earlier one, or else an
unchosen value under a high old ballot could come back over it. Quorums that share a replica give both, since a replica
takes its slots along, promises too. Then CASPaxos' own induction goes on as if there were one epoch.

- Neighbours meet. One removed of n: a quorum of i keeps at least n//2 of the n - 1 that stay, a quorum of i + 1 has
  (n - 1)//2 + 1 of them; together n, more than n - 1. One added is the same argument backwards. They meet in a replica
  that is in both groups, so the empty newcomer, counted with the rest, answers for nothing it does not know.
- Removed, then added (5 -> 4 -> 5): quorums two epochs apart may be disjoint, as {X, A, B} and {X', C, D} are. Hence
  the sweep between them. It prepares each record on a quorum of e + 1, so under a ballot above all of e, and leaves
  everything chosen in e on a quorum of e + 1; and these quorums meet those of e + 2. For that the listing has to know
  every record: after the fence, a quorum of e + 1 has left e, so no quorum of e can form any more, whoever stays
  behind; and whatever was chosen or prepared in e is known to one member of any quorum of e + 1.
- Added, then removed (4 -> 5 -> 4): two epochs apart they still meet when the size in between is odd: k/2 of the quorum
  before (k even) and k/2 of the one after, without the newcomer, lie among k - 1. When it is even they need not, hence
  the second half of rule 4. Steps that leave a group alone shorten to these cases.

- A newcomer that dies, or never lived, answers nothing in e + 2, as any dead member. So e + 2 may be entered all the
  same, and is left by the same rules. But it must not be issued anew: rule 1 keeps who entered the one from entering
  the other, and each might have a majority (VAULT-MEMBERSHIP-ISSUED-STAYS; `operator.replace_died` keeps it).

`tests/fleet/test_membership_quorums.py` enumerates these quorums for n = 3, 5, 7 and 9, and shows the pairs that are
disjoint; `tests/fleet/test_membership_model.py` runs the steps, and each shortcut, on the real acceptor and proposer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from hsm_app.errors import ConfigError
from hsm_app.fleet.manifest import Custody, Fleet, Group, Manifest, Replica
from hsm_app.fleet.membership_certificate import SweepCertificate
from hsm_app.fleet.publication import check_fleets_go_on

AGREED = "Install the manifest that the fleet's operator issued for the next epoch; nothing was changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """The epoch has this replica, a member of the epoch before, no longer."""

    replica: Replica


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """The epoch has this replica, which the epoch before did not have."""

    replica: Replica


GroupStep = Removal | Addition | None


def check_entry(
    older: Manifest | None,
    current: Manifest,
    following: Manifest,
    certificates: Iterable[SweepCertificate] = (),
    *,
    is_published: bool = False,
    fleet: str | None = None,
) -> None:
    """Raise ConfigError unless a replica in `current` may enter `following`; LogError where `is_published`.

    `older` is the manifest before `current`, None when `current` is the first. `certificates` are those of `current`;
    each is verified, whether it is needed or not. `is_published` says that the bundle of `following` was verified. With
    `fleet`, certificates are asked for that fleet's groups only: the argument above is one group's.
    """
    _check_order(current, following, is_published)
    if older is not None:
        _check_order(older, current, is_published)
    elif current.epoch != 1:
        _refuse(f"the manifest before epoch {current.epoch} is missing, and the step cannot be judged without it")
    given = {_check_certificate(current, certificate) for certificate in certificates}
    for each in current.fleets:
        fleet_next, before = following.fleet(each.fleet), None if older is None else _listed(older, each)
        for index, group in enumerate(each.groups):
            came = None if before is None else group_step(before.groups[index], group)
            _check_group_step(each, came, group_step(group, fleet_next.groups[index]))
            is_asked = fleet in (None, each.fleet) and needs_certificate(group, came)
            if is_asked and (each.fleet, group.group) not in given:
                _refuse(
                    f"group {group.group} of fleet {each.fleet} leaves epoch {current.epoch} without a certificate "
                    "that its sweep is complete"
                )


def group_step(before: Group, after: Group) -> GroupStep:
    """Return what a group's step is: one replica removed, one added, or none. ConfigError for anything else."""
    removed = [member for member in before.replicas if member not in after.replicas]
    added = [member for member in after.replicas if member not in before.replicas]
    if not removed and not added:
        if before.replicas != after.replicas:
            _refuse(f"group {before.group} lists its replicas in another order")
        return None
    if len(removed) + len(added) > 1:
        _refuse(
            f"group {before.group} changes {len(removed) + len(added)} entries at once; one replica is removed, or one "
            "is added, and a replica is replaced in two epochs"
        )
    return Removal(replica=removed[0]) if removed else Addition(replica=added[0])


def needs_certificate(group: Group, came: GroupStep) -> bool:
    """Return whether an epoch in which `group` arrived by `came` may be left only with a certificate (rule 4)."""
    return isinstance(came, Removal) or len(group.replicas) % 2 == 0


def _listed(manifest: Manifest, fleet: Fleet) -> Fleet | None:
    return next((each for each in manifest.fleets if each.fleet == fleet.fleet), None)


def _check_order(current: Manifest, following: Manifest, is_published: bool) -> None:
    if following.epoch != current.epoch + 1:
        _refuse(f"epoch {following.epoch} does not follow epoch {current.epoch}; no epoch is skipped or entered again")
    if following.previous_sha256 != current.digest:
        _refuse(f"the manifest of epoch {following.epoch} follows another manifest of epoch {current.epoch}")
    if following.issued_at < current.issued_at:
        _refuse(f"the manifest of epoch {following.epoch} was issued before the one it follows")
    if following.namespace != current.namespace:
        _refuse(f"the manifest of epoch {following.epoch} is of another namespace")
    if is_published and _members(current) == _members(following)[: len(current.fleets)]:
        check_fleets_go_on(current, following)
        return
    for name in ("not_before", "not_after"):
        if getattr(following, name) != getattr(current, name):
            _refuse(f"the manifest of epoch {following.epoch} changes {name}, which a change of members does not")
    if _without_members(current.fleets) != _without_members(_with_former_evidence(current, following)):
        _refuse(f"the manifest of epoch {following.epoch} changes more than the members of its groups")


def _members(manifest: Manifest) -> list[tuple[str, tuple[Group, ...]]]:
    return [(fleet.fleet, fleet.groups) for fleet in manifest.fleets]


def _without_members(fleets: Sequence[Fleet]) -> list[tuple[Fleet, list[int]]]:
    return [(replace(fleet, groups=()), [group.group for group in fleet.groups]) for fleet in fleets]


def _with_former_evidence(current: Manifest, following: Manifest) -> list[Fleet]:
    """Return the fleets of `following`; one that may name other evidence, with that of `current`."""
    before = {fleet.fleet: fleet for fleet in current.fleets}
    return [
        replace(fleet, evidence_sha256=before[fleet.fleet].evidence_sha256)
        if fleet.fleet in before and _names_evidence_of_newcomer(before[fleet.fleet], fleet)
        else fleet
        for fleet in following.fleets
    ]


def _names_evidence_of_newcomer(old: Fleet, new: Fleet) -> bool:
    """Evidence takes the place of evidence in an epoch that adds a replica: a fleet neither gets nor loses it here."""
    sizes = [sum(len(group.replicas) for group in fleet.groups) for fleet in (old, new)]
    is_named = None not in (old.evidence_sha256, new.evidence_sha256)
    return is_named and new.custody is Custody.MAINTAINED and sizes[0] < sizes[1]


def _check_group_step(fleet: Fleet, came: GroupStep, step: GroupStep) -> None:
    if not isinstance(step, Addition):
        return
    new = step.replica
    if not isinstance(came, Removal) or came.replica.replica != new.replica:
        _refuse(f"replica {new.replica} is added, but the epoch before did not remove it")
    old = came.replica
    if new.incarnation != old.incarnation + 1:
        _refuse(f"replica {new.replica} comes back as incarnation {new.incarnation}, not {old.incarnation + 1}")
    keys = (new.identity_public, new.link_public)
    if fleet.custody is Custody.SEALED and keys != (old.identity_public, old.link_public):
        _refuse(f"fleet {fleet.fleet} is sealed: replica {new.replica} can only come back with the token it had")


def _check_certificate(current: Manifest, certificate: SweepCertificate) -> tuple[str, int]:
    """Return the fleet and group that a certificate is for, once it is proved to be one of `current`."""
    if (certificate.epoch, certificate.manifest) != (current.epoch, current.digest):
        _refuse(f"a certificate is for epoch {certificate.epoch} and its manifest, not for epoch {current.epoch}")
    groups = current.fleet(certificate.fleet).groups
    if certificate.group >= len(groups):
        _refuse(f"a certificate is for group {certificate.group}, which fleet {certificate.fleet} does not have")
    certificate.check(groups[certificate.group])
    return certificate.fleet, certificate.group


def _refuse(why: str) -> NoReturn:
    raise ConfigError(why, AGREED)
