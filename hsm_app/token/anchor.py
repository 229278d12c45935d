"""The anchor in the token: a private data object, replaced by creating the new one and destroying the old one.

An object is never changed in place: devices that allow it truncate and write, and a kill in between loses it. Creating
first leaves at every moment one whole anchor in the token. Destroying is what decides between two processes that use
one token: the device lets exactly one of them succeed. The other one takes its own new object away again and fails.

SoftHSM never syncs the files it keeps its objects in. So, on SoftHSM, this adapter syncs the new object's file and the
token's directory itself, before the old object is destroyed. That destruction need not be durable when `replace`
returns: a loss of power may bring the old object back beside the new one, which is what a kill between the two leaves
as well, and the next creation syncs the directory again, so never more than one comes back. A real device has to keep
its objects through a loss of power by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeVar

from pkcs11 import Attribute, Session
from pkcs11 import exceptions as ck

from hsm_app.errors import ProtocolError, TokenError
from hsm_app.merkle.anchor import AnchorState
from hsm_app.token.device import device_call
from hsm_app.token.keyspec import ANCHOR_FOUND, ANCHOR_OBJECT, DATA_FOUND
from hsm_app.token.location import TokenLocation
from hsm_app.token.owner import TokenOwner
from hsm_app.token.softhsm_files import SoftHsmFiles

T = TypeVar("T")
ONE_PROCESS = "One token serves one replica: find out who else uses it, and stop the other process"


class Files(Protocol):
    def sync(self) -> None:
        """Make what the token wrote so far survive a loss of power."""


class NoFiles:
    """A device that keeps its objects by itself."""

    def sync(self) -> None:
        """Nothing is to be done."""


class TokenAnchor:
    """Implements `ports.Anchor`: its calls run on the token's owner thread, and its caller waits for them."""

    def __init__(self, owner: TokenOwner, location: TokenLocation) -> None:
        self._owner = owner
        self._files = files_of(location)

    def read(self) -> list[bytes]:
        """See `ports.Anchor`."""
        return self._run(read_anchors)

    def first(self, content: bytes) -> None:
        """See `ports.Anchor`."""
        self._run(lambda session: create_first(session, content))
        self._files.sync()

    def replace(self, old: bytes, new: bytes) -> None:
        """See `ports.Anchor`."""
        self._create(new)
        try:
            self._destroy(old)
        except AnchorGoneError:
            self.destroy(new)  # nobody was told of it, and the other process goes on from its own
            raise

    def destroy(self, content: bytes) -> None:
        """See `ports.Anchor`."""
        self._destroy(content)
        self._files.sync()

    def _destroy(self, content: bytes) -> None:
        self._run(lambda session: destroy_anchor(session, content))

    def _create(self, content: bytes) -> None:
        self._run(lambda session: create_anchor(session, content))
        self._files.sync()

    def _run(self, job: Callable[[Session], T]) -> T:
        return self._owner.call(lambda token: token.in_session(job))


class AnchorGoneError(TokenError):
    """The object to destroy is not there any more: another process was faster."""


def files_of(location: TokenLocation) -> Files:
    """Return what has to be synced for a token. TokenError when SoftHSM's configuration cannot be read."""
    return NoFiles() if location.softhsm2_conf is None else SoftHsmFiles(location.softhsm2_conf)


@device_call("read its anchor")
def read_anchors(session: Session) -> list[bytes]:
    """Return the content of every anchor object. Those that a kill left half-made have no label: they go."""
    for thing in list(session.get_objects(DATA_FOUND)):
        if not thing[Attribute.LABEL]:
            thing.destroy()
    return [thing[Attribute.VALUE] for thing in list(session.get_objects(ANCHOR_FOUND))]


@device_call("create its first anchor")
def create_first(session: Session, content: bytes) -> None:
    """Create the first anchor. TokenError when there is one already."""
    if list(session.get_objects(ANCHOR_FOUND)):
        raise TokenError("the token holds an anchor already", "An anchor is made once; use a fresh token")
    create_anchor(session, content)


@device_call("destroy its anchors")
def destroy_all(session: Session) -> None:
    """Destroy every anchor object: what the token remembers of the store is given up, by a replacement only."""
    for thing in list(session.get_objects(ANCHOR_FOUND)):
        thing.destroy()


def incarnation_of(session: Session) -> int | None:
    """Return the highest incarnation that an anchor of this token names, None when there is none that can be read."""
    found = []
    for content in read_anchors(session):
        with suppress(ProtocolError):
            found.append(AnchorState.from_bytes(content).incarnation)
    return max(found, default=None)


@device_call("create an anchor")
def create_anchor(session: Session, content: bytes) -> None:
    """Create an anchor object beside those that there are."""
    session.create_object({**ANCHOR_OBJECT, Attribute.VALUE: content})


@device_call("destroy an anchor")
def destroy_anchor(session: Session, content: bytes) -> None:
    """Destroy the anchor object with this content. AnchorGoneError when another process was faster."""
    found = list(session.get_objects({**ANCHOR_FOUND, Attribute.VALUE: content}))
    if len(found) != 1:
        raise AnchorGoneError("the anchor to be destroyed is not in the token", ONE_PROCESS)
    try:
        found[0].destroy()
    except ck.ObjectHandleInvalid as error:
        raise AnchorGoneError("another process has replaced the anchor", ONE_PROCESS) from error
