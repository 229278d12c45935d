"""The auditor's directory and its configuration file.

| file | holds |
|---|---|
| `auditor.toml` | which keys, and the root of trust of each namespace |
| `keys/log.pem`, `keys/auditor.pem` | the private keys that sign checkpoints, and manifests (mode 0600) |
| `keys/plexi.pem`, `plexi/` | the key and the audits of the view for plexi's tools (`auditor.plexi`) |
| `public/`, `signed-checkpoint` | the log (`auditor.log_directory`) |
| `signed/` | each envelope that the auditor ever signed, so that no epoch is signed twice |
| `namespaces.json` | which entries of the log belong to which namespace; made anew from the log when it is lost |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hsm_app.durable import replace_file
from hsm_app.errors import ConfigError
from hsm_app.fleet.manifest_json import NAMESPACE
from hsm_app.fleet.root_of_trust import RootOfTrust, check_expiry
from hsm_app.key_files import make_key_file, read_key_file
from hsm_app.root_files import read_root_of_trust
from hsm_app.settings import ExistingFile, read_settings
from hsm_app.tlog.note import ED25519, VerifierKey

FILE = "auditor.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditorSettings:
    """`origin` names the log for ever; `namespaces` maps each namespace to the file of its root of trust."""

    origin: str
    log_key: ExistingFile
    auditor_key: ExistingFile
    plexi_key: ExistingFile | None = None
    namespaces: dict[str, ExistingFile] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Created:
    """The public parts of a new auditor's keys: what goes into roots of trust."""

    log: VerifierKey
    auditor: str  # hexadecimal, Ed25519


def create_auditor(root: Path, origin: str) -> Created:
    """Make keys and configuration in a new or empty directory. ConfigError when it holds something.

    The origin is asked for first: a root of trust could not name another kind, and a refusal leaves nothing behind.
    """
    if not NAMESPACE.fullmatch(origin):
        raise ConfigError(f"{origin[:80]!a} is no log's origin", f"Write a name of the form {NAMESPACE.pattern}")
    try:
        (root / "keys").mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise ConfigError(f"cannot create {root / 'keys'}: {error.strerror}", "Choose a new directory") from error
    log, auditor = make_key_file(root / "keys" / "log.pem"), make_key_file(root / "keys" / "auditor.pem")
    make_key_file(root / "keys" / "plexi.pem")
    text = (
        f'origin = "{origin}"\nlog_key = "keys/log.pem"\nauditor_key = "keys/auditor.pem"\n'
        'plexi_key = "keys/plexi.pem"\n\n[namespaces]\n'
    )
    replace_file(root / FILE, text.encode())
    return Created(VerifierKey(origin, ED25519, log.key.public), auditor.key.public.hex())


def read_auditor(root: Path) -> tuple[AuditorSettings, VerifierKey]:
    """Return an auditor's settings and its log's key. ConfigError names what is wrong."""
    settings = read_settings(root / FILE, AuditorSettings)
    return settings, VerifierKey(settings.origin, ED25519, read_key_file(settings.log_key).key.public)


def read_roots(settings: AuditorSettings, log: VerifierKey, now: int) -> Mapping[str, RootOfTrust]:
    """Return the root of trust of each namespace. ConfigError for one that has expired or is for something else.

    Also for one that names another key for this log: nobody who follows it would believe what is appended here.
    """
    roots = {}
    for namespace, path in settings.namespaces.items():
        root = read_root_of_trust(path)
        check_expiry(root, now)
        if (root.namespace, root.origin) != (namespace, settings.origin):
            raise ConfigError(
                f"{path} is the root of trust of {root.namespace} in the log {root.origin}",
                f"Give the one of {namespace} in {settings.origin}",
            )
        if root.policy.log(root.origin).key != log:
            raise ConfigError(f"{path} names another key for the log {root.origin}", f"Give the one with {log.text}")
        roots[namespace] = root
    return roots
