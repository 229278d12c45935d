"""A replica's token: `ports.Token` on PKCS#11. Called by the token's owner thread only (`owner`).

Handles are looked up once. What makes a call dear in python-pkcs11 is not the call: it is the Python class built for
each object, and templates packed anew; `mapper` and `keyspec` take both away.

SoftHSM keeps about 240 bytes of every session object, destroyed or not, until the module is finalised. A point
multiplication makes two, so a busy replica would lose a gigabyte an hour. After `RECYCLE_AFTER` objects the token is
therefore opened anew between two jobs; jobs that come meanwhile wait in the owner's queue.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

from pkcs11 import KeyType, ObjectClass, Session

from hsm_app.errors import ProtocolError, TokenError
from hsm_app.model import LinkKeys, RecordId, WrappedKey
from hsm_app.opaque.group import Point, check_point, encode, encode_uncompressed, multiply
from hsm_app.token.device import device_call
from hsm_app.token.fleet_keys import FleetCommitments, FleetKeys, compressed, load_fleet_keys
from hsm_app.token.inventory import check_root
from hsm_app.token.keyspec import (
    DERIVE,
    EC_MADE,
    EC_PUBLIC_MADE,
    IDENTITY,
    LINK,
    LINK_SECRET,
    ROOT,
    SECRET_BITS,
    SIGN,
)
from hsm_app.token.location import TokenLocation, find_token, load_module, login
from hsm_app.token.mapper import TemplateMapper, as_kind
from hsm_app.token.module import Module
from hsm_app.token.objects import NO_DEFAULTS, NULL_KDF, find_one, mac, make_ec_pair, shared_x
from hsm_app.token.pin import Pin
from hsm_app.token.proofs import prove_derives, prove_signs
from hsm_app.token.wrapping import Wrapper

T = TypeVar("T")
RECYCLE_AFTER = 200_000  # session objects: 48 MB of leak, and at full load a pause every two minutes or so
POOL = 4096  # bytes of randomness fetched at once
NONCE_BYTES = 32
ENC_BYTES = 65  # RFC 9180 section 7.1.1
DIALLER, LISTENER = b"hsm-vault/link/v1/dialler", b"hsm-vault/link/v1/listener"


def open_replica_token(
    location: TokenLocation,
    pin: Pin,
    fleet_keys: FleetKeys,
    commitments: FleetCommitments,
    *,
    recycle_after: int = RECYCLE_AFTER,
) -> Pkcs11Token:
    """Open a replica's token: prove what its root refuses, load the fleet keys and prove each. Raises TokenError."""
    module = load_module(location)
    try:
        return Pkcs11Token(module, location.label, pin, fleet_keys, commitments, recycle_after)
    except BaseException:
        module.close()
        raise


class Pkcs11Token:
    """Implements `ports.Token`, and `owner.OwnedToken`."""

    def __init__(
        self,
        module: Module,
        label: str,
        pin: Pin,
        fleet_keys: FleetKeys,
        commitments: FleetCommitments,
        recycle_after: int,
    ) -> None:
        self._module = module
        self._label = label
        self._pin = pin
        self._fleet_keys = fleet_keys
        self._commitments = commitments
        self._recycle_after = recycle_after
        self._replica_publics: tuple[bytes, bytes] | None = None
        self._opaque_public = _own_point(commitments.opaque_public)
        self._open()

    @device_call("open its keys")
    def _open(self) -> None:
        mapper = TemplateMapper()
        session = login(find_token(self._module, self._label), self._pin, mapper)
        root = find_one(session, ROOT, ObjectClass.SECRET_KEY)
        check_root(session, root)
        self._wrapper = Wrapper(session, root)
        keys = load_fleet_keys(self._wrapper, self._fleet_keys, self._commitments)
        self._kem, self._opaque, self._seal, self._id = keys.kem, keys.opaque, keys.seal, keys.id
        self._identity = find_one(session, IDENTITY, ObjectClass.PRIVATE_KEY)
        self._link = find_one(session, LINK, ObjectClass.PRIVATE_KEY)
        self._session: Session = session
        self._deriving, self._macing = type(self._opaque), type(self._seal)
        self._random, self._taken = b"", 0
        self._objects = 0
        mapper.leave_objects_plain()  # from here on, `as_kind` says what an object is

    @device_call("prove its replica keys")
    def check_replica_keys(self, *, identity_public: bytes, link_public: bytes) -> None:
        """Prove that this token holds the replica's keys of the manifest (33-byte points), or raise TokenError."""
        prove_signs(self.sign, IDENTITY, identity_public)
        prove_derives(self._link, LINK, link_public)
        self._replica_publics = identity_public, link_public

    @device_call("give random bytes")
    def random(self, length: int) -> bytes:
        """See `ports.Entropy`. Drawn from the token in blocks; no byte is handed out twice."""
        while len(self._random) - self._taken < length:
            self._random = self._random[self._taken :] + self._session.generate_random(8 * POOL)
            self._taken = 0
        start = self._taken
        self._taken += length
        return self._random[start : self._taken]

    @device_call("derive with fleet-kem")
    def kem_shared_x(self, enc: bytes) -> bytes:
        """See `ports.Token`. ProtocolError when `enc` is no point of the curve."""
        if len(enc) != ENC_BYTES:
            raise ProtocolError("an encapsulated key is not an uncompressed point", "The peer speaks another protocol")
        check_point(enc)
        self._objects += 1
        return shared_x(self._kem, enc)

    @device_call("derive with fleet-opaque")
    def opaque_dh(self, public: bytes) -> bytes:
        """See `ports.Token`. ProtocolError when `public` is no point of the curve."""
        point = check_point(public)
        return encode(self._times(self._opaque, self._opaque_public, point))

    @device_call("make a record key")
    def create_record_key(self, blinded: bytes) -> tuple[WrappedKey, bytes]:
        """See `ports.Token`. ProtocolError when `blinded` is no point of the curve."""
        point = check_point(blinded)
        self._objects += 2
        public, made = make_ec_pair(self._session, EC_PUBLIC_MADE, EC_MADE)
        key = as_kind(made, self._deriving)
        try:
            wrapped = WrappedKey(blob=self._wrapper.wrap(key), public=compressed(public))
            return wrapped, encode(self._times(key, _own_point(public), point))
        finally:
            key.destroy()

    @device_call("evaluate with a record key")
    def evaluate(self, key: WrappedKey, blinded: bytes) -> bytes:
        """See `ports.Token`. ProtocolError when `blinded` is no point of the curve."""
        point, public = check_point(blinded), _own_point(key.public)
        self._objects += 1
        opened = as_kind(self._wrapper.unwrap_ec(key.blob), self._deriving)
        try:
            return encode(self._times(opened, public, point))
        finally:
            opened.destroy()

    def _times(self, key: Any, public: Point, point: Point) -> Point:
        self._objects += 2
        return multiply(lambda asked: shared_x(key, asked), public, point)

    @device_call("compute with fleet-seal")
    def message_key(self, purpose: bytes, nonce: bytes) -> bytes:
        """See `ports.Token`."""
        if len(nonce) != NONCE_BYTES:
            raise TokenError(
                f"a message nonce has {len(nonce)} bytes instead of {NONCE_BYTES}", "This is a bug: report it"
            )
        return mac(self._seal, purpose + nonce)

    @device_call("compute with fleet-id")
    def record_id(self, subject: bytes) -> RecordId:
        """See `ports.Token`."""
        return RecordId(mac(self._id, subject))

    @device_call("sign with replica-identity")
    def sign(self, message: bytes) -> bytes:
        """See `ports.Token`. CKM_ECDSA takes the digest: SoftHSM has no ECDSA with SHA-256 inside."""
        signature: bytes = self._identity.sign(hashlib.sha256(message).digest(), mechanism=SIGN, buffer_size=64)
        return signature

    @device_call("derive with replica-link")
    def link_keys(self, peer: bytes, transcript: bytes) -> LinkKeys:
        """See `ports.Token`. The secret stays in the token as an HMAC key: neither input ends like the other, so the
        two keys are outputs of one PRF on different inputs. ProtocolError when `peer` is no point of the curve."""
        point = encode_uncompressed(check_point(peer))
        self._objects += 1
        secret = as_kind(
            self._link.derive_key(
                KeyType.GENERIC_SECRET,
                SECRET_BITS,
                capabilities=NO_DEFAULTS,
                mechanism=DERIVE,
                mechanism_param=(NULL_KDF, None, point),
                template=LINK_SECRET,
            ),
            self._macing,
        )
        try:
            return LinkKeys(dialler=mac(secret, transcript + DIALLER), listener=mac(secret, transcript + LISTENER))
        finally:
            secret.destroy()

    def in_session(self, job: Callable[[Session], T]) -> T:
        """See `owner.OwnedToken`: run what needs the session itself."""
        self._objects += 2  # an anchor that is created and destroyed, in two calls, leaves about 900 bytes
        return job(self._session)

    def between_jobs(self) -> None:
        """Open the token anew when it has leaked enough."""
        if self._objects >= self._recycle_after:
            self.reopen()

    def reopen(self) -> None:
        """Finalise the module and open the token again: the same keys, proved again, in fresh memory."""
        self._module.reload()
        self._open()
        if self._replica_publics is not None:
            identity, link = self._replica_publics
            self.check_replica_keys(identity_public=identity, link_public=link)

    def close(self) -> None:
        """Finalise the module; every key of the session is gone."""
        self._module.close()


def _own_point(data: bytes) -> Point:
    """Read a public key that this side stored: if it is no point, that is not the peer's fault."""
    try:
        return check_point(data)
    except ProtocolError as error:
        raise TokenError("a stored public key is no point of the curve", "The record or manifest is damaged") from error
