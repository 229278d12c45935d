"""Account tokens: the tenant says, in a short-lived JWT, who the account is and what the bearer may do.

A JWT (RFC 7519) signed with ES256 or EdDSA by a tenant key of the manifest. PyJWT checks the signature; the key comes
from the manifest by the header's `kid`, and the one algorithm allowed is that key's own, never the header's choice
(RFC 8725 section 3.1). The claims are read only from a signature that holds, and against the caller's time:

    iss    the tenant's name in the manifest, and the owner of the key
    sub    the account, 1 to 128 bytes
    aud    the fleet id, or a list that has it
    scope  words separated by spaces (RFC 9068 section 2.2.3); the needed one is among them
    iat    not later than now, with 30 seconds for clocks that differ
    exp    later than now, and at most 10 minutes after iat
    nbf    if present, like iat

Every refusal is Denied(BAD_ACCOUNT_TOKEN) with a text that says why, and never quotes the token.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from hsm_app.errors import Denied, DenyReason
from hsm_app.fleet.manifest import Fleet, TenantAlgorithm, TenantKey

TOKEN_LIMIT = 2048  # characters, as in the client's messages
ACCOUNT_LIMIT = 128  # UTF-8 bytes of `sub`
LIFETIME = 600  # seconds from iat to exp
LEEWAY = 30  # seconds by which a tenant's clock may be ahead of ours
HEADERS = frozenset({"alg", "kid", "typ"})  # no other is understood, and `crit`, `jwk` or `jku` least of all
_JWS = jwt.PyJWS(algorithms=[alg.value for alg in TenantAlgorithm])  # knows no other algorithm, `none` and HS256 least
# Bounds the verification keys kept in memory: all of the largest manifest's are fewer.
KEYS_KEPT = 1024


class Scope:
    """What an account token may allow."""

    REGISTER = "vault:register"
    RECOVER = "vault:recover"
    STATUS = "vault:status"
    DELETE = "vault:delete"
    ALL = (REGISTER, RECOVER, STATUS, DELETE)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountClaims:
    """Whose account the bearer speaks for."""

    tenant: str
    account: str


def check_account_token(token: str, fleet: Fleet, scope: str, now: int) -> AccountClaims:
    """Return whose account `token` speaks for, when it allows `scope` at `now` (POSIX seconds). Denied otherwise."""
    if not 0 < len(token) <= TOKEN_LIMIT:
        _deny(f"has no length from 1 to {TOKEN_LIMIT} characters")
    tenant, key = _key_of(token, fleet)
    claims = _verified_claims(token, key)
    if claims.get("iss") != tenant:
        _deny("names another issuer than the owner of its key")
    _check_audience(claims.get("aud"), fleet.fleet)
    _check_scope(claims.get("scope"), scope)
    _check_times(claims, now)
    return AccountClaims(tenant=tenant, account=_account(claims.get("sub")))


def _deny(why: str) -> NoReturn:
    raise Denied(
        DenyReason.BAD_ACCOUNT_TOKEN, f"the account token {why}", "Get a new one from the service of the account"
    ) from None


def _key_of(token: str, fleet: Fleet) -> tuple[str, TenantKey]:
    """Find the tenant and its key by the header, which nobody has vouched for yet."""
    try:
        header = _JWS.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError):
        _deny("is no JWT")
    if not header.keys() <= HEADERS:
        _deny("has a header that is not understood here")
    kid = header.get("kid")
    for tenant in fleet.tenants:
        for key in tenant.keys:
            if key.kid == kid:
                return tenant.tenant, key
    _deny("is signed with a key that the manifest does not list")


def _verified_claims(token: str, key: TenantKey) -> dict[str, object]:
    try:
        payload = _JWS.decode(token, _verification_key(key), algorithms=[key.alg.value])
    except jwt.InvalidAlgorithmError:
        _deny(f"does not use {key.alg.value}, the algorithm of its key")
    except (jwt.PyJWTError, ValueError):
        _deny("has a signature that does not hold")
    try:
        claims = json.loads(payload)
    except (ValueError, RecursionError):
        _deny("holds no claims")
    if type(claims) is not dict:
        _deny("holds no claims")
    return claims


@lru_cache(maxsize=KEYS_KEPT)
def _verification_key(key: TenantKey) -> ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey:
    if key.alg is TenantAlgorithm.ES256:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key.public_key)
    return ed25519.Ed25519PublicKey.from_public_bytes(key.public_key)


def _check_audience(audience: object, fleet: str) -> None:
    if fleet not in (audience if type(audience) is list else [audience]):
        _deny("is for another audience than this fleet")


def _check_scope(granted: object, needed: str) -> None:
    if type(granted) is not str or needed not in granted.split(" "):
        _deny(f"does not grant {needed}")


def _check_times(claims: dict[str, object], now: int) -> None:
    issued, expires, begins = claims.get("iat"), claims.get("exp"), claims.get("nbf", 0)
    if type(issued) is not int or type(expires) is not int or type(begins) is not int:
        _deny("lacks iat or exp in whole seconds")
    if max(issued, begins) > now + LEEWAY:
        _deny("is from the future")
    if expires <= now:
        _deny("has expired")
    if not 0 < expires - issued <= LIFETIME:
        _deny(f"lives longer than {LIFETIME} seconds")


def _account(subject: object) -> str:
    if type(subject) is not str:
        _deny("names no account")
    try:
        length = len(subject.encode())
    except UnicodeEncodeError:  # JSON can escape half a surrogate pair, which no UTF-8 holds
        _deny("names an account that is not text")
    if not 1 <= length <= ACCOUNT_LIMIT:
        _deny(f"names an account that has not 1 to {ACCOUNT_LIMIT} bytes")
    return subject
