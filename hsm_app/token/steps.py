"""What a ceremony does with one token: each step logs in as whom it needs, and leaves the token consistent.

A security officer's session excludes every other session of the token (PKCS#11 v3.0, section 5.6.8), so a step of the
officer closes the user's session first and opens it again afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from pkcs11 import ObjectClass, Session

from hsm_app.errors import TokenError
from hsm_app.token import carry
from hsm_app.token.anchor import create_first, destroy_all, files_of, incarnation_of
from hsm_app.token.device import device_call
from hsm_app.token.fleet_keys import FleetCommitments, FleetKeys, compressed, load_fleet_keys, make_fleet_keys
from hsm_app.token.initialise import initialise_token
from hsm_app.token.inventory import Row, check_inventory, check_root, replica_objects
from hsm_app.token.keyspec import EC_PUBLIC, IDENTITY, IDENTITY_KEY, LINK, LINK_KEY, ROOT
from hsm_app.token.location import TokenLocation, find_token, load_module, login, login_officer
from hsm_app.token.module import Module
from hsm_app.token.objects import find, find_one, make_ec_pair
from hsm_app.token.pin import Pin
from hsm_app.token.recording import Heard, Operation, RecordedSession
from hsm_app.token.wrapping import Wrapper


class TokenSteps:
    """The steps on one token. Every method raises TokenError."""

    def __init__(self, location: TokenLocation, heard: Heard | None = None) -> None:
        """`heard` is told of every call that matters to a transcript; None records nothing."""
        self._location = location
        self._heard = heard
        self._module: Module | None = None
        self._session: Session | None = None
        self._pin: Pin | None = None
        self._sealed: bool | None = None

    def initialise(self, so_pin: str, user_pin: str) -> None:
        """Initialise a blank token, and log in to it."""
        self.close()
        self._note({"call": "C_InitToken", "label": self._location.label})
        initialise_token(self._location, so_pin, user_pin)
        self._note({"call": "C_InitPIN"})
        self.open(user_pin)

    def open(self, user_pin: str) -> None:
        """Log in to a token that was initialised before."""
        self.close()
        self._pin = Pin(user_pin)
        self._user()

    @device_call("make its replica keys")
    def make_replica_keys(self) -> tuple[bytes, bytes]:
        """Make identity and link key; return their public points (33 bytes each), which the token does not keep."""
        session = self._user()
        if find(session, IDENTITY, ObjectClass.PRIVATE_KEY) or find(session, LINK, ObjectClass.PRIVATE_KEY):
            raise TokenError("the token holds replica keys already", "They are made once; use a fresh token")
        identity, _ = make_ec_pair(session, EC_PUBLIC, IDENTITY_KEY)
        link, _ = make_ec_pair(session, EC_PUBLIC, LINK_KEY)
        return compressed(identity), compressed(link)

    def make_root(self) -> None:
        carry.make_root(self._user())

    def make_transport_key(self, *, sealed: bool) -> bytes:
        """Return the public key, SubjectPublicKeyInfo DER."""
        return carry.make_transport_key(self._user(), sealed=sealed)

    def place_trusted(self, so_pin: str, spki: bytes) -> None:
        self._as_officer(so_pin, lambda officer: carry.place_trusted(officer, spki))

    def wrap_root(self) -> bytes:
        return carry.wrap_root(self._user())

    def install_root(self, blob: bytes, *, sealed: bool) -> None:
        carry.install_root(self._user(), blob, sealed=sealed)
        self._sealed = sealed

    def finish_carry(self, so_pin: str) -> None:
        """Destroy transport keys, TRUSTED objects and the origin of the root."""
        carry.discard(self._user())
        self._as_officer(so_pin, carry.remove_trusted)

    def make_fleet_keys(self) -> tuple[FleetKeys, FleetCommitments]:
        return make_fleet_keys(self._user(), self._wrapper())

    def check_fleet_keys(self, keys: FleetKeys, commitments: FleetCommitments) -> None:
        """Load and prove the fleet keys, then let them go."""
        load_fleet_keys(self._wrapper(), keys, commitments)
        self._end_session()

    def create_first_anchor(self, content: bytes) -> None:
        """Create the anchor of the replica's empty store, durably. TokenError when the token holds one already."""
        create_first(self._user(), content)
        files_of(self._location).sync()

    def anchored_incarnation(self) -> int | None:
        """Return the incarnation that the token's anchor names, None when it holds no anchor that can be read."""
        return incarnation_of(self._user())

    def begin_incarnation(self, content: bytes) -> None:
        """Let this anchor take the place of all there are, durably: the replica begins anew with an empty store."""
        files = files_of(self._location)
        destroy_all(self._user())
        files.sync()
        create_first(self._user(), content)
        files.sync()

    def inventory(self, *, sealed: bool | None = None, anchored: bool = False) -> list[Row]:
        """Prove that the token holds a replica's three keys and nothing else; return a row for each.

        `sealed` says which rights the root has to have; left out, those that `install_root` was told. `anchored` says
        that the token has to hold the replica's one anchor too.
        """
        sealed = self._sealed if sealed is None else sealed
        if sealed is None:
            raise TokenError("it is not known whether this token belongs to a sealed fleet", "Say so")
        self._end_session()  # no session object of an earlier step is mistaken for one of the token's
        session = self._user()
        rows = check_inventory(session, replica_objects(sealed=sealed, anchored=anchored))
        check_root(session, self._root())
        return rows

    def close(self) -> None:
        self._session = None
        if self._module is not None:
            self._module.close()
            self._module = None

    def _user(self) -> Session:
        if self._session is None:
            if self._pin is None:
                raise TokenError("nobody has logged in to this token", "Call initialise or open first")
            self._session = self._recorded(
                login(find_token(self._loaded(), self._location.label), self._pin), "CKU_USER"
            )
        return self._session

    def _note(self, operation: Operation) -> None:
        if self._heard is not None:
            self._heard(operation)

    def _recorded(self, session: Session, user: str) -> Session:
        """Return the session, or what stands before it and tells of its calls."""
        if self._heard is None:
            return session
        self._heard({"call": "C_Login", "user": user})
        return cast(Session, RecordedSession(session, self._heard))

    def _loaded(self) -> Module:
        if self._module is None:
            self._module = load_module(self._location)
        return self._module

    def _root(self) -> object:
        return find_one(self._user(), ROOT, ObjectClass.SECRET_KEY)

    def _wrapper(self) -> Wrapper:
        return Wrapper(self._user(), self._root())

    @device_call("close its session")
    def _end_session(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            session.close()

    def _as_officer(self, so_pin: str, step: Callable[[Session], None]) -> None:
        self._end_session()
        officer = self._recorded(login_officer(find_token(self._loaded(), self._location.label), so_pin), "CKU_SO")
        try:
            step(officer)
        finally:
            self._session = officer
            self._end_session()
