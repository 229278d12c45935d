"""Call a replica through its operator's door. Blocking."""

from __future__ import annotations

import socket

from hsm_app.errors import ConfigError, LogError, ProtocolError, QuorumError, StoreError, TokenError, VaultError
from hsm_app.net.address import Address
from hsm_app.wire.frames import FrameDecoder, encode_frame
from hsm_app.wire.operator_call import FRAME_LIMIT, OperatorCall, decode_operator_answer, encode_call

PATIENCE = 60.0  # seconds: entering an epoch ends the replica's links and opens its store anew
FAMILIES: tuple[type[VaultError], ...] = (ConfigError, ProtocolError, TokenError, QuorumError, StoreError)
_BY_CODE = {family.exit_code: family for family in FAMILIES}


class DoorClosedError(QuorumError):
    """Nobody listens at the door, or the replica ended while it was asked."""


def call(address: Address, name: str, body: bytes = b"") -> bytes:
    """Make one call and return its answer. DoorClosedError when the replica is away; else the error it answers with."""
    away = f"the replica at {address} is away"
    todo = "Start it (its log says why it ended), and run the command again"
    try:
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(PATIENCE)
            door.connect(address.path)
            door.sendall(encode_frame(encode_call(OperatorCall(name=name, body=body))))
            frame = _one_frame(door)
    except OSError as error:
        raise DoorClosedError(f"{away}: {error.strerror or error}", todo) from error
    if frame is None:
        raise DoorClosedError(f"{away}: it hung up during {name}", todo)
    answer = decode_operator_answer(frame)
    if answer.exit_code == LogError.exit_code:
        check, _, what = answer.what.partition(": ")
        raise LogError(check, what, answer.todo)
    if answer.exit_code:
        raise _BY_CODE.get(answer.exit_code, ProtocolError)(answer.what, answer.todo)
    return answer.body


def _one_frame(door: socket.socket) -> bytes | None:
    decoder = FrameDecoder(FRAME_LIMIT)
    while data := door.recv(65_536):
        if frames := decoder.feed(data):
            return frames[0]
    return None
