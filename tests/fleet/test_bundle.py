"""The table of attacks on over-the-air keys: each is refused under its name, and its honest twin is believed.

Covered: forged by the operator, by the auditor, by strangers; an entry that is in no log; split view; rollback and
freeze, with and without memory; fast-forward; mix-and-match; cross-protocol reuse; malleable signatures; key ids that
lie; endless data; wrong clocks. Not covered, because nothing here can prevent it: auditor and operator together. Their
entry has to be public before any client believes it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from hsm_app.errors import LogError
from hsm_app.fleet.bundle import LIMIT, Seen, VerifiedBundle, join_bundle, split_bundle, verify_bundle
from hsm_app.fleet.countersignature import COUNTERSIGNATURE_TYPE, MANIFEST_TYPE
from hsm_app.fleet.dsse import sign_envelope
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.root_of_trust import RootOfTrust
from hsm_app.tlog.checkpoint import Checkpoint
from hsm_app.tlog.proof import TlogProof
from tests.fleet import trust
from tests.fleet.example import NOW
from tests.fleet.trust import DAY, Log, auditor, entry_of, manifest_bytes, operator, root_of_trust
from tests.tlog import keys

ROOT = root_of_trust()
FIRST = manifest_bytes()
SECOND = manifest_bytes(2, parse_manifest(FIRST).digest)
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def believed(raw: bytes, root: RootOfTrust = ROOT, now: int = NOW, seen: Seen | None = None) -> VerifiedBundle:
    return verify_bundle(raw, root, now=now, seen=seen)


def refused(check: str, raw: bytes, root: RootOfTrust = ROOT, now: int = NOW, seen: Seen | None = None) -> None:
    with pytest.raises(LogError) as error:
        believed(raw, root, now, seen)
    assert error.value.check == check, error.value


def honest() -> bytes:
    return Log().bundle(entry_of(FIRST))


def test_an_honest_bundle_is_believed() -> None:
    found = believed(honest())
    assert (found.manifest.raw, found.manifest.epoch, found.cosigned_at) == (FIRST, 1, NOW)
    assert found.checkpoint.size == 3


def test_keys_forged_by_the_operator_are_refused() -> None:
    forged = manifest_bytes(fleets=(trust.other_fleet(),))
    own_auditor = entry_of(forged, signed_by=auditor(9))
    refused("auditor-signature", Log().bundle(own_auditor))
    believed(Log().bundle(entry_of(forged)))  # the same keys, once the auditor has signed them


def test_keys_forged_by_the_auditor_are_refused() -> None:
    refused("counter-signature", Log().bundle(entry_of(FIRST, countersigned_by=operator(9))))


def test_an_auditor_s_signature_over_another_type_is_none() -> None:
    """Cross-protocol reuse: what was signed as a counter-signature, or as a note, is no signed manifest."""
    envelope = json.loads(sign_envelope(COUNTERSIGNATURE_TYPE, FIRST, [auditor()]))
    envelope["payloadType"] = MANIFEST_TYPE
    first, second, _ = entry_of(FIRST).split(b"\n")
    refused("auditor-signature", Log().bundle(json.dumps(envelope).encode() + b"\n" + second + b"\n"))
    as_note = json.loads(first)
    as_note["signatures"][0]["sig"] = base64.b64encode(auditor().sign(FIRST)).decode()
    refused("auditor-signature", Log().bundle(json.dumps(as_note).encode() + b"\n" + second + b"\n"))


def test_what_is_in_no_log_is_refused() -> None:
    log = Log()
    bundle = log.bundle(entry_of(FIRST))
    hidden = entry_of(manifest_bytes(not_after=NOW + 5 * DAY))
    refused("inclusion", join_bundle(hidden, split_bundle(bundle)[1]))


def test_another_log_is_refused() -> None:
    entry = entry_of(FIRST)
    proof = split_bundle(Log().bundle(entry))[1]
    text = Checkpoint.parse(keys.signed(Checkpoint("log.example/other", 3, bytes(32))).text).to_text()
    other = keys.sign_note(text, keys.LOG, keys.private(1).sign)
    refused("inclusion", join_bundle(entry, TlogProof(proof.index, proof.hashes, other.to_bytes())))


def test_a_split_view_is_refused_for_want_of_witnesses() -> None:
    """The log signs a second history for its victims; honest witnesses have seen the first and cosign no other."""
    log, entry = Log(), entry_of(FIRST)
    for witnesses in ((), (0,), (2,), (0, 2)):  # the third is no witness of the policy
        refused("witnesses", log.bundle(entry, witnesses=witnesses))
    believed(log.bundle(entry, witnesses=(0, 1, 2)))


def test_a_rollback_is_refused_by_who_remembers() -> None:
    log = Log()
    old = log.bundle(entry_of(FIRST))
    new = log.bundle(entry_of(SECOND))
    seen = believed(new, seen=believed(old).seen).seen
    refused("delta", old, seen=seen)
    refused("delta", log.bundle(entry_of(FIRST)), seen=seen)  # the old epoch, freshly proved
    believed(new, seen=seen)


def test_a_rollback_is_refused_by_a_new_phone() -> None:
    log = Log()
    log.bundle(entry_of(FIRST))
    log.bundle(entry_of(SECOND))
    refused("freshness", log.bundle(entry_of(FIRST)), root_of_trust(minimum_epoch=2))
    believed(log.bundle(entry_of(SECOND)), root_of_trust(minimum_epoch=2))


def test_a_freeze_is_refused_by_a_new_phone() -> None:
    bundle = honest()
    refused("freshness", bundle, now=NOW + 8 * DAY)  # nobody has cosigned for a week
    refused("freshness", bundle, now=NOW + 31 * DAY)  # and then the manifest has ended too
    believed(bundle, now=NOW + 6 * DAY)
    believed(Log().bundle(entry_of(FIRST), at=NOW + 8 * DAY), now=NOW + 8 * DAY)  # the same tree, cosigned again


def test_half_of_the_quorum_may_not_be_old() -> None:
    log, entry = Log(), entry_of(FIRST)
    old, fresh = log.bundle(entry, witnesses=(0,), at=NOW - 8 * DAY), log.bundle(entry, witnesses=(1,))
    proof = split_bundle(fresh)[1]
    mixed = split_bundle(old)[1].checkpoint + proof.checkpoint.split(b"\n")[-2] + b"\n"
    refused("freshness", join_bundle(entry, TlogProof(proof.index, proof.hashes, mixed)))


def test_a_log_that_shrinks_or_forks_is_refused_by_who_remembers() -> None:
    long, short = Log(), Log()
    entry = entry_of(FIRST)
    short_bundle = short.bundle(entry)
    long.entries.append(b"one more")
    long_bundle = long.bundle(entry)
    seen = believed(long_bundle).seen
    refused("consistency", short_bundle, seen=seen)
    forked = Log([b"another beginning", *long.entries[1:]])
    refused("consistency", forked.bundle(entry), seen=seen)


def test_two_manifests_of_one_epoch_are_refused_by_who_remembers() -> None:
    log = Log()
    seen = believed(log.bundle(entry_of(FIRST))).seen
    twin = manifest_bytes(not_after=NOW + 5 * DAY)
    refused("delta", log.bundle(entry_of(twin)), seen=seen)


def test_an_epoch_that_does_not_follow_is_refused_by_who_remembers() -> None:
    log = Log()
    seen = believed(log.bundle(entry_of(FIRST))).seen
    stranger = manifest_bytes(2, bytes(32))
    refused("delta", log.bundle(entry_of(stranger)), seen=seen)
    believed(log.bundle(entry_of(SECOND)), seen=seen)


def test_a_fast_forward_is_the_auditor_s_to_refuse_and_rotation_s_to_mend() -> None:
    """A far epoch that auditor and operator signed is believed: the log shows it. A device that slept may skip some."""
    log = Log()
    seen = believed(log.bundle(entry_of(FIRST))).seen
    assert believed(log.bundle(entry_of(manifest_bytes(9, bytes(32)))), seen=seen).manifest.epoch == 9


def test_parts_of_two_bundles_are_not_one() -> None:
    log = Log()
    first, second = log.bundle(entry_of(FIRST)), log.bundle(entry_of(SECOND))
    a, b = first.split(b"\n", 2), second.split(b"\n", 2)
    for parts, check in (
        ([a[0], b[1], a[2]], "counter-signature"),
        ([b[0], a[1], b[2]], "counter-signature"),
        ([a[0], a[1], b[2]], "inclusion"),
    ):
        refused(check, b"\n".join(parts))


def test_another_signature_of_the_auditor_is_not_the_one_that_was_counter_signed() -> None:
    """ECDSA signatures are malleable, and Ed25519 keys can sign twice: the counter-signature is over the very bytes."""
    first, second, _ = entry_of(FIRST).split(b"\n")
    envelope = json.loads(first)
    envelope["signatures"].append({"keyid": "again", "sig": base64.b64encode(bytes(64)).decode()})
    refused("counter-signature", Log().bundle(json.dumps(envelope).encode() + b"\n" + second + b"\n"))


def test_a_malleable_counter_signature_makes_another_leaf() -> None:
    log, entry = Log(), entry_of(FIRST)
    bundle = log.bundle(entry)
    first, second, _ = entry.split(b"\n")
    envelope = json.loads(second)
    r, s = decode_dss_signature(base64.b64decode(envelope["signatures"][0]["sig"]))
    envelope["signatures"][0]["sig"] = base64.b64encode(encode_dss_signature(r, P256_ORDER - s)).decode()
    other = first + b"\n" + json.dumps(envelope, separators=(",", ":")).encode() + b"\n"
    refused("inclusion", join_bundle(other, split_bundle(bundle)[1]))


def test_a_key_id_proves_nothing() -> None:
    first, second, _ = entry_of(FIRST, signed_by=auditor(9)).split(b"\n")
    lying = first.replace(auditor(9).key.id.encode(), auditor().key.id.encode())
    assert lying != first
    refused("auditor-signature", Log().bundle(lying + b"\n" + second + b"\n"))


def test_one_key_that_signs_twice_is_one() -> None:
    envelope = json.loads(sign_envelope(MANIFEST_TYPE, FIRST, [auditor(), auditor()]))
    two = trust.Role(2, (auditor().key, auditor(1).key))
    both = sign_envelope(MANIFEST_TYPE, FIRST, [auditor(), auditor(1)])
    root = root_of_trust(auditors=two)
    for raw, is_enough in ((json.dumps(envelope).encode(), False), (both, True)):
        read = trust.parse_envelope(raw, MANIFEST_TYPE)
        counter = trust.sign_countersignature(parse_manifest(FIRST), read, [operator()])
        bundle = Log().bundle(raw + b"\n" + counter + b"\n")
        if is_enough:
            believed(bundle, root)
        else:
            refused("auditor-signature", bundle, root)


def test_another_namespace_is_refused() -> None:
    refused("digest", Log().bundle(entry_of(manifest_bytes(namespace="vault.example/others"))))


def test_clocks_may_differ_by_five_minutes() -> None:
    early = Log().bundle(entry_of(manifest_bytes(not_before=NOW + 200)))
    believed(early)
    refused("freshness", Log().bundle(entry_of(manifest_bytes(not_before=NOW + 400))))
    believed(Log().bundle(entry_of(FIRST), at=NOW + 200))
    refused("freshness", Log().bundle(entry_of(FIRST), at=NOW + 400))


MALFORMED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "nothing": ("artifact", lambda _: b""),
    "endless": ("proof", lambda raw: b"x" * LIMIT + raw),
    "no proof": ("proof", lambda raw: b"\n".join(raw.split(b"\n", 2)[:2]) + b"\n"),
    "an envelope with a line break": ("artifact", lambda raw: raw.replace(b'"payload"', b'\n"payload"', 1)),
    "an envelope with a member twice": ("artifact", lambda raw: raw.replace(b"{", b'{"payload":"",', 1)),
    "an unknown member": ("artifact", lambda raw: raw.replace(b"{", b'{"critical":true,', 1)),
    "the envelopes exchanged": ("artifact", lambda raw: b"\n".join([raw.split(b"\n")[1], raw.split(b"\n")[0]])),
    "a changed payload": ("auditor-signature", lambda raw: raw.replace(b'"payload":"ew', b'"payload":"eg', 1)),
    "a changed index": ("inclusion", lambda raw: raw.replace(b"index 2", b"index 1")),
    "a changed size": ("inclusion", lambda raw: raw.replace(b"\n3\n", b"\n4\n")),
}


@pytest.mark.parametrize(("check", "change"), MALFORMED.values(), ids=MALFORMED.keys())
def test_is_refused(check: str, change: Callable[[bytes], bytes]) -> None:
    raw = honest()
    assert change(raw) != raw
    refused(check, change(raw))


def test_a_bundle_for_five_replicas_is_small() -> None:
    assert len(honest()) < 8 * 1024
