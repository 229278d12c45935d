"""What passes a relay in front of a real fleet: no account, no code, no K, and never the same bytes twice.

Covered: everything that a client and the fleet say in a registration, two equal recoveries, a wrong guess and a status,
as raw bytes and in the usual encodings. Not covered: sizes and timing, which a relay does see (docs/protocol.md).
"""

from __future__ import annotations

import base64

import pytest

from hsm_app.wire.envelopes import RESPONSE_LIMIT, decode_request, decode_response
from hsm_app.wire.frames import FrameDecoder
from tests.live_fleet import FLEET, LiveFleet, run, well
from tests.system.tap import Tap

ACCOUNT, RECORD = "an-account-name-to-look-for", "a-record-name-to-look-for"
WINDOW = 16  # bytes; a run of 16 equal bytes in ciphertext happens by chance with probability 2^-128


@pytest.fixture(scope="module")
def tapped(shared_fleet: LiveFleet, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes, list[bytes]]:
    """Let a person do everything through a tap; return both directions and the secrets to look for in them."""
    fleet, tmp_path = shared_fleet, tmp_path_factory.mktemp("tapped")
    fleet.start()
    port = fleet.relay_port
    with Tap(("127.0.0.1", port)) as tap:
        config = fleet.client_config(ACCOUNT, tmp_path / "home", RECORD)
        config.write_text(config.read_text().replace(f"127.0.0.1:{port}", f"127.0.0.1:{tap.port}"))
        code_file = tmp_path / "code"
        well("client", "register", "--config", str(config), "--code-out", str(code_file))
        code = code_file.read_text().strip()
        key = well("client", "recover", "--config", str(config), "--print-key", code=code).strip()
        well("client", "recover", "--config", str(config), "--print-key", code=code)
        assert run("client", "recover", "--config", str(config), code="a wrong guess").returncode == 21
        well("client", "status", "--config", str(config))
        token = (tmp_path / "home" / "account-token").read_text().strip()
        secrets = [ACCOUNT.encode(), RECORD.encode(), code.encode(), code.replace("-", "").encode(), b"a wrong guess"]
        secrets += [bytes.fromhex(key), key.encode(), token.encode(), b"demo"]
        return bytes(tap.sent), bytes(tap.received), secrets


def frames(stream: bytes) -> list[bytes]:
    return FrameDecoder(RESPONSE_LIMIT).feed(stream)


def test_no_secret_and_no_name_passes_a_relay_in_any_usual_encoding(
    tapped: tuple[bytes, bytes, list[bytes]],
) -> None:
    sent, received, secrets = tapped
    assert len(frames(sent)) >= 9
    for secret in secrets:
        for form in (secret, secret.hex().encode(), base64.b64encode(secret).rstrip(b"="), secret[::-1]):
            assert form not in sent
            assert form not in received


def test_the_fleet_is_named_for_the_relay_and_nowhere_else(tapped: tuple[bytes, bytes, list[bytes]]) -> None:
    sent, received, _ = tapped
    requests = [decode_request(frame) for frame in frames(sent)]
    assert {request.fleet for request in requests} == {FLEET}
    assert not any(FLEET.encode() in request.sealed for request in requests)
    assert FLEET.encode() not in received


def test_the_same_bytes_never_pass_twice(tapped: tuple[bytes, bytes, list[bytes]]) -> None:
    sent, received, _ = tapped
    sealed = [decode_request(frame).sealed[2:] for frame in frames(sent)]  # without version and suite
    sealed += [decode_response(frame).sealed for frame in frames(received)]
    seen: set[bytes] = set()
    for message in sealed:
        windows = {message[at : at + WINDOW] for at in range(len(message) - WINDOW + 1)}
        assert not windows & seen
        seen |= windows


def test_two_equal_operations_differ_in_nothing_but_ciphertext(tapped: tuple[bytes, bytes, list[bytes]]) -> None:
    sent, _, _ = tapped
    shapes = [(decode_request(frame).route, len(decode_request(frame).sealed)) for frame in frames(sent)]
    assert len({route for route, _ in shapes}) == 1
    recoveries = shapes[3:5], shapes[5:7], shapes[7:9]
    assert recoveries[0] == recoveries[1] == recoveries[2]
