"""Real tokens for tests: fresh SoftHSM directories, and a finished replica's token that is made once and copied."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pkcs11 import Attribute, Session

from hsm_app.operator.layout import SOFTHSM2_CONF
from hsm_app.token.fleet_keys import FleetCommitments, FleetKeys
from hsm_app.token.keyspec import EC_UNWRAPPED, P256
from hsm_app.token.location import TokenLocation, find_token, load_module, login_officer, opened
from hsm_app.token.pin import Pin
from hsm_app.token.replica_token import Pkcs11Token, open_replica_token
from hsm_app.token.steps import TokenSteps

SO_PIN, USER_PIN = "so-pin-of-a-test", "user-pin-of-a-test"
PLACES = (
    os.environ.get("SOFTHSM2_MODULE", ""),
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)


def softhsm() -> Path:
    """Return SoftHSM's module. A machine without it fails these tests; it does not skip them."""
    for place in PLACES:
        if place and Path(place).is_file():
            return Path(place)
    raise AssertionError("SoftHSM is not installed: apt-get install softhsm2")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaToken:
    """A finished replica's token: its place, and what was said about it when it was made."""

    location: TokenLocation
    fleet_keys: FleetKeys
    commitments: FleetCommitments
    identity_public: bytes
    link_public: bytes

    def open(self, *, recycle_after: int = 1_000_000) -> Pkcs11Token:
        return open_replica_token(
            self.location, Pin(USER_PIN), self.fleet_keys, self.commitments, recycle_after=recycle_after
        )

    def copied_to(self, directory: Path) -> ReplicaToken:
        """Return a copy that a test may ruin."""
        source = self.location.softhsm2_conf
        assert source is not None
        location = blank(directory, self.location.label)
        shutil.rmtree(directory / "tokens")
        shutil.copytree(source.parent / "tokens", directory / "tokens")
        return replace(self, location=location)


def blank(directory: Path, label: str = "test") -> TokenLocation:
    """Return the place of a token that is not initialised yet, in a SoftHSM of its own."""
    tokens = directory / "tokens"
    tokens.mkdir(parents=True)
    configuration = directory / "softhsm2.conf"
    configuration.write_text(SOFTHSM2_CONF.format(tokens=tokens))
    return TokenLocation(module=softhsm(), label=label, softhsm2_conf=configuration)


def finished(directory: Path, *, sealed: bool = True) -> ReplicaToken:
    """Make a token as `fleet create` makes the first one of a fleet."""
    location = blank(directory)
    steps = TokenSteps(location)
    try:
        steps.initialise(SO_PIN, USER_PIN)
        identity, link = steps.make_replica_keys()
        steps.make_root()
        steps.place_trusted(SO_PIN, steps.make_transport_key(sealed=sealed))
        steps.install_root(steps.wrap_root(), sealed=sealed)
        steps.finish_carry(SO_PIN)
        fleet_keys, commitments = steps.make_fleet_keys()
    finally:
        steps.close()
    return ReplicaToken(
        location=location,
        fleet_keys=fleet_keys,
        commitments=commitments,
        identity_public=identity,
        link_public=link,
    )


@contextmanager
def user(location: TokenLocation) -> Iterator[Session]:
    """A session of the user, alone in this process."""
    with opened(location, Pin(USER_PIN)) as session:
        yield session


@contextmanager
def officer(location: TokenLocation) -> Iterator[Session]:
    """A session of the security officer, alone in this process."""
    module = load_module(location)
    try:
        yield login_officer(find_token(module, location.label), SO_PIN)
    finally:
        module.close()


def known_key(session: Session, scalar: int) -> Any:
    """Import a private key of a test vector as a session object that derives, and that cannot be read back."""
    return session.create_object(
        {
            **{key: value for key, value in EC_UNWRAPPED.items() if key is not Attribute.MODIFIABLE},
            Attribute.EC_PARAMS: P256,
            Attribute.VALUE: scalar.to_bytes(32, "big"),
            Attribute.MODIFIABLE: False,
        }
    )
