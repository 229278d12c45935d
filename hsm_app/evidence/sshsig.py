"""Signatures that `ssh-keygen -Y sign` makes (OpenSSH's PROTOCOL.sshsig, version 1), of Ed25519 and ECDSA P-256 keys.

A participant of a ceremony needs nothing but OpenSSH to sign. What is signed is not the file but "SSHSIG" with the
namespace and the file's hash, so a signature for git or a login is none here. The key inside the signature is a hint;
what counts is the key that the caller expects. Refused: another version, namespace or kind of key, a hash that is not
SHA-256 or SHA-512, integers with a sign or with spare zeros, bytes after the end, base64 that is not canonical. RSA
and hardware-bound "sk-" keys are not among a `RoleKey`'s kinds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm_app.errors import ConfigError, LogError
from hsm_app.fleet.role_keys import KeyAlgorithm, RoleKey
from hsm_app.tlog.base64 import decode64

CHECK = "participant-signature"
LIMIT = 4096  # bytes; signatures of these keys have under 400
MAGIC = b"SSHSIG"
BEGIN, END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
ED25519, ECDSA, CURVE = b"ssh-ed25519", b"ecdsa-sha2-nistp256", b"nistp256"
_KINDS = {KeyAlgorithm.ED25519: ED25519, KeyAlgorithm.ES256: ECDSA}
HASHES = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}


@dataclass(frozen=True, slots=True, kw_only=True)
class SshSignature:
    """A signature that was read, and verified by nobody. `signature` is in the form of `RoleKey.holds`."""

    key: RoleKey
    namespace: bytes
    reserved: bytes
    hash_name: bytes
    signature: bytes = field(repr=False)

    def check(self, message: bytes, namespace: str, key: RoleKey) -> None:
        """LogError ("participant-signature") unless `key` signed `message` for this namespace."""
        if self.namespace != namespace.encode():
            raise LogError(CHECK, f"the SSH signature is not for {namespace}", f"Sign with: -n {namespace}")
        digest = HASHES[self.hash_name](message).digest()
        signed = MAGIC + b"".join(map(_string, (self.namespace, self.reserved, self.hash_name, digest)))
        if self.key != key or not key.holds(signed, self.signature):
            raise LogError(CHECK, f"the SSH signature is not the key's, {key.id}")


def parse_ssh_signature(armoured: bytes) -> SshSignature:
    """Read a signature file. LogError ("participant-signature") for anything else."""
    reader = _Reader(_unarmour(armoured))
    if reader.take(len(MAGIC)) != MAGIC or reader.take(4) != b"\0\0\0\1":
        raise LogError(CHECK, "this is no SSH signature of version 1")
    key = _key(reader.string())
    namespace, reserved, hash_name = reader.string(), reader.string(), reader.string()
    if hash_name not in HASHES:
        raise LogError(CHECK, "the SSH signature is over a hash that is neither SHA-256 nor SHA-512")
    signature = _signature(reader.string(), key.algorithm)
    reader.end()
    return SshSignature(
        key=key, namespace=namespace, reserved=reserved, hash_name=hash_name, signature=signature
    )  # fmt: skip


def parse_ssh_public_key(line: str) -> RoleKey:
    """Read a key as `ssh-keygen` writes it to a .pub file. LogError ("participant-signature") for anything else."""
    kind, _, rest = line.strip().partition(" ")
    key = _key(_decode(rest.partition(" ")[0], "the SSH public key"))
    if _KINDS[key.algorithm] != kind.encode():
        raise LogError(CHECK, "the SSH public key is of another kind than it says")
    return key


class _Reader:
    """Takes the fields of RFC 4251 section 5 off the front of a blob."""

    def __init__(self, blob: bytes) -> None:
        self._rest = blob

    def take(self, length: int) -> bytes:
        if length > len(self._rest):
            raise LogError(CHECK, "the SSH signature or key is cut short")
        taken, self._rest = self._rest[:length], self._rest[length:]
        return taken

    def string(self) -> bytes:
        return self.take(int.from_bytes(self.take(4), "big"))

    def integer(self) -> int:
        """A positive mpint in its one shortest form."""
        raw = self.string()
        value = int.from_bytes(raw, "big", signed=True)
        if value <= 0 or len(raw) != value.bit_length() // 8 + 1:
            raise LogError(CHECK, "the SSH signature has a number that is not positive or not in its shortest form")
        return value

    def end(self) -> None:
        if self._rest:
            raise LogError(CHECK, "the SSH signature or key has bytes after its end")


def _string(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def _unarmour(armoured: bytes) -> bytes:
    if len(armoured) > LIMIT:
        raise LogError(CHECK, f"the SSH signature has {len(armoured)} bytes, more than {LIMIT}")
    lines = armoured.decode("ascii", errors="replace").removesuffix("\n").split("\n")
    if len(lines) < 3 or (lines[0], lines[-1]) != (BEGIN, END):
        raise LogError(CHECK, "this is no file that ssh-keygen -Y sign made")
    return _decode("".join(lines[1:-1]), "the SSH signature")


def _decode(text: str, what: str) -> bytes:
    try:
        return decode64(text, what)
    except LogError as error:
        raise LogError(CHECK, error.what) from None


def _key(blob: bytes) -> RoleKey:
    reader = _Reader(blob)
    kind = reader.string()
    try:
        if kind == ED25519:
            key = RoleKey(KeyAlgorithm.ED25519, reader.string())
        elif kind == ECDSA and reader.string() == CURVE:
            key = RoleKey(KeyAlgorithm.ES256, _compressed(reader.string()))
        else:
            raise LogError(CHECK, "the SSH key is neither Ed25519 nor ECDSA P-256")
    except (ConfigError, ValueError):
        raise LogError(CHECK, "the SSH key is no point on its curve") from None
    reader.end()
    return key


def _compressed(point: bytes) -> bytes:
    if len(point) != 65:
        raise ValueError("not an uncompressed point")  # RFC 5656 allows others; OpenSSH writes only this
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    return public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def _signature(blob: bytes, algorithm: KeyAlgorithm) -> bytes:
    reader = _Reader(blob)
    if reader.string() != _KINDS[algorithm]:
        raise LogError(CHECK, "the SSH signature is of another kind than its key")
    raw = reader.string()
    reader.end()
    if algorithm is KeyAlgorithm.ED25519:
        return raw
    numbers = _Reader(raw)
    r, s = numbers.integer(), numbers.integer()
    numbers.end()
    return encode_dss_signature(r, s)
