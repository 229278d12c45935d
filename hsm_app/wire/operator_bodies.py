"""What the operator's calls about epochs carry (`wire.operator_call`).

| call | body | answer |
|---|---|---|
| `epoch` | nothing | an `EpochReport` |
| `bundle` | a bundle (`fleet.bundle`) | nothing, once it is kept |
| `enter` | an `Entry` | an `EpochReport`, once the epoch is entered |
| `sweep` | nothing: begin, or go on | an `EpochReport` |
| `certificate` | nothing | the certificate's file |
"""

from __future__ import annotations

from dataclasses import dataclass

from hsm_app.wire.codec import Layout, flag, number, octets, octets_up_to, several, text

EPOCH, BUNDLE, ENTER, SWEEP, CERTIFICATE = "epoch", "bundle", "enter", "sweep", "certificate"
FILE_LIMIT = 16 * 1024  # bytes: a manifest of the largest size; a certificate has under 4 KiB
CERTIFICATES = 8
FAULT_LIMIT = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`manifest` is a manifest's file, `certificates` those of the epoch that is left."""

    manifest: bytes
    certificates: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """The epoch that a replica has entered for good, and how its own sweep of that epoch stands.

    `swept` counts records. `fault` says why the sweep stopped, if it did.
    """

    replica: int
    epoch: int
    manifest: bytes
    is_sweeping: bool
    is_swept: bool
    swept: int
    fault: str


_ENTRY = Layout(
    Entry,
    octets_up_to("manifest", FILE_LIMIT),
    several(octets_up_to("certificates", FILE_LIMIT), CERTIFICATES),
    tag="hsm-vault/enter/v1",
)
_REPORT = Layout(
    EpochReport,
    number("replica", 255, least=1),
    number("epoch"),
    octets("manifest", 32),
    flag("is_sweeping"),
    flag("is_swept"),
    number("swept"),
    text("fault", FAULT_LIMIT, least=0),
    tag="hsm-vault/epoch-report/v1",
)


def encode_entry(entry: Entry) -> bytes:
    return _ENTRY.pack(entry)


def decode_entry(body: bytes) -> Entry:
    """ProtocolError for anything else."""
    return _ENTRY.unpack(body)


def encode_report(report: EpochReport) -> bytes:
    return _REPORT.pack(report)


def decode_report(body: bytes) -> EpochReport:
    """ProtocolError for anything else."""
    return _REPORT.unpack(body)
