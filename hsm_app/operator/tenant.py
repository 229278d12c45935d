"""A tenant's signing key and the account tokens made with it, for development.

A real tenant signs account tokens in its own service, after its own login; `hsm_app.fleet.account` says what such a
token must hold. The key file is PKCS #8 PEM with mode 0600, and is refused when others may read it: whoever holds it
can name any account of the tenant, and so spend guesses on its records.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from hsm_app.durable import create_file
from hsm_app.errors import ConfigError
from hsm_app.fleet.account import ACCOUNT_LIMIT, LIFETIME, TOKEN_LIMIT
from hsm_app.fleet.manifest import Fleet, FleetState, TenantAlgorithm, TenantKey, check_window
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.operator.layout import write_new

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
OWNER_ONLY = 0o600
KEY_LIMIT = 4096  # bytes of a PEM file; a P-256 or Ed25519 key has under 300


def make_tenant_key(path: Path, alg: str) -> TenantKey:
    """Write a new private key to `path` (PKCS #8 PEM, mode 0600) and return its public part. Never overwrites."""
    if path.exists():
        raise ConfigError(f"{path} exists", "Choose another file; a key is never overwritten")
    key: PrivateKey
    if alg == TenantAlgorithm.ES256:
        key = ec.generate_private_key(ec.SECP256R1())
    else:
        key = ed25519.Ed25519PrivateKey.generate()
    _make_parent(path)
    write_new(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), OWNER_ONLY)
    return tenant_key_of(key)


def _make_parent(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot create {path.parent}: {error.strerror}", "Choose another directory") from error


def tenant_key_of(key: PrivateKey) -> TenantKey:
    """Return the manifest's entry for `key`. The key id is made from the public key, so both sides agree on it."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        alg = TenantAlgorithm.ES256
        public = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    else:
        alg = TenantAlgorithm.EDDSA
        public = key.public_key().public_bytes_raw()
    return TenantKey(kid=f"{alg.value}-{hashlib.sha256(public).hexdigest()[:16]}", alg=alg, public_key=public)


def read_private_key(path: Path) -> PrivateKey:
    """Read a tenant's private key. ConfigError when others may read the file, or when it holds no key that fits."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            pem = file.read(KEY_LIMIT)
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}", "Make a key with `hsm-vault tenant keygen`"
        ) from error
    if mode & 0o077:
        raise ConfigError(f"{path} can be read by others (mode {mode:04o})", f"Run: chmod 600 {path}")
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            f"{path} is no private key in PEM without a password", "Give a P-256 or Ed25519 key"
        ) from error
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise ConfigError(f"{path} holds another kind of key", "Give a P-256 or Ed25519 key")


def issue_account_token(
    key: PrivateKey,
    *,
    tenant: str,
    account: str,
    fleets: Sequence[str],
    scopes: Sequence[str],
    now: int,
    lifetime: int = LIFETIME,
) -> str:
    """Return a JWT as `fleet.account` demands it; `now` in POSIX seconds. ConfigError for a name it would refuse."""
    try:
        length = len(account.encode())
    except UnicodeEncodeError as error:  # bytes of the command line that are not UTF-8
        raise ConfigError("the account is not UTF-8 text", "Check the terminal's character set") from error
    if not 1 <= length <= ACCOUNT_LIMIT:
        raise ConfigError(f"an account has 1 to {ACCOUNT_LIMIT} bytes in UTF-8", "Choose another account name")
    claims = {
        "iss": tenant,
        "sub": account,
        "aud": fleets[0] if len(fleets) == 1 else list(fleets),
        "scope": " ".join(scopes),
        "iat": now,
        "exp": now + lifetime,
    }
    described = tenant_key_of(key)
    signed = jwt.encode(claims, key, described.alg.value, headers={"kid": described.kid})
    if len(signed) > TOKEN_LIMIT:
        raise ConfigError(f"the account token has more than {TOKEN_LIMIT} characters", "Choose shorter names")
    return signed


def listed_fleets(path: Path, fleet_ids: Sequence[str], tenant_name: str, key: TenantKey, now: int) -> list[str]:
    """Return the fleets of the manifest that list `key` for the tenant, all or the ones asked for; those not revoked.

    A device may have to ask each of them for its record. ConfigError when one that was asked for does not list the key,
    or none does.
    """
    try:
        manifest = parse_manifest(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "Give the fleet's manifest") from error
    check_window(manifest, now)
    used = [fleet for fleet in manifest.fleets if fleet.state is not FleetState.REVOKED]
    asked = [manifest.fleet(each) for each in fleet_ids] or [
        fleet for fleet in used if key in (listed for tenant in fleet.tenants for listed in tenant.keys)
    ]
    for fleet in asked or manifest.fleets:
        _check_listed(fleet, tenant_name, key)
    return [fleet.fleet for fleet in asked]


def _check_listed(fleet: Fleet, tenant_name: str, key: TenantKey) -> None:
    for listed in fleet.tenants:
        if listed.tenant == tenant_name:
            if key not in listed.keys:
                raise ConfigError(
                    f"fleet {fleet.fleet} does not know this key of tenant {tenant_name}",
                    "Give another key or manifest",
                )
            return
    known = ", ".join(listed.tenant for listed in fleet.tenants)
    raise ConfigError(f"fleet {fleet.fleet} has no tenant {tenant_name!r}", f"Its tenants are: {known}")


def replace_token_file(path: Path, token: str) -> None:
    """Put `token` into `path` with mode 0600, whole or not at all: a client may be reading the one before."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        create_file(fresh, token.encode() + b"\n", OWNER_ONLY)
        fresh.replace(path)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise ConfigError(f"cannot write {path}: {error.strerror}", "Choose a file you may write, with room") from error
