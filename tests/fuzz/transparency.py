"""What comes from logs, auditors, operators and witnesses: notes, proofs, policies, envelopes, bundles, requests."""

from __future__ import annotations

from hsm_app.errors import ConfigError, LogError
from hsm_app.fleet.bundle import join_bundle, parse_entry, split_bundle, verify_bundle
from hsm_app.fleet.countersignature import MANIFEST_TYPE
from hsm_app.fleet.dsse import parse_envelope
from hsm_app.fleet.root_of_trust import parse_root_of_trust
from hsm_app.tlog.checkpoint import Checkpoint
from hsm_app.tlog.note import VerifierKey, parse_note
from hsm_app.tlog.policy import parse_policy
from hsm_app.tlog.proof import TlogProof, parse_proof
from hsm_app.tlog.tiles import pack_entries, unpack_entries
from hsm_app.tlog.witness_exchange import encode_request, parse_request
from tests.fleet.example import NOW
from tests.fleet.trust import Log, entry_of, manifest_bytes, policy_lines, root_of_trust
from tests.fuzz.harness import Harness, one_of, round_trip, tagged
from tests.tlog.keys import LOG, ORIGIN, signed

ROOT = root_of_trust()
BUNDLE = Log().bundle(entry_of(manifest_bytes()))
ENTRY = entry_of(manifest_bytes())
CHECKPOINT = Checkpoint(ORIGIN, 7, bytes(32))
NOTE = signed(CHECKPOINT, 0, 1).to_bytes()


def check_policy(data: bytes) -> None:
    try:
        policy = parse_policy(data.decode(errors="replace"))
    except LogError:
        return
    policy.is_met(set())
    policy.is_met(policy.witnesses.keys())


def check_vkey(data: bytes) -> None:
    text = data.decode(errors="replace")
    try:
        key = VerifierKey.parse(text)
    except LogError:
        return
    assert key.text == text


def check_root_of_trust(data: bytes) -> None:
    try:
        document = parse_root_of_trust(data)
    except (ConfigError, LogError):
        return
    assert document.raw == data


def check_envelope(data: bytes) -> None:
    try:
        envelope = parse_envelope(data, MANIFEST_TYPE)
    except LogError:
        return
    assert envelope.raw == data
    envelope.signers(ROOT.auditors.keys)


def check_bundle(data: bytes) -> None:
    """Only the honest bundle is believed, whatever else is tried."""
    try:
        entry, proof = split_bundle(data)
        assert join_bundle(entry.raw, proof) == data
        found = verify_bundle(data, ROOT, now=NOW, seen=None)
    except LogError:
        return
    assert found.manifest.raw == manifest_bytes(), "another manifest is believed"


def check_entries(data: bytes) -> None:
    width = data[0] if data else 0
    try:
        entries = unpack_entries(data[1:], width)
    except LogError:
        return
    assert pack_entries(entries) == data[1:]


TRANSPARENCY = Harness(
    one_of(
        check_bundle,
        round_trip(parse_note, lambda note: note.to_bytes(), LogError),
        round_trip(Checkpoint.parse, Checkpoint.to_text, LogError),
        round_trip(parse_proof, TlogProof.to_bytes, LogError),
        round_trip(
            parse_request, lambda asked: encode_request(asked.old, asked.proof, asked.note.to_bytes()), LogError
        ),
        round_trip(parse_entry, lambda entry: entry.raw, LogError),
        check_envelope,
        check_root_of_trust,
        check_policy,
        check_vkey,
        check_entries,
    ),
    tagged(
        [BUNDLE],
        [NOTE],
        [CHECKPOINT.to_text()],
        [TlogProof(3, (bytes(32),), NOTE).to_bytes()],
        [encode_request(3, [bytes(32)], NOTE)],
        [ENTRY],
        [ENTRY.split(b"\n")[0]],
        [ROOT.raw],
        ["\n".join(policy_lines()).encode()],
        [LOG.text.encode()],
        [b"\3" + pack_entries([b"one", b"", b"three"])],
    ),
)
