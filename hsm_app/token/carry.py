"""The journey of `fleet-root` from the token that made it to every token of the fleet, the first included.

1. `make_root`: an extractable key, the origin, that only a TRUSTED key may wrap (CKA_WRAP_WITH_TRUSTED).
2. For each token: `make_transport_key` there; `place_trusted` of its public key on the first token, by the security
   officer, since no user session can set CKA_TRUSTED; `wrap_root`; `install_root` there.
3. `discard`: transport keys and the origin are destroyed. `remove_trusted`: the TRUSTED objects are.

Unwrapping must not reopen what was closed, so the transport key carries CKA_UNWRAP_TEMPLATE: the root arrives with
the rights of the final template or not at all, and a recorded blob opens to nothing else. The first token's root goes
the same way: a key that was generated extractable has been open to its user once, one that arrives never was.

Not covered: SoftHSM takes no array inside an array, so the transport key cannot demand that the root carries its own
CKA_UNWRAP_TEMPLATE. Who holds the user PIN *while the transport key lives* could install a root without it. The
inventory at the end finds such an object; a session object dies with the session.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from pkcs11 import Attribute, KeyType, ObjectClass, Session

from hsm_app.errors import TokenError
from hsm_app.token.device import device_call
from hsm_app.token.keyspec import (
    CARRY,
    CARRY_PARAMETERS,
    MAINTAINED_ROOT_KEY,
    MAINTAINED_TRANSPORT_KEY,
    MAKE_AES,
    MAKE_RSA,
    ORIGIN,
    ORIGIN_KEY,
    ROOT,
    ROOT_KEY,
    RSA_BITS,
    SECRET_BITS,
    TRANSPORT,
    TRANSPORT_KEY,
    TRANSPORT_PUBLIC,
    TRUSTED,
    TRUSTED_KEY,
)
from hsm_app.token.objects import NO_DEFAULTS, find, find_one

_PUBLIC, _PRIVATE, _SECRET = ObjectClass.PUBLIC_KEY, ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY
EXPONENT = 65_537


@device_call("make the fleet root")
def make_root(session: Session) -> None:
    """Make the origin of the root in this token. TokenError when it holds a root already."""
    if find(session, ORIGIN, _SECRET) or find(session, ROOT, _SECRET):
        raise TokenError("the token holds a fleet root already", "A root is made once; use a fresh token")
    session.generate_key(KeyType.AES, SECRET_BITS, mechanism=MAKE_AES, capabilities=NO_DEFAULTS, template=ORIGIN_KEY)


@device_call("make a transport key")
def make_transport_key(session: Session, *, sealed: bool) -> bytes:
    """Make the RSA key that this token's root will arrive under; return its public half (SubjectPublicKeyInfo DER)."""
    private = TRANSPORT_KEY if sealed else MAINTAINED_TRANSPORT_KEY
    public, _ = session.generate_keypair(
        KeyType.RSA,
        RSA_BITS,
        mechanism=MAKE_RSA,
        capabilities=NO_DEFAULTS,
        public_template=TRANSPORT_PUBLIC,
        private_template=private,
    )
    modulus = public[Attribute.MODULUS]
    public.destroy()
    return _spki(modulus)


@device_call("read its TRUSTED key")
def trusted_key(session: Session) -> bytes:
    """Return the TRUSTED key of this token (SubjectPublicKeyInfo DER), to be compared with the one that was placed."""
    return _spki(find_one(session, TRUSTED, _PUBLIC)[Attribute.MODULUS])


def _spki(modulus: bytes) -> bytes:
    key = RSAPublicNumbers(EXPONENT, int.from_bytes(modulus, "big")).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@device_call("take a TRUSTED key (only the security officer can place one)")
def place_trusted(officer: Session, spki: bytes) -> None:
    """Place a transport key as the one TRUSTED key of this token; one that was there before goes."""
    modulus = _modulus(spki)
    remove_trusted(officer)
    officer.create_object(
        {**TRUSTED_KEY, Attribute.MODULUS: modulus, Attribute.PUBLIC_EXPONENT: EXPONENT.to_bytes(3, "big")}
    )


def _modulus(spki: bytes) -> bytes:
    try:
        key = load_der_public_key(spki)
    except ValueError as error:
        raise TokenError("the transport key is no public key", "Make it anew on its token") from error
    if not isinstance(key, RSAPublicKey) or key.key_size != RSA_BITS or key.public_numbers().e != EXPONENT:
        raise TokenError(f"the transport key is no RSA-{RSA_BITS} key", "Make it anew on its token")
    return key.public_numbers().n.to_bytes(RSA_BITS // 8, "big")


@device_call("wrap the fleet root under the TRUSTED key")
def wrap_root(session: Session) -> bytes:
    """Return the root under the TRUSTED key: of the origin, or of a maintained fleet's own root."""
    trusted = find_one(session, TRUSTED, _PUBLIC)
    root = find_one(session, ORIGIN if find(session, ORIGIN, _SECRET) else ROOT, _SECRET)
    blob: bytes = trusted.wrap_key(root, mechanism=CARRY, mechanism_param=CARRY_PARAMETERS)
    return blob


@device_call("install the fleet root")
def install_root(session: Session, blob: bytes, *, sealed: bool) -> None:
    """Unwrap the root with its final rights. TokenError when the token holds one, or the blob is not for this token."""
    if find(session, ROOT, _SECRET):
        raise TokenError("the token holds a fleet root already", "A root is installed once; use a fresh token")
    find_one(session, TRANSPORT, _PRIVATE).unwrap_key(
        _SECRET,
        KeyType.AES,
        blob,
        mechanism=CARRY,
        mechanism_param=CARRY_PARAMETERS,
        capabilities=NO_DEFAULTS,
        template=ROOT_KEY if sealed else MAINTAINED_ROOT_KEY,
    )


@device_call("destroy the keys of the carry")
def discard(session: Session) -> None:
    """Destroy transport keys and the origin: recorded blobs open nowhere any more."""
    discard_transport(session)
    for key in find(session, ORIGIN, _SECRET):
        key.destroy()


@device_call("destroy the transport key")
def discard_transport(session: Session) -> None:
    """Destroy this token's transport keys."""
    for key in find(session, TRANSPORT, _PRIVATE):
        key.destroy()


@device_call("remove the TRUSTED key")
def remove_trusted(officer: Session) -> None:
    """Destroy every TRUSTED key of this token."""
    for key in find(officer, TRUSTED, _PUBLIC):
        key.destroy()
