"""What only a ceremony does with a token, beside `TokenSteps`: look, prove, take back what was interrupted, and seal.

A ceremony may be cut off between any two calls, and asks here what there is before it goes on. A custodians' PIN is
tried at most once in a step: a device may lock its security officer out after a few wrong ones.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pkcs11 import Attribute, KeyType, ObjectClass, Token, TokenFlag
from pkcs11 import exceptions as ck

from hsm_app.errors import TokenError
from hsm_app.token import carry
from hsm_app.token.device import device_call
from hsm_app.token.inventory import replica_objects, role_of
from hsm_app.token.keyspec import IDENTITY, LINK, MAKE_SECRET, ORIGIN, ROOT, SECRET_BITS, SECRET_MADE, SIGN, TRANSPORT
from hsm_app.token.location import find_token, login_officer, tokens_of
from hsm_app.token.objects import NO_DEFAULTS, find, find_one, mac
from hsm_app.token.recording import attribute_name, named
from hsm_app.token.steps import TokenSteps
from hsm_app.token.wrapping import Wrapper

OFFICER_PIN_BYTES = 24
_PRIVATE, _SECRET = ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY
OFFICER = (
    ("locked", TokenFlag.SO_PIN_LOCKED), ("final", TokenFlag.SO_PIN_FINAL_TRY), ("low", TokenFlag.SO_PIN_COUNT_LOW),
)  # fmt: skip
USER = (
    ("locked", TokenFlag.USER_PIN_LOCKED), ("final", TokenFlag.USER_PIN_FINAL_TRY),
    ("low", TokenFlag.USER_PIN_COUNT_LOW),
)  # fmt: skip
# What decides what a key may do and who may read it (PKCS#11 v3.0, sections 4.4 to 4.10).
RECORDED = (
    Attribute.CLASS, Attribute.KEY_TYPE, Attribute.LABEL, Attribute.TOKEN, Attribute.PRIVATE, Attribute.MODIFIABLE,
    Attribute.COPYABLE, Attribute.TRUSTED, Attribute.SENSITIVE, Attribute.ALWAYS_SENSITIVE, Attribute.EXTRACTABLE,
    Attribute.NEVER_EXTRACTABLE, Attribute.LOCAL, Attribute.WRAP_WITH_TRUSTED, Attribute.ENCRYPT, Attribute.DECRYPT,
    Attribute.SIGN, Attribute.SIGN_RECOVER, Attribute.VERIFY, Attribute.WRAP, Attribute.UNWRAP, Attribute.DERIVE,
)  # fmt: skip


class CeremonySteps(TokenSteps):
    """The steps on one token, each of its calls recorded. Every method raises TokenError."""

    def describe(self) -> dict[str, str]:
        """Return what the token says of itself; of a blank one, when none has the label yet.

        "state" is "blank" or "initialised"; "officer" and "user" say of their PINs "none", "ready", "low" (a wrong one
        was tried), "final" (one try is left) or "locked".
        """
        token = self._present()
        return {
            "label": self._location.label,
            "manufacturer": token.manufacturer_id,
            "model": token.model,
            "serial": token.serial.decode("ascii", "replace").strip(),
            "hardware": "{}.{}".format(*token.hardware_version),
            "firmware": "{}.{}".format(*token.firmware_version),
            "state": "initialised" if token.flags & TokenFlag.TOKEN_INITIALIZED else "blank",
            "officer": _pin_state(token, TokenFlag.TOKEN_INITIALIZED, OFFICER),
            "user": _pin_state(token, TokenFlag.USER_PIN_INITIALIZED, USER),
        }

    def finish_initialising(self, so_pin: str, user_pin: str) -> None:
        """Set the user PIN of a token whose initialisation was cut off, and log in to it."""
        self.close()
        officer = self._recorded(login_officer(self._present(), so_pin), "CKU_SO")
        try:
            officer.init_pin(user_pin)
        finally:
            officer.close()
        self.open(user_pin)

    @device_call("destroy its replica keys")
    def discard_replica_keys(self) -> None:
        """Destroy keys whose public halves were never written down: the token does not keep them."""
        for label in (IDENTITY, LINK):
            for key in find(self._user(), label, _PRIVATE):
                key.destroy()

    @device_call("look for the fleet root")
    def roots(self) -> dict[str, int]:
        """Return how many origins, roots and transport keys the token holds."""
        kinds = {ORIGIN: _SECRET, ROOT: _SECRET, TRANSPORT: _PRIVATE}
        return {label: len(find(self._user(), label, kind)) for label, kind in kinds.items()}

    def end_carry(self) -> None:
        """Destroy this token's transport keys: a recorded blob opens nowhere any more."""
        carry.discard_transport(self._user())

    def trusted_key(self) -> bytes:
        """Return the TRUSTED key as this token holds it, SubjectPublicKeyInfo DER."""
        return carry.trusted_key(self._user())

    def remove_trusted(self, so_pin: str) -> None:
        self._as_officer(so_pin, carry.remove_trusted)

    def discard_origin(self) -> None:
        carry.discard(self._user())

    @device_call("prove its root")
    def challenge_root(self, challenge: bytes, label: str) -> tuple[bytes, bytes]:
        """Wrap a fresh secret under the root of that label; return it with the secret's MAC over the challenge."""
        session = self._user()
        secret = session.generate_key(
            KeyType.GENERIC_SECRET, SECRET_BITS, mechanism=MAKE_SECRET, capabilities=NO_DEFAULTS, template=SECRET_MADE
        )
        try:
            return Wrapper(session, find_one(session, label, _SECRET)).wrap(secret), mac(secret, challenge)
        finally:
            secret.destroy()

    @device_call("prove its root")
    def answer_root(self, challenge: bytes, blob: bytes, label: str) -> bytes:
        """Return the MAC of the secret that `challenge_root` wrapped elsewhere."""
        secret = Wrapper(self._user(), find_one(self._user(), label, _SECRET)).unwrap_secret(blob)
        try:
            return mac(secret, challenge)
        finally:
            secret.destroy()

    @device_call("set another security officer's PIN")
    def retire_officer(self, so_pin: str) -> None:
        """Give the security officer a random PIN that leaves this process in no form: nobody is officer any more."""
        self._as_officer(so_pin, lambda officer: officer.set_pin(so_pin, secrets.token_urlsafe(OFFICER_PIN_BYTES)))

    def refuses_officer(self, so_pin: str) -> bool:
        """Try a PIN of the security officer once. Return True when the token refuses it."""
        self._end_session()
        self._note({"call": "C_Login", "user": "CKU_SO"})
        try:
            find_token(self._loaded(), self._location.label).open(rw=True, so_pin=so_pin).close()
        except ck.PinIncorrect:
            return True
        except ck.PKCS11Error as error:
            raise TokenError(f"the token neither took nor refused the officer's PIN: {type(error).__name__}") from error
        return False

    @device_call("sign with its identity key")
    def sign(self, message: bytes) -> bytes:
        """Return replica-identity's ECDSA signature over SHA-256 of `message`, DER."""
        key = find_one(self._user(), IDENTITY, _PRIVATE)
        raw = key.sign(hashlib.sha256(message).digest(), mechanism=SIGN, buffer_size=64)
        return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))

    @device_call("list its objects")
    def objects(self, *, sealed: bool) -> list[dict[str, Any]]:
        """Return each object's role in a finished replica ("" for one that has none there) and its attributes."""
        self._end_session()
        expected = replica_objects(sealed=sealed, anchored=False)
        return [
            {"role": role_of(thing, expected) or "", "attributes": _attributes(thing)}
            for thing in self._user().get_objects()
        ]

    @device_call("destroy its objects")
    def erase(self) -> int:
        """Destroy every object that the user of this token sees; return how many are left afterwards."""
        self._end_session()
        for thing in list(self._user().get_objects()):
            thing.destroy()
        return len(list(self._user().get_objects()))

    def _present(self) -> Token:
        tokens = tokens_of(self._loaded())
        initialised = [token for token in tokens if token.flags & TokenFlag.TOKEN_INITIALIZED]
        same = [token for token in initialised if token.label == self._location.label]
        if len(same) > 1:
            raise TokenError(f"{len(same)} tokens have the label {self._location.label!r}", "Take out all but one")
        blank = [token for token in tokens if token not in initialised]
        if not same and not blank:
            raise TokenError(
                f"there is neither a token {self._location.label!r} nor a blank one",
                "Connect the token; one that was used before has to be reset by its maker's tool first",
            )
        return (same or blank)[0]


def _attributes(thing: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in RECORDED:
        try:
            value = thing[key]
        except (ck.AttributeTypeInvalid, ck.AttributeSensitive, ck.FunctionFailed):
            continue
        found[attribute_name(key)] = value if isinstance(value, bool | str) else named(value)
    return found


def _pin_state(token: Token, is_set: TokenFlag, states: Sequence[tuple[str, TokenFlag]]) -> str:
    if not token.flags & is_set:
        return "none"
    return next((word for word, flag in states if token.flags & flag), "ready")
