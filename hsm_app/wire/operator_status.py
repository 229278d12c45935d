"""How a replica stands, as the operator hears it from the call `status` (`wire.operator_call`). Counts, never names."""

from __future__ import annotations

from dataclasses import dataclass

from hsm_app.wire.codec import Layout, flag, number, text

STATUS = "status"
FAULT_LIMIT = 512  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """`to_go`, `installed` and `per_second` are of the repair, in records; `fault` is what last stood in its way.

    The other counts are since the process started: votes and the anchors that they share, operations by their round
    trips, conflicts between proposers, and operations that met no majority.
    """

    replica: int
    epoch: int
    incarnation: int
    boot: int
    records: int
    is_level: bool
    to_go: int
    installed: int
    per_second: int
    fault: str
    votes: int
    anchors: int
    one_round: int
    two_rounds: int
    more_rounds: int
    conflicts: int
    quorum_errors: int


_STATUS = Layout(
    StatusReport,
    number("replica", 255, least=1),
    number("epoch"),
    number("incarnation"),
    number("boot"),
    number("records"),
    flag("is_level"),
    number("to_go"),
    number("installed"),
    number("per_second"),
    text("fault", FAULT_LIMIT, least=0),
    number("votes"),
    number("anchors"),
    number("one_round"),
    number("two_rounds"),
    number("more_rounds"),
    number("conflicts"),
    number("quorum_errors"),
    tag="hsm-vault/status-report/v1",
)


def encode_status_report(report: StatusReport) -> bytes:
    return _STATUS.pack(report)


def decode_status_report(body: bytes) -> StatusReport:
    """ProtocolError for anything else."""
    return _STATUS.unpack(body)
