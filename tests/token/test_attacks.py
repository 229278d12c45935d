"""Attacks by someone who holds the user PIN, the host, and every blob that was ever written or sent.

Each attack is one function. It is run twice: on keys made with a deliberately weak template, where it has to succeed
(so we know that the attack works), and on keys made as `keyspec` says, where the device has to refuse it, and for the
reason stated.

Covered
- a recorded transport blob, unwrapped into a readable root; and after the carry, when nothing opens it any more
- a blob under `fleet-root` (a record's key), unwrapped into a readable key
- a copy of the root made before it was sealed
- CKA_DECRYPT switched on later, and key wrap undone with single AES blocks
- a copy of the security officer's TRUSTED object, used after the original was removed
- the attacker's own AES key, or own "TRUSTED" RSA key, as wrapper of the root
- EXTRACTABLE switched back on
- blobs taken for another type: an EC key as a readable secret, a secret as an AES key that decrypts or unwraps, and a
  key under the root kept on the token for later
- exchanged and forged fleet keys: KEM for OPAQUE, seal for id, the attacker's own key in place of the fleet's

Not covered
- Using the keys where they are. Who holds the user PIN can derive, sign and MAC without counting; the bound on guesses
  stands on the application, not on the token.
- The time of the carry itself: while the transport key lives, the user PIN could install the root without its
  CKA_UNWRAP_TEMPLATE (SoftHSM takes no array inside an array). `test_inventory` finds such a root.
- A secret's blob unwrapped as an AES key that only encrypts or wraps. It shows no key.
- The security officer's PIN: it sets a new user PIN and new TRUSTED keys. A sealed fleet throws it away.
- Reading SoftHSM's files, memory, timing, and faults: that is what hardware is for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, PKCS11Error, Session

from hsm_app.errors import TokenError
from hsm_app.token import carry
from hsm_app.token import keyspec as ks
from hsm_app.token.device import code_of
from hsm_app.token.fleet_keys import FleetKeys, load_fleet_keys, make_fleet_keys
from hsm_app.token.location import TokenLocation
from hsm_app.token.mapper import Template
from hsm_app.token.objects import NO_DEFAULTS, find_one, make_ec_pair
from hsm_app.token.wrapping import Wrapper
from tests.token.fresh import ReplicaToken, officer, user

READABLE: Template = {Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}
OPEN: Template = {Attribute.COPYABLE: True, Attribute.MODIFIABLE: True}
PROHIBITED = "CKR_ACTION_PROHIBITED"
INCONSISTENT = "CKR_TEMPLATE_INCONSISTENT"


def without(template: Template, *keys: Attribute) -> Template:
    return {key: value for key, value in template.items() if key not in keys}


def make_root(session: Session, template: Template) -> Any:
    return session.generate_key(KeyType.AES, 256, mechanism=ks.MAKE_AES, capabilities=NO_DEFAULTS, template=template)


def make_transport(session: Session, template: Template) -> tuple[Any, Any]:
    return session.generate_keypair(
        KeyType.RSA,
        ks.RSA_BITS,
        mechanism=ks.MAKE_RSA,
        capabilities=NO_DEFAULTS,
        public_template=ks.TRANSPORT_PUBLIC,
        private_template=template,
    )


def record_blob(session: Session, root: Any) -> bytes:
    """Return what the store holds of a record's key: the attacker has it."""
    _, private = make_ec_pair(session, ks.EC_PUBLIC_MADE, ks.EC_MADE)
    blob: bytes = root.wrap_key(private, mechanism=ks.WRAP)
    private.destroy()
    return blob


def secret_blob(session: Session, root: Any) -> bytes:
    secret = session.generate_key(
        KeyType.GENERIC_SECRET, 256, mechanism=ks.MAKE_SECRET, capabilities=NO_DEFAULTS, template=ks.SECRET_MADE
    )
    blob: bytes = root.wrap_key(secret, mechanism=ks.WRAP)
    secret.destroy()
    return blob


def opens(session: Session, root: Any, stolen: bytes) -> bool:
    """Say whether `stolen` is the value of the root: key wrap is authenticated, so a wrong key opens nothing."""
    return len(aes_key_unwrap_with_padding(stolen, record_blob(session, root))) > 32


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(PKCS11Error) as caught:
        yield
    assert code_of(caught.value) == code


def unwrap(key: Any, blob: bytes, template: Template, mechanism: Mechanism, parameters: Any = None) -> Any:
    return key.unwrap_key(
        template[Attribute.CLASS],
        template[Attribute.KEY_TYPE],
        blob,
        mechanism=mechanism,
        mechanism_param=parameters,
        capabilities=NO_DEFAULTS,
        template=template,
    )


# --- the recorded transport blob --------------------------------------------------------------------------------------


def open_transport_blob(transport: Any, blob: bytes) -> bytes:
    template = {**ks.AES, Attribute.TOKEN: False, **READABLE}
    value: bytes = unwrap(transport, blob, template, ks.CARRY, ks.CARRY_PARAMETERS)[Attribute.VALUE]
    return value


def carried(session: Session, transport_template: Template) -> tuple[Any, Any, bytes]:
    public, private = make_transport(session, transport_template)
    root = make_root(session, without(ks.ORIGIN_KEY, Attribute.WRAP_WITH_TRUSTED))
    blob: bytes = public.wrap_key(root, mechanism=ks.CARRY, mechanism_param=ks.CARRY_PARAMETERS)
    return root, private, blob


def test_a_recorded_transport_blob_opens_under_a_weak_transport_key(location: TokenLocation) -> None:
    with user(location) as session:
        root, transport, blob = carried(session, without(ks.TRANSPORT_KEY, Attribute.UNWRAP_TEMPLATE))
        assert opens(session, root, open_transport_blob(transport, blob))


@pytest.mark.parametrize("template", [ks.TRANSPORT_KEY, ks.MAINTAINED_TRANSPORT_KEY], ids=["sealed", "maintained"])
def test_a_recorded_transport_blob_opens_to_nothing_readable(location: TokenLocation, template: Template) -> None:
    with user(location) as session:
        _, transport, blob = carried(session, template)
        with refused(INCONSISTENT):
            open_transport_blob(transport, blob)
        decrypting = {**without(ks.ROOT_KEY, Attribute.UNWRAP_TEMPLATE), Attribute.DECRYPT: True}
        with refused(INCONSISTENT):
            unwrap(transport, blob, decrypting, ks.CARRY, ks.CARRY_PARAMETERS)


def test_after_the_carry_no_key_is_left_that_opens_the_transport_blob(replica: ReplicaToken) -> None:
    with user(replica.location) as session:
        assert not list(session.get_objects({Attribute.KEY_TYPE: KeyType.RSA}))


# --- blobs under the root ---------------------------------------------------------------------------------------------


def open_record_blob(root: Any, blob: bytes) -> bytes:
    template = {**ks.EC_PRIVATE, Attribute.TOKEN: False, **READABLE}
    value: bytes = unwrap(root, blob, template, ks.WRAP)[Attribute.VALUE]
    return value


def open_as_secret(root: Any, blob: bytes) -> bytes:
    """A record's key taken for a secret: PKCS#8, with the scalar in it."""
    template = {**ks.GENERIC, Attribute.TOKEN: False, **READABLE}
    value: bytes = unwrap(root, blob, template, ks.WRAP)[Attribute.VALUE]
    return value


def test_a_record_blob_opens_under_a_weak_root(location: TokenLocation) -> None:
    with user(location) as session:
        root = make_root(session, without(ks.ROOT_KEY, Attribute.UNWRAP_TEMPLATE))
        blob = record_blob(session, root)
        assert open_record_blob(root, blob) in open_as_secret(root, blob)


@pytest.mark.parametrize("attack", [open_record_blob, open_as_secret], ids=["as what it is", "as a secret"])
def test_a_record_blob_opens_to_nothing_readable(replica: ReplicaToken, attack: Callable[[Any, bytes], bytes]) -> None:
    with user(replica.location) as session:
        root = find_one(session, ks.ROOT, ObjectClass.SECRET_KEY)
        blob = record_blob(session, root)
        with refused(INCONSISTENT):
            attack(root, blob)
        unwrap(root, blob, ks.EC_UNWRAPPED | ks.EC_PRIVATE, ks.WRAP).destroy()  # the blob itself is good


# What a secret's blob could become when the root only demands that it stay unreadable.
ROLES = {
    "an AES key that decrypts": {Attribute.DECRYPT: True},
    "an AES key that unwraps": {Attribute.UNWRAP: True},
    "a key that stays on the token": {Attribute.TOKEN: True},
    "a key that can be changed later": {Attribute.MODIFIABLE: True},
    "a key that can be copied": {Attribute.COPYABLE: True},
}
AS_AES: Template = {
    **ks.AES,
    **{key: value for key, value in ks.UNDER_ROOT.items() if key is not Attribute.MODIFIABLE},
    Attribute.MODIFIABLE: False,
}


@pytest.mark.parametrize("role", ROLES.values(), ids=ROLES.keys())
def test_under_a_weak_root_a_secret_becomes(location: TokenLocation, role: Template) -> None:
    demands = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
    with user(location) as session:
        root = make_root(session, {**ks.ROOT_KEY, Attribute.UNWRAP_TEMPLATE: demands})
        unwrap(root, secret_blob(session, root), {**AS_AES, **role}, ks.WRAP)


@pytest.mark.parametrize("role", ROLES.values(), ids=ROLES.keys())
def test_under_the_fleet_root_no_secret_becomes(replica: ReplicaToken, role: Template) -> None:
    with user(replica.location) as session:
        root = find_one(session, ks.ROOT, ObjectClass.SECRET_KEY)
        blob = secret_blob(session, root)
        with refused(INCONSISTENT):
            unwrap(root, blob, {**AS_AES, **role}, ks.WRAP)
        unwrap(root, blob, AS_AES, ks.WRAP).destroy()  # refused for the role, not for anything else


# --- the root's own rights --------------------------------------------------------------------------------------------


def copy_then_wrap(session: Session, root: Any, seal: Callable[[], None]) -> bytes:
    """Copy the root, let the ceremony seal the original, and wrap the copy under a key of one's own."""
    copy = root.copy({Attribute.TOKEN: True, Attribute.LABEL: "mine"})
    seal()
    return wrap_under_own_key(session, copy)


def wrap_under_own_key(session: Session, root: Any) -> bytes:
    own = bytes(range(32))
    wrapper: Any = session.create_object(
        {**ks.AES, Attribute.TOKEN: False, Attribute.VALUE: own, Attribute.WRAP: True, Attribute.UNWRAP: True}
    )
    return aes_key_unwrap_with_padding(own, wrapper.wrap_key(root, mechanism=ks.WRAP))


def test_an_early_copy_of_a_weak_root_outlives_its_sealing(location: TokenLocation) -> None:
    with user(location) as session:
        root = make_root(session, {**ks.ROOT_KEY, **READABLE, Attribute.SENSITIVE: True, **OPEN})

        def seal() -> None:
            root[Attribute.EXTRACTABLE] = False

        assert opens(session, root, copy_then_wrap(session, root, seal))


@pytest.mark.parametrize("template", [ks.ORIGIN_KEY, ks.MAINTAINED_ROOT_KEY], ids=["origin", "maintained root"])
def test_the_root_cannot_be_copied(location: TokenLocation, template: Template) -> None:
    with user(location) as session, refused(PROHIBITED):
        copy_then_wrap(session, make_root(session, template), lambda: None)


def test_the_installed_root_cannot_be_copied(replica: ReplicaToken) -> None:
    with user(replica.location) as session, refused(PROHIBITED):
        copy_then_wrap(session, find_one(session, ks.ROOT, ObjectClass.SECRET_KEY), lambda: None)


def test_the_attackers_own_key_wraps_a_weak_root(location: TokenLocation) -> None:
    with user(location) as session:
        root = make_root(session, {**ks.ORIGIN_KEY, Attribute.WRAP_WITH_TRUSTED: False})
        assert opens(session, root, wrap_under_own_key(session, root))


@pytest.mark.parametrize("template", [ks.ORIGIN_KEY, ks.MAINTAINED_ROOT_KEY], ids=["origin", "maintained root"])
def test_the_attackers_own_key_does_not_wrap_the_root(location: TokenLocation, template: Template) -> None:
    with user(location) as session:
        root = make_root(session, template)
        with refused("CKR_KEY_NOT_WRAPPABLE"):
            wrap_under_own_key(session, root)


def test_a_sealed_root_is_wrapped_by_nobody(replica: ReplicaToken) -> None:
    with user(replica.location) as session:
        root = find_one(session, ks.ROOT, ObjectClass.SECRET_KEY)
        with refused("CKR_KEY_UNEXTRACTABLE"):
            wrap_under_own_key(session, root)
        for key, value in {Attribute.EXTRACTABLE: True, Attribute.WRAP_WITH_TRUSTED: False}.items():
            with refused(PROHIBITED):
                root[key] = value


def decrypt_by_blocks(root: Any, blob: bytes) -> bytes:
    """Switch CKA_DECRYPT on and undo key wrap (RFC 3394 section 2.2.2) with single AES blocks."""
    root[Attribute.DECRYPT] = True
    unlocked = root.session.get_key(label=ks.ROOT)  # the library looks at the rights when it finds a key
    a, blocks = blob[:8], [blob[i : i + 8] for i in range(8, len(blob), 8)]
    for step in range(6 * len(blocks), 0, -1):
        i = (step - 1) % len(blocks)
        mixed = (int.from_bytes(a, "big") ^ step).to_bytes(8, "big") + blocks[i]
        plain: bytes = unlocked.decrypt(mixed, mechanism=Mechanism.AES_ECB)
        a, blocks[i] = plain[:8], plain[8:]
    return b"".join(blocks)


def test_a_weak_root_learns_to_decrypt_later(location: TokenLocation) -> None:
    with user(location) as session:
        root = make_root(session, {**without(ks.ROOT_KEY, Attribute.UNWRAP_TEMPLATE), **OPEN})
        blob = record_blob(session, root)
        assert open_record_blob(root, blob) in decrypt_by_blocks(root, blob)


def test_the_root_never_learns_to_decrypt(replica: ReplicaToken) -> None:
    with user(replica.location) as session:
        root = find_one(session, ks.ROOT, ObjectClass.SECRET_KEY)
        with refused(PROHIBITED):
            decrypt_by_blocks(root, record_blob(session, root))


# --- TRUSTED ----------------------------------------------------------------------------------------------------------


def software_transport_key() -> tuple[rsa.RSAPrivateKey, bytes]:
    """Return the transport key of a token that the attacker has taken apart."""
    key = rsa.generate_private_key(65_537, ks.RSA_BITS)
    return key, key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def copied_trusted_key(location: TokenLocation, monkeypatch: pytest.MonkeyPatch, template: Template) -> bytes:
    """Copy the TRUSTED key while it is there, wait for the officer to remove it, and wrap the root under the copy."""
    taken, spki = software_transport_key()
    monkeypatch.setattr(carry, "TRUSTED_KEY", template)
    with user(location) as session:
        make_root(session, ks.MAINTAINED_ROOT_KEY)
    with officer(location) as session:
        carry.place_trusted(session, spki)
    with user(location) as session:
        trusted = find_one(session, ks.TRUSTED, ObjectClass.PUBLIC_KEY)
        trusted.copy({Attribute.TOKEN: True, Attribute.LABEL: "mine"})
    with officer(location) as session:
        carry.remove_trusted(session)
    with user(location) as session:
        copy: Any = session.get_key(label="mine")
        root = find_one(session, ks.ROOT, ObjectClass.SECRET_KEY)
        blob = copy.wrap_key(root, mechanism=ks.CARRY, mechanism_param=ks.CARRY_PARAMETERS)
        stolen = taken.decrypt(blob, padding.OAEP(padding.MGF1(SHA1()), SHA1(), None))
        assert opens(session, root, stolen)
        return stolen


def test_a_copy_of_a_weak_trusted_key_stays_trusted(location: TokenLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert copied_trusted_key(location, monkeypatch, {**ks.TRUSTED_KEY, **OPEN})


def test_the_trusted_key_cannot_be_copied(location: TokenLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    with refused(PROHIBITED):
        copied_trusted_key(location, monkeypatch, ks.TRUSTED_KEY)


def test_a_user_cannot_make_a_trusted_key(location: TokenLocation) -> None:
    _, spki = software_transport_key()
    with user(location) as session:
        with pytest.raises(TokenError, match="CKR_ATTRIBUTE_READ_ONLY"):
            carry.place_trusted(session, spki)
        public, _ = make_transport(session, ks.TRANSPORT_KEY)
        with pytest.raises(PKCS11Error):
            public[Attribute.TRUSTED] = True


def test_a_user_does_not_wrap_the_root_under_a_key_that_is_not_trusted(location: TokenLocation) -> None:
    with user(location) as session:
        public, _ = make_transport(session, ks.TRANSPORT_KEY)
        with refused("CKR_KEY_NOT_WRAPPABLE"):
            public.wrap_key(make_root(session, ks.ORIGIN_KEY), mechanism=ks.CARRY, mechanism_param=ks.CARRY_PARAMETERS)


# --- exchanged and forged fleet keys ----------------------------------------------------------------------------------


def forged(session: Session, wrapper: Wrapper) -> FleetKeys:
    """Fleet keys of the attacker's own making, under the fleet's own root."""
    return make_fleet_keys(session, wrapper)[0]


EXCHANGES: dict[str, Callable[[FleetKeys, FleetKeys], FleetKeys]] = {
    "the KEM's blob in OPAQUE's place": lambda real, _: replace(real, opaque=replace(real.opaque, blob=real.kem.blob)),
    "OPAQUE's key in the KEM's place": lambda real, _: replace(real, kem=real.opaque),
    "the seal's blob in the id's place": lambda real, _: replace(real, id=real.seal),
    "the id's blob in the seal's place": lambda real, _: replace(real, seal=real.id),
    "an EC key in the seal's place": lambda real, _: replace(real, seal=real.kem.blob),
    "a secret in the KEM's place": lambda real, _: replace(real, kem=replace(real.kem, blob=real.seal)),
    "the attacker's KEM key": lambda real, own: replace(real, kem=own.kem),
    "the attacker's KEM key under the fleet's public key": lambda real, own: replace(
        real, kem=replace(own.kem, public=real.kem.public)
    ),
    "the attacker's sealing key": lambda real, own: replace(real, seal=own.seal),
}


@pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES.keys())
def test_exchanged_fleet_keys_are_refused(
    replica: ReplicaToken, exchange: Callable[[FleetKeys, FleetKeys], FleetKeys]
) -> None:
    with user(replica.location) as session:
        wrapper = Wrapper(session, find_one(session, ks.ROOT, ObjectClass.SECRET_KEY))
        before = len(list(session.get_objects()))
        load_fleet_keys(wrapper, replica.fleet_keys, replica.commitments)
        exchanged = exchange(replica.fleet_keys, forged(session, wrapper))
        with pytest.raises(TokenError, match=r"is not the key that the manifest names|failed to open the fleet keys"):
            load_fleet_keys(wrapper, exchanged, replica.commitments)
        assert len(list(session.get_objects())) == before + 4  # what was opened before the refusal is gone again


def test_key_wrap_itself_takes_a_seal_for_an_id(replica: ReplicaToken) -> None:
    """The weak way, without commitments: nothing in the blob says what it is."""
    with user(replica.location) as session:
        wrapper = Wrapper(session, find_one(session, ks.ROOT, ObjectClass.SECRET_KEY))
        wrapper.unwrap_secret(replica.fleet_keys.seal).destroy()
        wrapper.unwrap_secret(replica.fleet_keys.kem.blob).destroy()
        wrapper.unwrap_ec(replica.fleet_keys.kem.blob).destroy()
