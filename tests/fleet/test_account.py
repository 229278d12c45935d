"""Account tokens: who is let in, and every known way to get in without the tenant's word.

Tokens are made here by hand where a JWT library would refuse to make them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.errors import Denied, DenyReason
from hsm_app.fleet.account import TOKEN_LIMIT, AccountClaims, Scope, check_account_token
from hsm_app.fleet.manifest import TenantAlgorithm, TenantKey, TenantKeys
from tests.fleet.example import NOW, example_fleet, point, private_key

EDWARDS = ed25519.Ed25519PrivateKey.from_private_bytes(b"\x09" * 32)
FLEET = example_fleet(
    tenant_keys=(
        TenantKeys(
            tenant="messenger",
            keys=(
                TenantKey(kid="m-ec", alg=TenantAlgorithm.ES256, public_key=point(600_001)),
                TenantKey(kid="m-ed", alg=TenantAlgorithm.EDDSA, public_key=EDWARDS.public_key().public_bytes_raw()),
            ),
        ),
        TenantKeys(
            tenant="backups", keys=(TenantKey(kid="b-ec", alg=TenantAlgorithm.ES256, public_key=point(600_002)),)
        ),
    )
)
KEYS: dict[str, tuple[Any, str]] = {
    "m-ec": (private_key(600_001), "ES256"),
    "m-ed": (EDWARDS, "EdDSA"),
    "b-ec": (private_key(600_002), "ES256"),
    "stranger": (private_key(600_003), "ES256"),
}
CLAIMS = {
    "iss": "messenger",
    "sub": "anna",
    "aud": "fleet-1",
    "scope": "vault:register vault:recover",
    "iat": NOW,
    "exp": NOW + 600,
}


def issue(key: str = "m-ec", *, headers: dict[str, Any] | None = None, **claims: Any) -> str:
    """Sign CLAIMS with changes; a claim or header of None is left out."""
    private, algorithm = KEYS[key]
    header = {"kid": key, **(headers or {})}
    wanted = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    return jwt.encode(wanted, private, algorithm, headers={k: v for k, v in header.items() if v is not None})


def by_hand(header: object, payload: object, signature: bytes = b"") -> str:
    def part(value: object) -> bytes:
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=")

    return b".".join([part(header), part(payload), part(signature)]).decode()


def hs256(secret: bytes, header: dict[str, str]) -> str:
    signed = by_hand(header, CLAIMS).rpartition(".")[0]
    return by_hand(header, CLAIMS, hmac.digest(secret, signed.encode(), hashlib.sha256))


def signed_bytes(payload: bytes) -> str:
    """A JWS over any payload, by the tenant's own key."""
    return jwt.PyJWS().encode(payload, KEYS["m-ec"][0], "ES256", headers={"kid": "m-ec"})


def check(token: str, scope: str = Scope.RECOVER, now: int = NOW) -> AccountClaims:
    return check_account_token(token, FLEET, scope, now)


ALLOWED: dict[str, tuple[str, str, int, AccountClaims]] = {
    "an ES256 token": (issue(), Scope.RECOVER, NOW, AccountClaims(tenant="messenger", account="anna")),
    "an EdDSA token": (issue("m-ed"), Scope.RECOVER, NOW, AccountClaims(tenant="messenger", account="anna")),
    "another tenant's token": (
        issue("b-ec", iss="backups"), Scope.REGISTER, NOW, AccountClaims(tenant="backups", account="anna"),
    ),
    "its last second": (issue(), Scope.RECOVER, NOW + 599, AccountClaims(tenant="messenger", account="anna")),
    "a tenant's clock 30 seconds ahead": (
        issue(), Scope.RECOVER, NOW - 30, AccountClaims(tenant="messenger", account="anna"),
    ),
    "several audiences": (
        issue(aud=["other", "fleet-1"]), Scope.RECOVER, NOW, AccountClaims(tenant="messenger", account="anna"),
    ),
    "an account in another script": (
        issue(sub="Ωμέγα/😀"), Scope.RECOVER, NOW, AccountClaims(tenant="messenger", account="Ωμέγα/😀"),
    ),
    "claims that mean nothing here": (
        issue(jti="1", extra=1.5), Scope.RECOVER, NOW, AccountClaims(tenant="messenger", account="anna"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("token", "scope", "now", "claims"), ALLOWED.values(), ids=ALLOWED.keys())
def test_allowed(token: str, scope: str, now: int, claims: AccountClaims) -> None:
    assert check(token, scope, now) == claims


PUBLIC_PEM = KEYS["m-ec"][0].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
P384 = ec.generate_private_key(ec.SECP384R1())
REFUSED: dict[str, tuple[str, str]] = {
    "expired": (issue(iat=NOW - 600, exp=NOW), "expired"),
    "expired long ago": (issue(iat=NOW - 90_000, exp=NOW - 89_500), "expired"),
    "another audience": (issue(aud="fleet-2"), "another audience"),
    "no audience": (issue(aud=None), "another audience"),
    "an audience that only contains ours": (issue(aud="fleet-11"), "another audience"),
    "an empty list of audiences": (issue(aud=[]), "another audience"),
    "another scope": (issue(scope="vault:register vault:status"), "does not grant vault:recover"),
    "no scope": (issue(scope=None), "does not grant"),
    "a scope that begins like ours": (issue(scope="vault:recovery"), "does not grant"),
    "a scope as a list": (issue(scope=["vault:recover"]), "does not grant"),
    "alg none without signature": (by_hand({"alg": "none", "kid": "m-ec"}, CLAIMS), "does not use ES256"),
    "alg None, spelt otherwise": (by_hand({"alg": "nOnE", "kid": "m-ec"}, CLAIMS), "does not use ES256"),
    "no alg": (by_hand({"kid": "m-ec"}, CLAIMS), "does not use ES256"),
    "HS256 with the compressed public key as secret": (
        hs256(point(600_001), {"alg": "HS256", "kid": "m-ec"}), "does not use ES256",
    ),
    "HS256 with the public key's PEM as secret": (hs256(PUBLIC_PEM, {"alg": "HS256", "kid": "m-ec"}), "does not use"),
    "HS256 with the EdDSA key as secret": (
        hs256(EDWARDS.public_key().public_bytes_raw(), {"alg": "HS256", "kid": "m-ed"}), "does not use EdDSA",
    ),
    "EdDSA under the kid of an ES256 key": (issue("m-ed", headers={"kid": "m-ec"}), "does not use ES256"),
    "ES384 under the kid of an ES256 key": (
        jwt.encode(CLAIMS, P384, "ES384", headers={"kid": "m-ec"}), "does not use ES256",
    ),
    "issued in the future": (issue(iat=NOW + 31, exp=NOW + 100), "from the future"),
    "not valid before the future": (issue(nbf=NOW + 31), "from the future"),
    "longer life than ten minutes": (issue(exp=NOW + 601), "lives longer"),
    "longer life by an old iat": (issue(iat=NOW - 500, exp=NOW + 101), "lives longer"),
    "an unknown kid": (issue("stranger"), "does not list"),
    "a stranger's key under a known kid": (issue("stranger", headers={"kid": "m-ec"}), "does not hold"),
    "no kid": (issue(headers={"kid": None}), "does not list"),
    "a kid that is no text": (by_hand({"alg": "ES256", "kid": 1}, CLAIMS), "does not list|is no JWT"),
    "the key of another tenant under its own kid": (issue("b-ec"), "another issuer"),
    "the key of another tenant under our kid": (issue("b-ec", headers={"kid": "m-ec"}), "does not hold"),
    "another issuer": (issue(iss="backups"), "another issuer"),
    "no issuer": (issue(iss=None), "another issuer"),
    "no account": (issue(sub=None), "names no account"),
    "an empty account": (issue(sub=""), "1 to 128 bytes"),
    "an account that is a number": (signed_bytes(json.dumps({**CLAIMS, "sub": 7}).encode()), "names no account"),
    "an account that is too long": (issue(sub="ä" * 65), "1 to 128 bytes"),
    "an account with half a surrogate": (signed_bytes(json.dumps({**CLAIMS, "sub": "\ud800"}).encode()), "not text"),
    "an iat that is text": (signed_bytes(json.dumps({**CLAIMS, "iat": str(NOW)}).encode()), "whole seconds"),
    "an iat that is a boolean": (signed_bytes(json.dumps({**CLAIMS, "iat": True}).encode()), "whole seconds"),
    "an exp with a fraction": (signed_bytes(json.dumps({**CLAIMS, "exp": NOW + 0.5}).encode()), "whole seconds"),
    "an exp that is not a number": (signed_bytes(json.dumps({**CLAIMS, "exp": float("nan")}).encode()), "whole s"),
    "no iat": (issue(iat=None), "whole seconds"),
    "no exp": (issue(exp=None), "whole seconds"),
    "a negative life": (issue(iat=NOW + 20, exp=NOW + 10), "lives longer"),
    "a key of its own in the header": (issue(headers={"jwk": {"kty": "EC"}}), "not understood"),
    "an address of keys in the header": (issue(headers={"jku": "https://evil.example"}), "not understood"),
    "a critical extension": (issue(headers={"crit": ["exp"]}), "not understood|is no JWT"),
    "a detached payload": (by_hand({"alg": "ES256", "kid": "m-ec", "b64": False}, b""), "not understood"),
    "claims that are a list": (signed_bytes(b"[]"), "holds no claims"),
    "claims that are not UTF-8": (signed_bytes(b"\xff"), "holds no claims"),
    "claims nested beyond the parser": (signed_bytes(b"[" * 1200), "holds no claims"),
    "a header nested beyond the parser": (by_hand(b"[" * 1200, CLAIMS), "is no JWT"),
    "a header that is a list": (by_hand([], CLAIMS), "is no JWT"),
    "a changed claim": (issue().replace(".", ".e", 1), "does not hold|is no JWT"),
    "a signature cut short": (issue()[:-4], "does not hold|is no JWT"),
    "one character more than the limit": ("a" * (TOKEN_LIMIT + 1), "no length"),
    "a valid token that is too long": (issue(extra="x" * TOKEN_LIMIT), "no length"),
    "nothing": ("", "no length"),
    "no JWT": ("a.b", "is no JWT"),
    "no ASCII": ("ä.ö.ü", "is no JWT"),
    "half a surrogate": ("\ud800.a.a", "is no JWT"),
}  # fmt: skip


@pytest.mark.parametrize(("token", "names"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(token: str, names: str) -> None:
    with pytest.raises(Denied, match=names) as refused:
        check(token)
    assert refused.value.reason is DenyReason.BAD_ACCOUNT_TOKEN
    assert len(str(refused.value)) < 200
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize("scope", Scope.ALL)
def test_each_scope_opens_its_own_door_only(scope: str) -> None:
    token = issue(scope=scope)
    for needed in Scope.ALL:
        if needed == scope:
            assert check(token, needed).account == "anna"
        else:
            with pytest.raises(Denied, match=f"does not grant {needed}"):
                check(token, needed)


@given(st.text(max_size=100) | st.lists(st.binary(max_size=60), min_size=3, max_size=3).map(lambda p: by_hand(*p)))
def test_any_text_is_denied(token: str) -> None:
    with pytest.raises(Denied):
        check(token)


@given(st.data())
def test_a_token_changed_anywhere_is_denied(data: st.DataObject) -> None:
    token = issue()
    at = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.characters())
    changed = token[:at] + letter + token[at + 1 :]
    # Two letters that differ in unused bits of the last base64 digit stand for the same signature.
    if changed != token and at != len(token) - 1:
        with pytest.raises(Denied):
            check(changed)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


@given(st.sampled_from(sorted(CLAIMS)), json_values)
def test_any_value_of_any_claim_is_allowed_or_denied(name: str, value: object) -> None:
    try:
        claims = check(signed_bytes(json.dumps({**CLAIMS, name: value}).encode()))
    except Denied:
        return
    assert claims.tenant == "messenger"
