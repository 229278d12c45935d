"""Keys of auditors and operators in a real token: what they sign holds in software, and what they may not do."""

from __future__ import annotations

from pathlib import Path

import pytest
from pkcs11 import Attribute, ObjectClass

from hsm_app.errors import ConfigError, TokenError
from hsm_app.fleet.dsse import parse_envelope, sign_envelope
from hsm_app.fleet.role_keys import KeyAlgorithm, RoleKey
from hsm_app.signers import make_token_key, read_signer
from hsm_app.token.location import TokenLocation, opened
from hsm_app.token.objects import find_one
from hsm_app.token.pin import Pin
from hsm_app.token.role_key import TokenSigner, make_role_key
from tests.token.fresh import USER_PIN

ALGORITHMS = list(KeyAlgorithm)
LABEL = "operator-countersign"


@pytest.fixture
def pin(tmp_path: Path) -> Path:
    """The file with the PIN of the fresh token at `location`."""
    file = tmp_path / "pin"
    file.touch(mode=0o600)
    file.write_text(USER_PIN)
    return file


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_the_token_signs_holds(
    location: TokenLocation, pin: Path, tmp_path: Path, algorithm: KeyAlgorithm
) -> None:
    key = make_token_key(tmp_path / "operator.toml", location, pin, LABEL, algorithm)
    signer = read_signer(tmp_path / "operator.toml")
    assert signer.key == key
    envelope = parse_envelope(sign_envelope("application/example", b"payload", [signer]), "application/example")
    assert envelope.signers([key]) == {key.id}
    assert not key.holds(b"another message", envelope.signatures[0].signature)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_key_never_leaves_and_does_nothing_else(
    location: TokenLocation, pin: Path, algorithm: KeyAlgorithm
) -> None:
    make_role_key(location, Pin(pin.read_text()), LABEL, algorithm)
    with opened(location, Pin(pin.read_text())) as session:
        key = find_one(session, LABEL, ObjectClass.PRIVATE_KEY)
        forbidden = (Attribute.EXTRACTABLE, Attribute.DECRYPT, Attribute.UNWRAP, Attribute.DERIVE, Attribute.COPYABLE,
                     Attribute.MODIFIABLE)  # fmt: skip
        assert [key[attribute] for attribute in forbidden] == [False] * len(forbidden)
        required = (Attribute.SENSITIVE, Attribute.ALWAYS_SENSITIVE, Attribute.NEVER_EXTRACTABLE, Attribute.LOCAL,
                    Attribute.PRIVATE, Attribute.SIGN)  # fmt: skip
        assert [key[attribute] for attribute in required] == [True] * len(required)


def test_a_label_is_never_taken_twice(location: TokenLocation, pin: Path) -> None:
    make_role_key(location, Pin(pin.read_text()), LABEL, KeyAlgorithm.ES256)
    with pytest.raises(TokenError, match="already"):
        make_role_key(location, Pin(pin.read_text()), LABEL, KeyAlgorithm.ES256)


def test_another_key_under_the_label_signs_nothing(location: TokenLocation, pin: Path) -> None:
    make_role_key(location, Pin(pin.read_text()), LABEL, KeyAlgorithm.ES256)
    other = make_role_key(location, Pin(pin.read_text()), "other", KeyAlgorithm.ES256)
    with pytest.raises(TokenError, match="is not"):
        TokenSigner(location, Pin(pin.read_text()), LABEL, other).sign(b"message")


def test_a_wrong_pin_and_a_missing_key_are_named(location: TokenLocation, pin: Path) -> None:
    key = make_role_key(location, Pin(pin.read_text()), LABEL, KeyAlgorithm.ES256)
    with pytest.raises(TokenError, match="refused the PIN"):
        TokenSigner(location, Pin("wrong"), LABEL, key).sign(b"message")
    with pytest.raises(TokenError, match="no object"):
        TokenSigner(location, Pin(pin.read_text()), "missing", key).sign(b"message")


def test_a_key_s_file_is_read_strictly(location: TokenLocation, pin: Path, tmp_path: Path) -> None:
    path = tmp_path / "operator.toml"
    make_token_key(path, location, pin, LABEL, KeyAlgorithm.ES256)
    good = path.read_text()
    for text in (
        good.replace("ES256", "HS256"),
        good.replace('public_key = "0', 'public_key = "z'),
        good + 'pin_env = "PIN"\n',
        good + "unknown = 1\n",
    ):
        path.write_text(text)
        with pytest.raises(ConfigError):
            read_signer(path)
    with pytest.raises(ConfigError, match="exists"):
        make_token_key(path, location, pin, "another", KeyAlgorithm.ES256)
    assert isinstance(RoleKey(KeyAlgorithm.ES256, bytes.fromhex(good.split('public_key = "')[1][:66])), RoleKey)
