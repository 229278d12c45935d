"""What a client is set up with: its TOML file, and what becomes of it.

| key | is |
|---|---|
| `relay` | where the relay listens: `host:port`, `[v6]:port` or `unix:/path` |
| `manifest`, `manifest_sha256` | the fleet manifest's file, and the digest that pins it (64 hexadecimal digits) |
| `root_of_trust` | instead of both: the document whose auditors, operators, log and witnesses are believed |
| `root_successors` | later such documents, each signed by the keys of the one before; an array of files, in order |
| `policy` | `production`, also when left out: the fleet's assurance has to reach a minimum; or `development` |
| `fleet` | the fleet's id; when left out, the one that has the record, or the only active one |
| `tenant`, `account`, `record` | whose record it is; `record` is `backup` when left out |
| `token_file` | where the host application keeps the current account token, a JWT (mode 0600); read each time |
| `state_directory` | where this device keeps its keys; made when it is missing |
| `patience_seconds` | how long one question may take, in at most six attempts; 20 when left out |

The manifest says which keys, costs and replicas to trust. A pinned one is worth nothing without its digest: a manifest
with another one is refused, whoever put it there. With a root of trust the manifest comes from the fleet, in a bundle
that proves it (`client.trust`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from hsm_app.client.account_token import read_account_token
from hsm_app.client.trust import Trust
from hsm_app.errors import ConfigError
from hsm_app.fleet.account import ACCOUNT_LIMIT
from hsm_app.fleet.client_policy import PRODUCTION, ClientPolicy, policy_named
from hsm_app.fleet.manifest import Fleet, FleetState, Manifest, check_window
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.model import Subject
from hsm_app.net.address import Address, parse_address
from hsm_app.settings import ExistingFile, Parsed, Seconds, read_settings, sha256_digest
from hsm_app.wire.message_codec import NAME_LIMIT

TENANT_LIMIT = 64  # UTF-8 bytes
PATIENCE = 20.0  # seconds


def _name(limit: int) -> Parsed:
    def parse(text: str) -> str:
        if len(text.encode()) > limit or not text.isprintable():
            raise ConfigError(f"this is no name of at most {limit} bytes", "Use the name that the service gave you")
        return text

    return Parsed(parse)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """The client's TOML file."""

    relay: Annotated[Address, Parsed(parse_address)]
    manifest: ExistingFile | None = None
    manifest_sha256: Annotated[bytes, Parsed(sha256_digest)] | None = None
    root_of_trust: ExistingFile | None = None
    root_successors: tuple[ExistingFile, ...] = ()
    policy: Annotated[ClientPolicy, Parsed(policy_named)] = PRODUCTION
    fleet: str = ""
    tenant: Annotated[str, _name(TENANT_LIMIT)]
    account: Annotated[str, _name(ACCOUNT_LIMIT)]
    record: Annotated[str, _name(NAME_LIMIT)] = "backup"
    token_file: Path
    state_directory: Path
    patience_seconds: Seconds = int(PATIENCE)

    def __post_init__(self) -> None:
        if (self.manifest is None) != (self.manifest_sha256 is None):
            raise ConfigError("manifest and manifest_sha256 go together", "Set both, or neither")
        if (self.manifest is None) == (self.root_of_trust is None):
            raise ConfigError(
                "there has to be either a manifest or a root_of_trust",
                "Pin a manifest (manifest and manifest_sha256), or name the document that vouches for manifests",
            )
        if self.root_successors and self.root_of_trust is None:
            raise ConfigError("root_successors without root_of_trust", "Name the document that they follow")


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultConfig:
    """What `AsyncVault` works with: one record of one fleet.

    `trust` knows the manifest, and learns of the next one. `account_token` is called for every operation, since tokens
    live ten minutes.
    """

    relay: Address
    trust: Trust
    fleet: str
    subject: Subject
    policy: ClientPolicy
    account_token: Callable[[], str] = field(repr=False)
    patience: float = PATIENCE  # seconds


def read_client_settings(path: Path) -> ClientSettings:
    """Read the client's file. ConfigError names what is wrong with it."""
    return read_settings(path, ClientSettings)


def vault_config(settings: ClientSettings, trust: Trust, fleet: str) -> VaultConfig:
    """Return what `AsyncVault` needs for the record that the settings name, in one fleet."""
    return VaultConfig(
        relay=settings.relay,
        trust=trust,
        fleet=fleet,
        policy=settings.policy,
        subject=Subject(tenant=settings.tenant, account=settings.account, name=settings.record),
        account_token=lambda: read_account_token(settings.token_file),
        patience=settings.patience_seconds,
    )


def usable_fleet(config: VaultConfig, manifest: Manifest) -> Fleet:
    """Return a manifest's entry of the fleet. ConfigError when it is not listed, revoked, or below the policy."""
    fleet = manifest.fleet(config.fleet)
    check_fleet(fleet, config.subject.tenant)
    config.policy.check(fleet)
    return fleet


def read_pinned_manifest(path: Path, digest: bytes) -> Manifest:
    """Return the manifest at `path` if its SHA-256 is `digest`; nothing else of it is looked at before.

    ConfigError when it is another one, or not valid now.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"manifest: cannot read {path}: {error.strerror}", "Check the path and its rights") from error
    found = hashlib.sha256(raw).hexdigest()
    if found != digest.hex():
        raise ConfigError(
            f"manifest: {path} has SHA-256 {found}, and manifest_sha256 pins {digest.hex()}",
            "Get the pinned manifest; change the pin only if somebody you trust gave you the new digest",
        )
    manifest = parse_manifest(raw)
    check_window(manifest, int(time.time()))
    return manifest


def check_fleet(fleet: Fleet, tenant: str) -> None:
    """Raise ConfigError when the fleet is revoked or does not serve the tenant."""
    if fleet.state is FleetState.REVOKED:
        raise ConfigError(f"the fleet {fleet.fleet} is revoked", "Get a manifest with the fleet that took its place")
    if tenant not in {keys.tenant for keys in fleet.tenants}:
        raise ConfigError(f"the fleet {fleet.fleet} knows no tenant {tenant!r}", "Check tenant, fleet and manifest")
