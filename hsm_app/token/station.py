"""A token in a process of its own, for programs that need several tokens at once.

A process can own one PKCS#11 module, and SoftHSM one configuration, so making a fleet of five tokens takes five
processes. Each is spawned, never forked: a process forked from one that has initialised the module hangs. PINs and
wrapped keys travel through the pipe between the two processes and nowhere else.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from hsm_app.errors import TokenError, VaultError
from hsm_app.token.ceremony_steps import CeremonySteps
from hsm_app.token.fleet_keys import FleetCommitments, FleetKeys
from hsm_app.token.inventory import Row
from hsm_app.token.location import TokenLocation
from hsm_app.token.recording import Operation

GRACE = 5.0  # seconds for the process to end by itself


class TokenStation:
    """The steps of `CeremonySteps`, in another process. A context manager. Every method raises TokenError."""

    def __init__(self, location: TokenLocation, heard: Callable[[str, Operation], None] | None = None) -> None:
        """`heard` is told the token's label and each call, when the step that made them returns or fails."""
        self._heard = heard
        spawn = multiprocessing.get_context("spawn")
        self._label = location.label
        self._pipe, far = spawn.Pipe()
        self._process = spawn.Process(
            target=_serve, args=(location, far, heard is not None), name=f"token-{location.label}", daemon=True
        )
        self._process.start()
        far.close()  # so that the end of the process is the end of the pipe

    def __enter__(self) -> TokenStation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process. May be called twice."""
        self._pipe.close()
        self._process.join(GRACE)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()

    def initialise(self, so_pin: str, user_pin: str) -> None:
        self._call("initialise", so_pin, user_pin)

    def open(self, user_pin: str) -> None:
        self._call("open", user_pin)

    def make_replica_keys(self) -> tuple[bytes, bytes]:
        identity, link = self._call("make_replica_keys")
        return identity, link

    def make_root(self) -> None:
        self._call("make_root")

    def make_transport_key(self, *, sealed: bool) -> bytes:
        return bytes(self._call("make_transport_key", sealed=sealed))

    def place_trusted(self, so_pin: str, spki: bytes) -> None:
        self._call("place_trusted", so_pin, spki)

    def wrap_root(self) -> bytes:
        return bytes(self._call("wrap_root"))

    def install_root(self, blob: bytes, *, sealed: bool) -> None:
        self._call("install_root", blob, sealed=sealed)

    def finish_carry(self, so_pin: str) -> None:
        self._call("finish_carry", so_pin)

    def make_fleet_keys(self) -> tuple[FleetKeys, FleetCommitments]:
        keys, commitments = self._call("make_fleet_keys")
        return keys, commitments

    def check_fleet_keys(self, keys: FleetKeys, commitments: FleetCommitments) -> None:
        self._call("check_fleet_keys", keys, commitments)

    def describe(self) -> dict[str, str]:
        return dict(self._call("describe"))

    def finish_initialising(self, so_pin: str, user_pin: str) -> None:
        self._call("finish_initialising", so_pin, user_pin)

    def discard_replica_keys(self) -> None:
        self._call("discard_replica_keys")

    def roots(self) -> dict[str, int]:
        return dict(self._call("roots"))

    def end_carry(self) -> None:
        self._call("end_carry")

    def trusted_key(self) -> bytes:
        return bytes(self._call("trusted_key"))

    def remove_trusted(self, so_pin: str) -> None:
        self._call("remove_trusted", so_pin)

    def discard_origin(self) -> None:
        self._call("discard_origin")

    def challenge_root(self, challenge: bytes, label: str) -> tuple[bytes, bytes]:
        blob, tag = self._call("challenge_root", challenge, label)
        return blob, tag

    def answer_root(self, challenge: bytes, blob: bytes, label: str) -> bytes:
        return bytes(self._call("answer_root", challenge, blob, label))

    def retire_officer(self, so_pin: str) -> None:
        self._call("retire_officer", so_pin)

    def refuses_officer(self, so_pin: str) -> bool:
        return bool(self._call("refuses_officer", so_pin))

    def sign(self, message: bytes) -> bytes:
        return bytes(self._call("sign", message))

    def erase(self) -> int:
        return int(self._call("erase"))

    def objects(self, *, sealed: bool) -> list[dict[str, Any]]:
        return list(self._call("objects", sealed=sealed))

    def create_first_anchor(self, content: bytes) -> None:
        self._call("create_first_anchor", content)

    def anchored_incarnation(self) -> int | None:
        found: int | None = self._call("anchored_incarnation")
        return found

    def begin_incarnation(self, content: bytes) -> None:
        self._call("begin_incarnation", content)

    def inventory(self, *, sealed: bool | None = None, anchored: bool = False) -> list[Row]:
        return list(self._call("inventory", sealed=sealed, anchored=anchored))

    def _call(self, step: str, *args: object, **kwargs: object) -> Any:
        try:
            self._pipe.send((step, args, kwargs))
            answer, operations = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise TokenError(
                f"the process of token {self._label!r} has ended during {step}",
                "Read its last words above, and start anew",
            ) from error
        for operation in operations:
            if self._heard is not None:
                self._heard(self._label, operation)
        if isinstance(answer, VaultError):
            raise answer
        return answer


def _serve(location: TokenLocation, pipe: Connection, is_recorded: bool) -> None:
    """Run in the station's process: one step after the other, until the other end closes the pipe."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):  # from the terminal, to all of its processes
        signal.signal(number, signal.SIG_IGN)  # the program that started this one decides what they mean
    operations: list[Operation] = []
    steps = CeremonySteps(location, operations.append if is_recorded else None)
    try:
        while True:
            step, args, kwargs = pipe.recv()
            try:
                answer = getattr(steps, step)(*args, **kwargs)
            except VaultError as error:
                answer = error
            pipe.send((answer, operations))
            operations.clear()
    except (EOFError, BrokenPipeError):  # the program is gone; nobody is left to tell
        return
    finally:
        steps.close()
