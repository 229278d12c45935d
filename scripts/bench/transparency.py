"""What fleet keys in the open cost: a bundle on a client, and the auditor's log when it is long."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from figures import Goal, Report, figure
from hsm_app.auditor.log_directory import LogDirectory
from hsm_app.fleet.bundle import join_bundle, verify_bundle
from hsm_app.fleet.countersignature import MANIFEST_TYPE, sign_countersignature
from hsm_app.fleet.dsse import parse_envelope, sign_envelope
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.role_keys import KeyAlgorithm
from hsm_app.fleet.root_of_trust import Role, RootOfTrust, encode_root_of_trust, parse_root_of_trust
from hsm_app.key_files import FileSigner, make_key_file
from hsm_app.tlog.cosignature import cosign
from hsm_app.tlog.note import COSIGNATURE, ED25519, VerifierKey
from hsm_app.tlog.proof import TlogProof

ORIGIN = "log.example/bench"
WITNESSES = 3
DAY = 86_400
BATCH = 4096  # entries of one append while the log is filled
REPEATS = 50


def transparency(report: Report, manifest: bytes, directory: Path, *, entries: int, runs: int) -> None:
    """Measure with a real fleet's manifest, in a log of `entries` entries."""
    directory.mkdir()
    signer = make_key_file(directory / "log.pem")
    key = VerifierKey(ORIGIN, ED25519, signer.key.public)
    log = LogDirectory.create(directory, key, signer.sign)
    report.add(figure("log_append_ms", [milliseconds(lambda: log.append([b"an entry"])) for _ in range(REPEATS)], "ms"))
    fill_seconds = fill(log, entries)
    entry, bundle, root = bundled(log, key, manifest, directory)
    log.close()
    opens = [milliseconds(lambda: LogDirectory(directory, key, signer.sign).close()) for _ in range(REPEATS)]
    log = LogDirectory(directory, key, signer.sign)
    size = log.checkpoint.size
    step = max(1, size // REPEATS)
    proofs = [milliseconds(lambda at=at: log.prove(at)) for at in range(0, size, step)]  # type: ignore[misc]
    growth = [milliseconds(lambda old=old: log.prove_growth(old)) for old in range(1, size, step)]  # type: ignore[misc]
    log.close()
    now = int(time.time())
    verified = [milliseconds(lambda: verify_bundle(bundle, root, now=now, seen=None)) for _ in range(runs * REPEATS)]
    note = f"{size} entries"
    report.add(
        figure("log_fill_entries_per_second", [entries / fill_seconds], "1/s", note=f"{BATCH} entries an append"),
        figure("log_open_ms", opens, "ms", note=note),
        figure("log_inclusion_proof_ms", proofs, "ms", Goal(relation="<=", bound=1), note),
        figure("log_consistency_proof_ms", growth, "ms", Goal(relation="<=", bound=1), note),
        figure("bundle_verify_ms", verified, "ms", Goal(relation="<=", bound=5), f"{WITNESSES} witnesses, {note}"),
        figure("bundle_kib", [len(bundle) / 1024], "KiB", Goal(relation="<=", bound=8), "five replicas"),
        figure("log_entry_kib", [len(entry) / 1024], "KiB"),
    )


def fill(log: LogDirectory, entries: int) -> float:
    """Append until the log has so many entries; return the seconds."""
    began = time.perf_counter()
    while log.checkpoint.size < entries:
        first = log.checkpoint.size
        log.append([b"entry %d" % number for number in range(first, min(entries, first + BATCH))])
    return time.perf_counter() - began


def bundled(log: LogDirectory, key: VerifierKey, manifest: bytes, directory: Path) -> tuple[bytes, bytes, RootOfTrust]:
    """Log a manifest; return its entry, its bundle, and the root of trust that believes it."""
    auditor = make_key_file(directory / "auditor.pem")
    operator = make_key_file(directory / "operator.pem", KeyAlgorithm.ES256)
    witnesses = [Ed25519PrivateKey.generate() for _ in range(WITNESSES)]
    keys = [
        VerifierKey(f"w{number}.example", COSIGNATURE, private.public_key().public_bytes_raw())
        for number, private in enumerate(witnesses)
    ]
    root = trusting(key, keys, auditor, operator, parse_manifest(manifest).namespace)
    envelope = sign_envelope(MANIFEST_TYPE, manifest, [auditor])
    counter = sign_countersignature(parse_manifest(manifest), parse_envelope(envelope, MANIFEST_TYPE), [operator])
    entry = envelope + b"\n" + counter + b"\n"
    log.append([entry])
    now = int(time.time())
    lines = [cosign(log.note.text, one, now, private.sign) for one, private in zip(keys, witnesses, strict=True)]
    index = log.checkpoint.size - 1
    proof = TlogProof(index, tuple(log.prove(index)), log.note.with_signatures(lines).to_bytes())
    return entry, join_bundle(entry, proof), root


def trusting(
    log: VerifierKey, witnesses: list[VerifierKey], auditor: FileSigner, operator: FileSigner, namespace: str
) -> RootOfTrust:
    now = int(time.time())
    names = [f"w{number}" for number in range(len(witnesses))]
    listed = [f"witness {name} {one.text}" for name, one in zip(names, witnesses, strict=True)]
    raw = encode_root_of_trust(
        namespace=namespace,
        version=1,
        issued_at=now,
        expires_at=now + DAY,
        auditors=Role(1, (auditor.key,)),
        operators=Role(1, (operator.key,)),
        origin=ORIGIN,
        policy=[f"log {log.text}", *listed, f"group most 2 {' '.join(names)}", "quorum most"],
        minimum_epoch=1,
        maximum_age=DAY,
    )
    return parse_root_of_trust(raw)


def milliseconds(job: Callable[[], object]) -> float:
    began = time.perf_counter()
    job()
    return (time.perf_counter() - began) * 1000
