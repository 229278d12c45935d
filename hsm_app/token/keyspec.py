"""Every key of the vault: mechanism, parameters and full templates, as data. Nothing else in the room invents one.

| label | kind | lives | may | made |
|---|---|---|---|---|
| `replica-identity` | EC P-256 | one token | sign | in the token |
| `replica-link` | EC P-256 | one token | derive | in the token |
| `replica-transport` | RSA-3072 | one token, for one carry | unwrap | in the token |
| `fleet-root` | AES-256 | every token of the fleet | wrap, unwrap | in the first token (`fleet-root-origin`), carried |
| `fleet-kem`, `fleet-opaque` | EC P-256 | blob under the root; session object while running | derive | in a token |
| `fleet-seal`, `fleet-id` | generic secret | likewise | sign (HMAC-SHA256) | in a token |
| record key | EC P-256 | blob in its record; session object for one request | derive | in a token |
| of an auditor or operator | EC P-256 or Ed25519 | a token of theirs | sign | in the token |
| `replica-anchor` | data | one token, replaced with every batch of votes | be read | by the replica |

Templates state every attribute that decides what a key may do, because the defaults differ: SoftHSM lets a private
key sign, decrypt and unwrap unless told otherwise, and python-pkcs11 never says EXTRACTABLE.

A public half is a session object (and short-lived): tokens keep no point in a private object, so the public keys live
in the manifest. `ORIGIN` and the `*_MADE` keys are extractable, since they have to be wrapped once; they are
destroyed right after that, and what runs is the unwrapped key. Section numbers are PKCS#11 v3.0's.
"""

from __future__ import annotations

from asn1crypto.keys import ECDomainParameters
from pkcs11 import MGF, Attribute, KeyType, Mechanism, ObjectClass

from hsm_app.token.mapper import Packed, Template, pack

P256 = ECDomainParameters(name="named", value="secp256r1").dump()  # section 2.3.3
ED25519 = bytes.fromhex("06032b6570")  # the OID 1.3.101.112 (RFC 8410), as section 2.3.3 allows
SECRET_BITS = 256
RSA_BITS = 3072

MAKE_EC, MAKE_RSA = Mechanism.EC_KEY_PAIR_GEN, Mechanism.RSA_PKCS_KEY_PAIR_GEN
MAKE_AES, MAKE_SECRET = Mechanism.AES_KEY_GEN, Mechanism.GENERIC_SECRET_KEY_GEN
MAKE_EDWARDS, EDDSA = Mechanism.EC_EDWARDS_KEY_PAIR_GEN, Mechanism.EDDSA  # section 2.3.13
SIGN, DERIVE, MAC = Mechanism.ECDSA, Mechanism.ECDH1_DERIVE, Mechanism.SHA256_HMAC
WRAP = Mechanism.AES_KEY_WRAP_PAD  # section 2.14.3; authenticated, and takes PKCS#8 of any length
CARRY = Mechanism.RSA_PKCS_OAEP
CARRY_PARAMETERS = (
    Mechanism.SHA_1,
    MGF.SHA1,
    None,
)  # all that SoftHSM 2.6.1 offers; OAEP needs no collision resistance

IDENTITY, LINK, TRANSPORT = "replica-identity", "replica-link", "replica-transport"
ROOT, ORIGIN, TRUSTED = "fleet-root", "fleet-root-origin", "fleet-carry-trusted"
ANCHOR = "replica-anchor"
KEM, OPAQUE, SEAL, ID = "fleet-kem", "fleet-opaque", "fleet-seal", "fleet-id"

_PRIVATE_USES = (Attribute.DECRYPT, Attribute.SIGN, Attribute.SIGN_RECOVER, Attribute.UNWRAP, Attribute.DERIVE)
_PUBLIC_USES = (Attribute.ENCRYPT, Attribute.VERIFY, Attribute.VERIFY_RECOVER, Attribute.WRAP, Attribute.DERIVE)
_SECRET_USES = (
    Attribute.ENCRYPT,
    Attribute.DECRYPT,
    Attribute.SIGN,
    Attribute.VERIFY,
    Attribute.WRAP,
    Attribute.UNWRAP,
    Attribute.DERIVE,
)


def _may(uses: tuple[Attribute, ...], *allowed: Attribute) -> Template:
    """State every use: true for `allowed`, false for all others."""
    return {use: use in allowed for use in uses}


def _key(*parts: Template) -> Template:
    """Join the parts of a template, later ones first in rank, with MODIFIABLE at the end: SoftHSM reads a template in
    order, and refuses what comes after MODIFIABLE=false in an unwrap."""
    joined = {key: value for part in parts for key, value in part.items()}
    modifiable = joined.pop(Attribute.MODIFIABLE, False)
    return {**joined, Attribute.MODIFIABLE: modifiable}


# Who may read it, and whether it may be copied into something weaker (sections 4.4, 4.7).
SEALED: Template = {
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.WRAP_WITH_TRUSTED: False,  # never wrapped at all
    Attribute.COPYABLE: False,
}
TO_BE_WRAPPED: Template = {**SEALED, Attribute.EXTRACTABLE: True}
TO_BE_CARRIED: Template = {**TO_BE_WRAPPED, Attribute.WRAP_WITH_TRUSTED: True}

EC_PRIVATE: Template = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.KEY_TYPE: KeyType.EC}
GENERIC: Template = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.GENERIC_SECRET}
AES: Template = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES}
ON_TOKEN: Template = {Attribute.TOKEN: True}
IN_SESSION: Template = {Attribute.TOKEN: False}

_SIGNS = _may(_PRIVATE_USES, Attribute.SIGN)
_DERIVES = _may(_PRIVATE_USES, Attribute.DERIVE)
_MACS = _may(_SECRET_USES, Attribute.SIGN)
_WRAPS = _may(_SECRET_USES, Attribute.WRAP, Attribute.UNWRAP)

# What any key unwrapped under the root has to be, whoever asks: the device refuses a caller that states less.
# The uses listed are those that private and secret keys share; no key under the root ever decrypts or unwraps.
UNDER_ROOT: Template = {
    Attribute.TOKEN: False,
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.MODIFIABLE: False,
    Attribute.COPYABLE: False,
    Attribute.DECRYPT: False,
    Attribute.UNWRAP: False,
}

# --- replica keys ----------------------------------------------------------------------------------------------------
EC_PUBLIC: Template = {
    Attribute.CLASS: ObjectClass.PUBLIC_KEY,
    Attribute.KEY_TYPE: KeyType.EC,
    Attribute.EC_PARAMS: P256,
    Attribute.TOKEN: False,
    Attribute.PRIVATE: False,
    **_may(_PUBLIC_USES),
}
IDENTITY_KEY = _key(EC_PRIVATE, ON_TOKEN, {Attribute.LABEL: IDENTITY}, SEALED, _SIGNS)
EDWARDS_PUBLIC: Template = {**EC_PUBLIC, Attribute.KEY_TYPE: KeyType.EC_EDWARDS, Attribute.EC_PARAMS: ED25519}
EDWARDS_PRIVATE: Template = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.KEY_TYPE: KeyType.EC_EDWARDS}


def role_key(label: str) -> Template:
    """An auditor's or operator's ECDSA key, in a token of its own."""
    return _key(EC_PRIVATE, ON_TOKEN, {Attribute.LABEL: label}, SEALED, _SIGNS)


def edwards_role_key(label: str) -> Template:
    """The same as Ed25519."""
    return _key(EDWARDS_PRIVATE, ON_TOKEN, {Attribute.LABEL: label}, SEALED, _SIGNS)


LINK_KEY = _key(EC_PRIVATE, ON_TOKEN, {Attribute.LABEL: LINK}, SEALED, _DERIVES)

# Not a key: what the token remembers of the replica's store. VALUE is added. Never changed, only replaced.
ANCHOR_DATA: Template = {
    Attribute.CLASS: ObjectClass.DATA,
    **ON_TOKEN,
    Attribute.LABEL: ANCHOR,
    Attribute.PRIVATE: True,
    Attribute.COPYABLE: False,
    Attribute.MODIFIABLE: False,
}
ANCHOR_OBJECT: Packed = pack(ANCHOR_DATA)
DATA_FOUND: Packed = pack({Attribute.CLASS: ObjectClass.DATA})
ANCHOR_FOUND: Packed = pack({Attribute.CLASS: ObjectClass.DATA, **ON_TOKEN, Attribute.LABEL: ANCHOR})

# --- the root and its journey ----------------------------------------------------------------------------------------
ROOT_KEY = _key(AES, ON_TOKEN, {Attribute.LABEL: ROOT}, SEALED, _WRAPS, {Attribute.UNWRAP_TEMPLATE: UNDER_ROOT})
MAINTAINED_ROOT_KEY = _key(ROOT_KEY, TO_BE_CARRIED)
ORIGIN_KEY = _key(MAINTAINED_ROOT_KEY, {Attribute.LABEL: ORIGIN})


def _carried(root: Template) -> Template:
    """All that `root` says, but for its name and the array: SoftHSM takes no array inside an array."""
    return {key: value for key, value in root.items() if key not in (Attribute.LABEL, Attribute.UNWRAP_TEMPLATE)}


_RSA_PRIVATE: Template = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.KEY_TYPE: KeyType.RSA}
TRANSPORT_KEY = _key(
    _RSA_PRIVATE,
    ON_TOKEN,
    {Attribute.LABEL: TRANSPORT},
    SEALED,
    _may(_PRIVATE_USES, Attribute.UNWRAP),
    {Attribute.UNWRAP_TEMPLATE: _carried(ROOT_KEY)},
)
MAINTAINED_TRANSPORT_KEY = _key(TRANSPORT_KEY, {Attribute.UNWRAP_TEMPLATE: _carried(MAINTAINED_ROOT_KEY)})
TRANSPORT_PUBLIC: Template = {
    Attribute.CLASS: ObjectClass.PUBLIC_KEY,
    Attribute.KEY_TYPE: KeyType.RSA,
    Attribute.TOKEN: False,
    Attribute.PRIVATE: False,
    Attribute.PUBLIC_EXPONENT: b"\x01\x00\x01",
    Attribute.MODULUS_BITS: RSA_BITS,
    **_may(_PUBLIC_USES, Attribute.WRAP),
}
# Made by the security officer only: a user session can neither set TRUSTED nor copy this one. MODULUS is added.
TRUSTED_KEY: Template = {
    Attribute.CLASS: ObjectClass.PUBLIC_KEY,
    Attribute.KEY_TYPE: KeyType.RSA,
    **ON_TOKEN,
    Attribute.LABEL: TRUSTED,
    Attribute.PRIVATE: False,
    Attribute.TRUSTED: True,
    Attribute.COPYABLE: False,
    **_may(_PUBLIC_USES[:-1], Attribute.WRAP),
    Attribute.MODIFIABLE: False,
}

# --- fleet keys and record keys: as made (once, to be wrapped), and as unwrapped (what runs) --------------------------
EC_MADE: Packed = pack(_key(EC_PRIVATE, IN_SESSION, TO_BE_WRAPPED, _DERIVES))
EC_PUBLIC_MADE: Packed = pack(EC_PUBLIC)
SECRET_MADE: Packed = pack(_key(GENERIC, IN_SESSION, TO_BE_WRAPPED, _MACS, {Attribute.VALUE_LEN: 32}))
EC_UNWRAPPED: Packed = pack(_key(EC_PRIVATE, IN_SESSION, SEALED, _DERIVES))
SECRET_UNWRAPPED: Packed = pack(_key(GENERIC, IN_SESSION, SEALED, _MACS))

# --- results of one ECDH (CKM_ECDH1_DERIVE with the NULL KDF: the x coordinate) ---------------------------------------
_RESULT: Template = {**GENERIC, **IN_SESSION, Attribute.VALUE_LEN: 32}
# Read at once, then destroyed: the public API has no other way to x(kP). Not PRIVATE: that would only keep it from
# sessions of this same program that have not logged in, and SoftHSM encrypts private values in memory (a tenth of the
# whole derive).
_READABLE: Template = {Attribute.PRIVATE: False, Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}
SHARED_X: Packed = pack({**_RESULT, **_READABLE, **_may(_SECRET_USES)})
LINK_SECRET: Packed = pack(_key(_RESULT, SEALED, _MACS))  # stays in the token; keys come from it by HMAC
