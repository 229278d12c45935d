"""What the next manifest may say: the auditor's rules, and what a replica lets a published epoch change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hsm_app.errors import ConfigError, LogError
from hsm_app.fleet.manifest import Argon2Costs, Custody, Fleet, FleetState, Manifest, TenantKeys
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.membership import check_entry
from hsm_app.fleet.membership_manifests import without_replica
from hsm_app.fleet.publication import check_fleets_go_on, check_publication
from tests.fleet.example import NOW, example_fleet, example_tenant, point
from tests.fleet.trust import manifest_bytes

FLEET = example_fleet(replicas=5)
LEFT = replace(FLEET, state=FleetState.RECOVER_ONLY)
FIRST = parse_manifest(manifest_bytes(fleets=(FLEET,)))
FROM_LEFT = parse_manifest(manifest_bytes(fleets=(LEFT,)))


def after(before: Manifest, *fleets: Fleet, **changes: object) -> Manifest:
    return parse_manifest(manifest_bytes(before.epoch + 1, before.digest, fleets=fleets, **changes))


ALLOWED = {
    "nothing": after(FIRST, FLEET),
    "its validity": after(FIRST, FLEET, not_after=NOW + 99 * 86_400),
    "a fleet that is left": after(FIRST, LEFT),
    "a fleet that is given up": after(FIRST, replace(FLEET, state=FleetState.REVOKED)),
    "a fleet more": after(FIRST, LEFT, replace(example_fleet(fleet="fleet-2"), kem_public=point(3))),
    "a tenant more": after(FIRST, replace(FLEET, tenants=(*FLEET.tenants, example_tenant(7)))),
    "longer waits": after(FIRST, replace(FLEET, attempts=replace(FLEET.attempts, waits_seconds=(60,)))),
}


@pytest.mark.parametrize("following", ALLOWED.values(), ids=ALLOWED.keys())
def test_a_published_epoch_may_change(following: Manifest) -> None:
    check_publication(following, FIRST, NOW)
    check_entry(None, FIRST, following, is_published=True)
    if following.fleets != FIRST.fleets or following.not_after != FIRST.not_after:
        with pytest.raises(ConfigError, match="changes"):
            check_entry(None, FIRST, following)


REFUSED = {
    "the session key": (replace(FLEET, kem_public=point(3)), "changes kem_public"),
    "the OPAQUE key": (replace(FLEET, opaque_public=point(3)), "changes opaque_public"),
    "what tokens check their keys by": (replace(FLEET, seal_check=b"x" * 32), "changes seal_check"),
    "what record ids are made with": (replace(FLEET, id_check=b"x" * 32), "changes id_check"),
    "the costs of a code": (replace(FLEET, argon2=Argon2Costs(iterations=1, memory_kib=64, lanes=1)), "changes argon2"),
    "who can add a token": (replace(FLEET, custody=Custody.MAINTAINED), "changes custody"),
    "how many guesses there are": (
        replace(FLEET, attempts=replace(FLEET.attempts, maximum=9)),
        "changes the number of guesses",
    ),
    "the number of groups": (example_fleet(replicas=5, groups=2), "or of groups"),
    "its name, so that it is left out": (replace(FLEET, fleet=example_fleet(fleet="x").fleet), "left out"),
}


@pytest.mark.parametrize(("fleet", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_a_fleet_keeps_for_good(fleet: Fleet, why: str) -> None:
    """VAULT-FLEET-KEEPS-ITS-KEYS: neither the auditor signs it nor a replica enters it."""
    following = after(FIRST, fleet)
    with pytest.raises(LogError, match=why):
        check_publication(following, FIRST, NOW)
    with pytest.raises((LogError, ConfigError)):
        check_entry(None, FIRST, following, is_published=True)


def test_there_is_no_way_back_to_a_state() -> None:
    for state in (FleetState.ACTIVE, FleetState.RECOVER_ONLY):
        revoked = parse_manifest(manifest_bytes(fleets=(replace(FLEET, state=FleetState.REVOKED),)))
        with pytest.raises(LogError, match=f"was revoked and cannot be {state.value} again"):
            check_fleets_go_on(revoked, after(revoked, replace(FLEET, state=state)))
    with pytest.raises(LogError, match="was recover-only and cannot be active again"):
        check_fleets_go_on(FROM_LEFT, after(FROM_LEFT, FLEET))


def test_members_and_the_rest_do_not_change_in_one_epoch() -> None:
    step = without_replica(FIRST, FLEET.fleet, 5, issued_at=FIRST.issued_at)
    check_entry(None, FIRST, step, is_published=True)
    both = after(FIRST, replace(step.fleets[0], state=FleetState.RECOVER_ONLY))
    with pytest.raises(ConfigError, match="more than the members"):
        check_entry(None, FIRST, both, is_published=True)


def test_an_epoch_that_removed_a_replica_is_not_left_without_its_certificate() -> None:
    step = without_replica(FIRST, FLEET.fleet, 5, issued_at=FIRST.issued_at)
    left = after(step, replace(step.fleets[0], state=FleetState.RECOVER_ONLY))
    with pytest.raises(ConfigError, match="without a certificate"):
        check_entry(FIRST, step, left, is_published=True)
    with pytest.raises(ConfigError, match="without a certificate"):
        check_entry(FIRST, step, left, is_published=True, fleet=FLEET.fleet)
    check_entry(FIRST, step, left, is_published=True, fleet="fleet-2")  # for that one's replicas to ask


def test_tenants_are_told_apart_from_keys() -> None:
    renamed = TenantKeys(tenant="another", keys=FLEET.tenants[0].keys)
    check_publication(after(FIRST, replace(FLEET, tenants=(renamed,))), FIRST, NOW)
