"""The four keys that every replica of a fleet shares: made once in a token, kept as blobs under `fleet-root`.

AES key wrap does not say what a blob holds: a seal blob unwraps as any other secret, the KEM's blob as OPAQUE's
key. So the manifest commits to each of them (`proofs`), and `load_fleet_keys` proves each key against its commitment
before anything uses it. The public halves in the file are a convenience: what counts is the manifest's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
from pkcs11 import KeyType, Session

from hsm_app.errors import ConfigError
from hsm_app.model import WrappedKey
from hsm_app.token.device import device_call
from hsm_app.token.keyspec import EC_MADE, EC_PUBLIC_MADE, ID, KEM, MAKE_SECRET, OPAQUE, SEAL, SECRET_BITS, SECRET_MADE
from hsm_app.token.objects import NO_DEFAULTS, make_ec_pair
from hsm_app.token.proofs import check_value, prove_derives, prove_secret
from hsm_app.token.wrapping import Wrapper

FORMAT = "hsm-vault/fleet-keys/v1"
LARGEST = 4096  # bytes of the file


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetCommitments:
    """What the manifest says about the fleet keys: 33-byte points and 32-byte check values."""

    kem_public: bytes
    opaque_public: bytes
    seal_check: bytes
    id_check: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetKeys:
    """The blobs. Useless without a token of the fleet."""

    kem: WrappedKey
    opaque: WrappedKey
    seal: bytes
    id: bytes

    def to_bytes(self) -> bytes:
        fields = (FORMAT, self.kem.blob, self.kem.public, self.opaque.blob, self.opaque.public, self.seal, self.id)
        encoded: bytes = msgpack.packb(fields)
        return encoded

    @classmethod
    def from_bytes(cls, data: bytes) -> FleetKeys:
        """Decode the one encoding that `to_bytes` makes. ConfigError for anything else."""
        try:
            name, *fields = msgpack.unpackb(data[:LARGEST])
            kem, kem_public, opaque, opaque_public, seal, record_id = fields
            keys = cls(
                kem=WrappedKey(blob=kem, public=kem_public),
                opaque=WrappedKey(blob=opaque, public=opaque_public),
                seal=seal,
                id=record_id,
            )
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            raise _no_fleet_keys() from error
        if name != FORMAT or not all(type(field) is bytes for field in fields) or keys.to_bytes() != data:
            raise _no_fleet_keys()
        return keys


def read_fleet_keys(path: Path) -> FleetKeys:
    """Read the file that `to_bytes` was written to. ConfigError when it cannot be read, or holds something else."""
    try:
        return FleetKeys.from_bytes(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", _COPY) from error
    except ConfigError as error:
        raise ConfigError(f"{path} holds no fleet keys", _COPY) from error


_COPY = "Copy fleet-keys.bin from another replica"


def _no_fleet_keys() -> ConfigError:
    return ConfigError("the file holds no fleet keys", _COPY)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedFleetKeys:
    """The keys as session objects of the token: none of them can be read."""

    kem: Any
    opaque: Any
    seal: Any
    id: Any


@device_call("make the fleet keys")
def make_fleet_keys(session: Session, wrapper: Wrapper) -> tuple[FleetKeys, FleetCommitments]:
    """Make the four keys in this token and wrap them. The objects are gone when this returns."""
    kem, opaque = _make_pair(session, wrapper), _make_pair(session, wrapper)
    (seal, seal_check), (record_id, id_check) = (_make_secret(session, wrapper, label) for label in (SEAL, ID))
    keys = FleetKeys(kem=kem, opaque=opaque, seal=seal, id=record_id)
    return keys, FleetCommitments(
        kem_public=kem.public, opaque_public=opaque.public, seal_check=seal_check, id_check=id_check
    )


def _make_pair(session: Session, wrapper: Wrapper) -> WrappedKey:
    point, private = make_ec_pair(session, EC_PUBLIC_MADE, EC_MADE)
    try:
        return WrappedKey(blob=wrapper.wrap(private), public=compressed(point))
    finally:
        private.destroy()


def _make_secret(session: Session, wrapper: Wrapper, label: str) -> tuple[bytes, bytes]:
    secret = session.generate_key(
        KeyType.GENERIC_SECRET, SECRET_BITS, mechanism=MAKE_SECRET, capabilities=NO_DEFAULTS, template=SECRET_MADE
    )
    try:
        return wrapper.wrap(secret), check_value(secret, label)
    finally:
        secret.destroy()


@device_call("open the fleet keys")
def load_fleet_keys(wrapper: Wrapper, keys: FleetKeys, commitments: FleetCommitments) -> LoadedFleetKeys:
    """Unwrap the four keys and prove each against its commitment. TokenError when one is not what it should be."""
    loaded: list[Any] = []
    try:
        for label, blob, public in (
            (KEM, keys.kem, commitments.kem_public),
            (OPAQUE, keys.opaque, commitments.opaque_public),
        ):
            loaded.append(wrapper.unwrap_ec(blob.blob))
            prove_derives(loaded[-1], label, public)
        for label, secret, check in ((SEAL, keys.seal, commitments.seal_check), (ID, keys.id, commitments.id_check)):
            loaded.append(wrapper.unwrap_secret(secret))
            prove_secret(loaded[-1], label, check)
    except BaseException:
        for key in loaded:
            key.destroy()
        raise
    kem, opaque, seal, record_id = loaded
    return LoadedFleetKeys(kem=kem, opaque=opaque, seal=seal, id=record_id)


def compressed(point: bytes) -> bytes:
    """Return a 65-byte point in its 33-byte form (SEC 1, section 2.3.3)."""
    return bytes([2 | point[64] & 1]) + point[1:33]
