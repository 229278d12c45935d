"""An auditor with its operator and two witnesses on loopback, made through the programs' own functions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hsm_app.auditor.auditor import Auditor, Published
from hsm_app.auditor.log_directory import LogDirectory
from hsm_app.auditor.settings import create_auditor, read_auditor
from hsm_app.fleet.countersignature import MANIFEST_TYPE, sign_countersignature
from hsm_app.fleet.dsse import parse_envelope
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.root_of_trust import Role, RootOfTrust, encode_root_of_trust, parse_root_of_trust
from hsm_app.key_files import read_key_file
from hsm_app.net.address import Address
from hsm_app.net.http import HttpServer
from hsm_app.tlog.witness_exchange import LIMIT
from hsm_app.witness.service import answering
from hsm_app.witness.settings import create_witness, open_witness
from tests.fleet import trust
from tests.ports import free_ports
from tests.tlog.keys import ORIGIN

NAMESPACE = trust.NAMESPACE
DAY = trust.DAY


def manifest(epoch: int = 1, previous: bytes | None = None, **changes: object) -> bytes:
    """A manifest that is valid now."""
    now = int(time.time())
    times = {"issued_at": now - 60, "not_before": now - 60, "not_after": now + 30 * DAY}
    return trust.manifest_bytes(epoch, previous, **{**times, **changes})


def following(raw: bytes, **changes: object) -> bytes:
    """The manifest that follows another one."""
    last = parse_manifest(raw)
    return manifest(last.epoch + 1, last.digest, **changes)


@dataclass
class World:
    """`now` is what the auditor's clock says, in POSIX seconds."""

    directory: Path
    root: RootOfTrust
    servers: list[HttpServer]

    @property
    def auditor(self) -> Path:
        return self.directory / "auditor"

    def open(self) -> Auditor:
        return Auditor(self.auditor, int(time.time()))

    def sign(self, raw: bytes) -> bytes:
        opened = self.open()
        try:
            return opened.sign(opened.propose(raw, int(time.time())))
        finally:
            opened.close()

    def countersign(self, envelope: bytes) -> bytes:
        read = parse_envelope(envelope, MANIFEST_TYPE)
        return sign_countersignature(parse_manifest(read.payload), read, [trust.operator()])

    def publish(self, envelope: bytes, countersignature: bytes | None = None) -> Published:
        opened = self.open()
        try:
            return opened.publish(envelope, countersignature or self.countersign(envelope), int(time.time()))
        finally:
            opened.close()

    def whole(self, raw: bytes) -> Published:
        """Sign, counter-sign and log a manifest."""
        return self.publish(self.sign(raw))


@contextmanager
def world(directory: Path) -> Iterator[World]:
    made = create_auditor(directory / "auditor", ORIGIN)
    settings, key = read_auditor(directory / "auditor")
    LogDirectory.create(directory / "auditor", key, read_key_file(settings.log_key).sign).close()
    policy, witnesses, servers = [f"log {key.text}"], [], []
    for name in ("w0", "w1"):
        vkey = create_witness(directory / name, f"{name}.example", (made.log,))
        witnesses.append(open_witness(directory / name))
        answer = answering(witnesses[-1], lambda: int(time.time()))
        # A port that nobody else is given: a witness whose server was closed is away, and no other test's in its place.
        address = Address(host="127.0.0.1", port=free_ports(1)[0])
        servers.append(HttpServer(address, answer, body_limit=LIMIT))
        policy.append(f"witness {name} {vkey.text} http://127.0.0.1:{servers[-1].port}")
    now = int(time.time())
    raw = encode_root_of_trust(
        namespace=NAMESPACE,
        version=1,
        issued_at=now - DAY,
        expires_at=now + 365 * DAY,
        auditors=Role(1, (read_key_file(settings.auditor_key).key,)),
        operators=Role(1, (trust.operator().key,)),
        origin=ORIGIN,
        policy=[*policy, "group both all w0 w1", "quorum both"],
        minimum_epoch=1,
        maximum_age=7 * DAY,
    )
    (directory / "root-of-trust.json").write_bytes(raw)
    with (directory / "auditor" / "auditor.toml").open("a") as settings_file:
        settings_file.write(f'"{NAMESPACE}" = "../root-of-trust.json"\n')
    try:
        yield World(directory, parse_root_of_trust(raw), servers)
    finally:
        for server in servers:
            server.close()
        for witness in witnesses:
            witness.close()
