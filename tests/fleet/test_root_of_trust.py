"""Roots of trust: who may succeed whom, what a document has to hold, and what a client's policy takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hsm_app.errors import ConfigError, LogError
from hsm_app.fleet.client_policy import AXES, DEVELOPMENT, PRODUCTION
from hsm_app.fleet.dsse import sign_envelope
from hsm_app.fleet.manifest import Assurance, AssuranceLevel
from hsm_app.fleet.role_keys import Signer
from hsm_app.fleet.root_of_trust import ROOT_TYPE, Role, RootOfTrust, check_expiry, parse_root_of_trust, successor
from tests.fleet.example import NOW, example_fleet
from tests.fleet.trust import DAY, auditor, operator, policy_lines, root_of_trust
from tests.tlog.keys import LOG, WITNESSES

OLD = root_of_trust()
NEW = root_of_trust(
    version=2, auditors=Role(1, (auditor(1).key,)), operators=Role(2, (operator(1).key, operator(2).key))
)
ALL: list[Signer] = [auditor(), operator(), auditor(1), operator(1), operator(2)]


def signed(document: RootOfTrust, signers: list[Signer]) -> bytes:
    return sign_envelope(ROOT_TYPE, document.raw, signers)


def test_a_successor_is_signed_by_the_old_and_by_the_new() -> None:
    assert successor(OLD, signed(NEW, ALL)) == NEW


@pytest.mark.parametrize("left_out", range(len(ALL)))
def test_each_threshold_of_both_documents_counts(left_out: int) -> None:
    with pytest.raises(LogError, match="too few") as refused:
        successor(OLD, signed(NEW, [*ALL[:left_out], *ALL[left_out + 1 :]]))
    assert refused.value.check == "root"


def test_a_successor_follows_by_one_in_its_namespace() -> None:
    for document in (root_of_trust(version=3), root_of_trust(), root_of_trust(version=2, namespace="other.example")):
        with pytest.raises(LogError, match="does not follow"):
            successor(OLD, signed(document, [auditor(), operator()]))


def test_a_chain_is_walked_through_documents_that_have_expired() -> None:
    expired = root_of_trust(version=2, expires_at=NOW - 1, issued_at=NOW - 2)
    last = root_of_trust(version=3)
    walked = successor(successor(OLD, signed(expired, [auditor(), operator()])), signed(last, [auditor(), operator()]))
    check_expiry(walked, NOW)
    with pytest.raises(ConfigError, match="has expired"):
        check_expiry(expired, NOW)


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(OLD.raw)
    change(document)
    return json.dumps(document).encode()


MALFORMED: dict[str, Callable[[dict[str, Any]], object]] = {
    "an unknown member": lambda d: d.update(critical=True),
    "another schema": lambda d: d.update(schema="hsm-vault/root-of-trust/v2"),
    "a threshold above the keys": lambda d: d["auditors"].update(threshold=2),
    "a threshold of none": lambda d: d["operators"].update(threshold=0),
    "a key twice": lambda d: d["auditors"]["keys"].append(d["auditors"]["keys"][0]),
    "one key in two roles": lambda d: d["auditors"].update(keys=d["operators"]["keys"]),
    "the log's key as an auditor's": lambda d: d["auditors"]["keys"].append(
        {"alg": "Ed25519", "public_key": LOG.public.hex()}
    ),
    "a witness's key as an auditor's": lambda d: d["auditors"]["keys"].append(
        {"alg": "Ed25519", "public_key": WITNESSES[0].public.hex()}
    ),
    "a log that the policy has not": lambda d: d.update(origin="log.example/other"),
    "no quorum": lambda d: d.update(policy=policy_lines()[:-1]),
    "an unknown algorithm": lambda d: d["auditors"]["keys"][0].update(alg="HS256"),
    "a key that is none": lambda d: d["operators"]["keys"][0].update(public_key="02" + "ff" * 32),
    "an end before its beginning": lambda d: d.update(expires_at="2020-01-01T00:00:00Z"),
    "no epoch": lambda d: d.update(minimum_epoch=0),
    "an age of no time": lambda d: d.update(maximum_cosignature_age_seconds=0),
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED.keys())
def test_is_no_root_of_trust(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises((ConfigError, LogError)):
        parse_root_of_trust(changed(change))


def test_a_document_comes_back_from_its_bytes() -> None:
    assert parse_root_of_trust(OLD.raw) == OLD
    assert OLD.expires_at == NOW + 365 * DAY


BEST = Assurance(**dict.fromkeys(AXES, AssuranceLevel.VENDOR_ROOTED))


@pytest.mark.parametrize("axis", AXES)
def test_production_refuses_a_fleet_below_its_minimum_on_any_axis(axis: str) -> None:
    fleet = replace(example_fleet(), assurance=BEST)
    assert PRODUCTION.check(fleet) == ""
    below = replace(fleet, assurance=replace(BEST, **{axis: AssuranceLevel.SELF_ASSERTED}))
    with pytest.raises(ConfigError, match=axis.replace("_", " ")):
        PRODUCTION.check(below)


def test_development_takes_any_fleet_and_says_so() -> None:
    assert "key custody: self-asserted" in DEVELOPMENT.check(example_fleet())
