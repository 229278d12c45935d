"""The root's journey, inventories, and stations, on SoftHSM."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute, KeyType, ObjectClass, Session

from hsm_app.errors import ConfigError, TokenError
from hsm_app.model import WrappedKey
from hsm_app.token import keyspec as ks
from hsm_app.token.fleet_keys import FleetKeys, read_fleet_keys
from hsm_app.token.inventory import check_inventory, check_root, replica_objects
from hsm_app.token.location import TokenLocation
from hsm_app.token.objects import NO_DEFAULTS, find_one, make_ec_pair
from hsm_app.token.pin import Pin
from hsm_app.token.replica_token import open_replica_token
from hsm_app.token.station import TokenStation
from hsm_app.token.steps import TokenSteps
from tests.token.fresh import SO_PIN, USER_PIN, ReplicaToken, blank, finished, user


def der(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "maintained"])
def test_two_stations_carry_a_root_and_share_the_fleet_keys(tmp_path: Path, sealed: bool) -> None:
    places = [blank(tmp_path / name, name) for name in ("first", "second")]
    with ExitStack() as stack:
        first, second = (stack.enter_context(TokenStation(place)) for place in places)
        for station in (first, second):
            station.initialise(SO_PIN, USER_PIN)
            station.make_replica_keys()
        first.make_root()
        for station in (first, second):
            first.place_trusted(SO_PIN, station.make_transport_key(sealed=sealed))
            station.install_root(first.wrap_root(), sealed=sealed)
        for station in (first, second):
            station.finish_carry(SO_PIN)
        keys, commitments = first.make_fleet_keys()
        for station in (first, second):
            station.check_fleet_keys(keys, commitments)
            rows = station.inventory()
            assert sorted(row.role for row in rows) == ["fleet-root", "replica-identity", "replica-link"]
            with pytest.raises(TokenError, match="fleet-root"):
                station.inventory(sealed=not sealed)
        if sealed:
            with pytest.raises(TokenError, match="no object 'fleet-carry-trusted'"):
                first.wrap_root()
    answers = set()
    for place in places:
        token = open_replica_token(place, Pin(USER_PIN), keys, commitments)
        answers.add(token.record_id(b"subject"))
        token.close()
    assert len(answers) == 1


def test_a_maintained_fleet_takes_in_another_token_later(tmp_path: Path) -> None:
    old = finished(tmp_path / "old", sealed=False)
    with TokenStation(old.location) as first, TokenStation(blank(tmp_path / "new", "new")) as second:
        first.open(USER_PIN)
        second.initialise(SO_PIN, USER_PIN)
        second.make_replica_keys()
        first.place_trusted(SO_PIN, second.make_transport_key(sealed=False))
        second.install_root(first.wrap_root(), sealed=False)
        for station in (first, second):
            station.finish_carry(SO_PIN)
            station.check_fleet_keys(old.fleet_keys, old.commitments)
            station.inventory(sealed=False)


def test_a_sealed_root_never_leaves_again(replica: ReplicaToken) -> None:
    steps = TokenSteps(replica.location)
    steps.open(USER_PIN)
    steps.place_trusted(SO_PIN, der(rsa.generate_private_key(65_537, ks.RSA_BITS)))
    with pytest.raises(TokenError, match="CKR_KEY_UNEXTRACTABLE"):
        steps.wrap_root()
    steps.close()


@pytest.fixture
def steps(location: TokenLocation) -> Iterator[TokenSteps]:
    made = TokenSteps(location)
    made.open(USER_PIN)
    yield made
    made.close()


def with_origin(steps: TokenSteps) -> None:
    steps.make_root()


def with_root(steps: TokenSteps) -> None:
    steps.make_root()
    steps.place_trusted(SO_PIN, steps.make_transport_key(sealed=True))
    steps.install_root(steps.wrap_root(), sealed=True)


REFUSED: dict[str, tuple[Callable[[TokenSteps], object], Callable[[TokenSteps], object], str]] = {
    "a second root beside the origin": (with_origin, lambda s: s.make_root(), "holds a fleet root already"),
    "a second installation": (with_root, lambda s: s.install_root(s.wrap_root(), sealed=True), "root already"),
    "replica keys twice": (lambda s: s.make_replica_keys(), lambda s: s.make_replica_keys(), "holds replica keys"),
    "wrapping without a TRUSTED key": (with_origin, lambda s: s.wrap_root(), "no object 'fleet-carry-trusted'"),
    "installing without a transport key": (
        with_origin,
        lambda s: s.install_root(bytes(384), sealed=True),
        "no object 'replica-transport'",
    ),
    "a blob that is not for this token": (
        lambda s: s.make_transport_key(sealed=True),
        lambda s: s.install_root(bytes(384), sealed=True),
        "failed to install the fleet root",
    ),
    "a maintained root under a sealed transport key": (
        lambda s: (s.make_root(), s.place_trusted(SO_PIN, s.make_transport_key(sealed=True))),
        lambda s: s.install_root(s.wrap_root(), sealed=False),
        "CKR_TEMPLATE_INCONSISTENT",
    ),
    "a sealed root under a maintained transport key": (
        lambda s: (s.make_root(), s.place_trusted(SO_PIN, s.make_transport_key(sealed=False))),
        lambda s: s.install_root(s.wrap_root(), sealed=True),
        "CKR_TEMPLATE_INCONSISTENT",
    ),
    "a TRUSTED key with a wrong officer's PIN": (
        with_origin,
        lambda s: s.place_trusted("wrong", s.make_transport_key(sealed=True)),
        "refused the PIN",
    ),
    "a TRUSTED key that is no key": (with_origin, lambda s: s.place_trusted(SO_PIN, b"x"), "is no public key"),
    "a TRUSTED key that is short": (
        with_origin,
        lambda s: s.place_trusted(SO_PIN, der(rsa.generate_private_key(65_537, 2048))),
        "is no RSA-3072 key",
    ),
    "a TRUSTED key that is not RSA": (
        with_origin,
        lambda s: s.place_trusted(SO_PIN, der(ec.generate_private_key(ec.SECP256R1()))),
        "is no RSA-3072 key",
    ),
    "an inventory of who knows what": (with_origin, lambda s: s.inventory(), "it is not known whether"),
}


@pytest.mark.parametrize(("before", "step", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_the_carry_refuses(
    steps: TokenSteps, before: Callable[[TokenSteps], object], step: Callable[[TokenSteps], object], why: str
) -> None:
    before(steps)
    with pytest.raises(TokenError, match=why):
        step(steps)


def test_a_step_that_the_officer_could_not_do_leaves_the_user_working(steps: TokenSteps) -> None:
    steps.make_root()
    for pin, spki in (("wrong", der(rsa.generate_private_key(65_537, ks.RSA_BITS))), (SO_PIN, b"x")):
        with pytest.raises(TokenError):
            steps.place_trusted(pin, spki)
    with_transport = steps.make_transport_key(sealed=True)
    steps.place_trusted(SO_PIN, with_transport)
    steps.install_root(steps.wrap_root(), sealed=True)


def test_there_is_one_trusted_key_at_a_time(steps: TokenSteps, location: TokenLocation) -> None:
    for _ in range(2):
        steps.place_trusted(SO_PIN, der(rsa.generate_private_key(65_537, ks.RSA_BITS)))
    steps.close()
    with user(location) as session:
        find_one(session, ks.TRUSTED, ObjectClass.PUBLIC_KEY)


# --- inventory --------------------------------------------------------------------------------------------------------


def plant_root(session: Session) -> None:
    """What the user PIN could do while the transport key lived: a root that reopens what it unwraps."""
    find_one(session, ks.ROOT, ObjectClass.SECRET_KEY).destroy()
    template = {key: value for key, value in ks.ROOT_KEY.items() if key is not Attribute.UNWRAP_TEMPLATE}
    session.generate_key(KeyType.AES, 256, mechanism=ks.MAKE_AES, capabilities=NO_DEFAULTS, template=template)


def plant_data(session: Session) -> None:
    session.create_object({Attribute.CLASS: ObjectClass.DATA, Attribute.TOKEN: True, Attribute.VALUE: b"x"})


def plant_key(session: Session, **changes: object) -> None:
    template = {**ks.IDENTITY_KEY, **{Attribute[name]: value for name, value in changes.items()}}
    make_ec_pair(session, ks.EC_PUBLIC, template)


def replace_identity(session: Session, **changes: object) -> None:
    find_one(session, ks.IDENTITY, ObjectClass.PRIVATE_KEY).destroy()
    plant_key(session, **changes)


def import_identity(session: Session) -> None:
    """The same rights, but made outside: whoever made it knows it."""
    find_one(session, ks.IDENTITY, ObjectClass.PRIVATE_KEY).destroy()
    template = {key: value for key, value in ks.IDENTITY_KEY.items() if key is not Attribute.MODIFIABLE}
    session.create_object(
        {**template, Attribute.EC_PARAMS: ks.P256, Attribute.VALUE: b"\x01" * 32, Attribute.MODIFIABLE: False}
    )


PLANTED: dict[str, tuple[Callable[[Session], None], str]] = {
    "a second identity under its own name": (plant_key, "an unexpected PRIVATE_KEY"),
    "a data object": (plant_data, "an unexpected DATA"),
    "an identity that also derives": (lambda s: replace_identity(s, DERIVE=True), "an unexpected PRIVATE_KEY"),
    "an identity that can be wrapped": (lambda s: replace_identity(s, EXTRACTABLE=True), "an unexpected PRIVATE_KEY"),
    "an identity that can be changed": (lambda s: replace_identity(s, MODIFIABLE=True), "an unexpected PRIVATE_KEY"),
    "an identity made outside": (import_identity, "an unexpected PRIVATE_KEY"),
    "a root without its unwrap template": (plant_root, "CKA_UNWRAP_TEMPLATE is missing"),
    "no link key": (lambda s: find_one(s, ks.LINK, ObjectClass.PRIVATE_KEY).destroy(), "lacks replica-link"),
}


@pytest.mark.parametrize(("plant", "why"), PLANTED.values(), ids=PLANTED.keys())
def test_an_inventory_finds(replica: ReplicaToken, plant: Callable[[Session], None], why: str) -> None:
    with user(replica.location) as session:
        plant(session)
    steps = TokenSteps(replica.location)
    steps.open(USER_PIN)
    with pytest.raises(TokenError, match=why):
        steps.inventory(sealed=True)
    steps.close()


def test_labels_do_not_matter_to_an_inventory(replica: ReplicaToken) -> None:
    with user(replica.location) as session:
        replace_identity(session, LABEL="another name")
        rows = check_inventory(session, replica_objects(sealed=True, anchored=False))
        check_root(session, find_one(session, ks.ROOT, ObjectClass.SECRET_KEY))
    assert {row.label: row.role for row in rows}["another name"] == "replica-identity"


def test_a_replica_does_not_start_on_a_planted_root(replica: ReplicaToken) -> None:
    with user(replica.location) as session:
        plant_root(session)
    with pytest.raises(TokenError, match="CKA_UNWRAP_TEMPLATE is missing"):
        replica.open()


def test_a_replica_does_not_start_on_two_roots(replica: ReplicaToken) -> None:
    with user(replica.location) as session:
        session.generate_key(KeyType.AES, 256, mechanism=ks.MAKE_AES, capabilities=NO_DEFAULTS, template=ks.ROOT_KEY)
    with pytest.raises(TokenError, match="2 objects 'fleet-root'"):
        replica.open()


# --- stations and files -----------------------------------------------------------------------------------------------


def test_a_station_hands_errors_over_and_goes_on(tmp_path: Path) -> None:
    with TokenStation(blank(tmp_path / "one")) as station:
        with pytest.raises(TokenError, match="nobody has logged in"):
            station.make_root()
        station.initialise(SO_PIN, USER_PIN)
        with pytest.raises(TokenError, match="there is a token 'test' already") as caught:
            station.initialise(SO_PIN, USER_PIN)
        assert caught.value.todo
        station.make_root()


def test_a_station_that_dies_is_a_token_error(tmp_path: Path) -> None:
    with TokenStation(blank(tmp_path / "one")) as station:
        station.initialise(SO_PIN, USER_PIN)
        station._process.kill()
        with pytest.raises(TokenError, match="has ended during make_root"):
            station.make_root()
    assert not station._process.is_alive()
    station.close()


def test_fleet_keys_have_one_encoding(sealed_token: ReplicaToken, tmp_path: Path) -> None:
    keys = sealed_token.fleet_keys
    data = keys.to_bytes()
    assert FleetKeys.from_bytes(data) == keys
    damaged = (b"", b"\xc0", data[:-1], data + b"\x00", data.replace(b"v1", b"v2", 1), b"\x97" + data[1:8], bytes(9999))
    for wrong in damaged:
        with pytest.raises(ConfigError, match="holds no fleet keys"):
            FleetKeys.from_bytes(wrong)
        (tmp_path / "keys").write_bytes(wrong)
        with pytest.raises(ConfigError, match=f"{tmp_path}/keys holds no fleet keys"):
            read_fleet_keys(tmp_path / "keys")
    with pytest.raises(ConfigError, match=f"cannot read {tmp_path}/none"):
        read_fleet_keys(tmp_path / "none")
    (tmp_path / "keys").write_bytes(data)
    assert read_fleet_keys(tmp_path / "keys") == keys
    text = replace(keys, kem=WrappedKey(blob=keys.kem.blob, public="text"))  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        FleetKeys.from_bytes(text.to_bytes())
