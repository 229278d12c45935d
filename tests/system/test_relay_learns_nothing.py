"""What passes a relay in front of a real fleet: no account, no code, no K, and never the same bytes twice.

Covered: everything that a client and the fleet say in a registration, two equal recoveries, a wrong guess and a status,
as raw bytes and in the usual encodings. Not covered: sizes and timing, which a relay does see (docs/protocol.md).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import pytest

from hsm_app.wire.envelopes import RESPONSE_LIMIT, Request, Response, decode_request, decode_response
from hsm_app.wire.frames import FrameDecoder
from tests.live_fleet import FLEET, LiveFleet, run
from tests.system.tap import Connection, Tap

ACCOUNT, RECORD = "an-account-name-to-look-for", "a-record-name-to-look-for"
WINDOW = 16  # bytes; a run of 16 equal bytes in ciphertext happens by chance with probability 2^-128


@dataclass(frozen=True, slots=True)
class Tapped:
    """What passed in each command of a person, and the secrets to look for in it."""

    commands: dict[str, list[Connection]]
    secrets: list[bytes]

    @property
    def connections(self) -> list[Connection]:
        return [connection for tapped in self.commands.values() for connection in tapped]

    @property
    def sent(self) -> list[Request]:
        return requests(self.connections)

    @property
    def received(self) -> list[Response]:
        return [decode_response(frame) for tapped in self.connections for frame in frames(tapped.received)]


@pytest.fixture(scope="module")
def tapped(shared_fleet: LiveFleet, tmp_path_factory: pytest.TempPathFactory) -> Tapped:
    """Let a person do everything through a tap."""
    fleet, tmp_path = shared_fleet, tmp_path_factory.mktemp("tapped")
    fleet.start()
    port = fleet.relay_port
    with Tap(("127.0.0.1", port)) as tap:
        config = fleet.client_config(ACCOUNT, tmp_path / "home", RECORD)
        config.write_text(config.read_text().replace(f"127.0.0.1:{port}", f"127.0.0.1:{tap.port}"))
        commands: dict[str, list[Connection]] = {}

        def client(called: str, *words: str, status: int = 0, code: str | None = None) -> str:
            before = len(tap.connections)
            done = run("client", *words, "--config", str(config), code=code)
            assert done.returncode == status, done.stderr
            commands[called] = tap.connections[before:]
            return done.stdout.strip()

        code_file = tmp_path / "code"
        client("registration", "register", "--code-out", str(code_file))
        code = code_file.read_text().strip()
        key = client("first recovery", "recover", "--print-key", code=code)
        client("second recovery", "recover", "--print-key", code=code)
        client("wrong guess", "recover", status=21, code="a wrong guess")
        client("status", "status")
        token = (tmp_path / "home" / "account-token").read_text().strip()
        secrets = [ACCOUNT.encode(), RECORD.encode(), code.encode(), code.replace("-", "").encode(), b"a wrong guess"]
        return Tapped(commands, [*secrets, bytes.fromhex(key), key.encode(), token.encode(), b"demo"])


def frames(stream: bytes | bytearray) -> list[bytes]:
    return FrameDecoder(RESPONSE_LIMIT).feed(bytes(stream))


def requests(connections: list[Connection]) -> list[Request]:
    return [decode_request(frame) for tapped in connections for frame in frames(tapped.sent)]


def test_no_secret_and_no_name_passes_a_relay_in_any_usual_encoding(tapped: Tapped) -> None:
    assert len(tapped.sent) >= 9
    for secret in tapped.secrets:
        for form in (secret, secret.hex().encode(), base64.b64encode(secret).rstrip(b"="), secret[::-1]):
            for connection in tapped.connections:
                assert form not in connection.sent
                assert form not in connection.received


def test_the_fleet_is_named_for_the_relay_and_nowhere_else(tapped: Tapped) -> None:
    assert {request.fleet for request in tapped.sent} == {FLEET}
    assert not any(FLEET.encode() in request.sealed for request in tapped.sent)
    assert not any(FLEET.encode() in connection.received for connection in tapped.connections)


def test_the_same_bytes_never_pass_twice(tapped: Tapped) -> None:
    sealed = [request.sealed[2:] for request in tapped.sent]  # without version and suite
    sealed += [response.sealed for response in tapped.received]
    seen: set[bytes] = set()
    for message in sealed:
        windows = {message[at : at + WINDOW] for at in range(len(message) - WINDOW + 1)}
        assert not windows & seen
        seen |= windows


def test_two_equal_operations_differ_in_nothing_but_ciphertext(tapped: Tapped) -> None:
    """A request that a busy machine let wait too long is sent again, sealed anew: it counts once."""
    shapes = {
        called: list(dict.fromkeys((request.route, len(request.sealed)) for request in requests(connections)))
        for called, connections in tapped.commands.items()
    }
    assert len({route for seen in shapes.values() for route, _ in seen}) == 1
    assert len(shapes["first recovery"]) == 2
    assert shapes["first recovery"] == shapes["second recovery"]
    assert shapes["wrong guess"] == shapes["first recovery"]
