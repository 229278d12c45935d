"""The same epochs once more, as Cloudflare's plexi auditor shows them, for tools that speak to that.

| path | is |
|---|---|
| `/info` | the view's public keys and the namespaces |
| `/namespaces`, `/namespaces/NAME` | name, first epoch and digest, status |
| `/namespaces/NAME/audits/EPOCH` | the digest of that epoch's manifest and a signature over it |
| `/namespaces/NAME/last-verified-epoch` | the audit of the last one |

The signature is Ed25519 over plexi's ciphersuite 1: a protobuf message of ciphersuite, namespace, time in milliseconds,
epoch and digest, in that order. Nothing marks these bytes as what they are, so the key signs nothing else. It proves
less than a bundle: no witness, no tree, no predecessor. An audit is kept as it was signed; its time is when the epoch
was logged.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import quote, unquote

from hsm_app.durable import make_directories, replace_file
from hsm_app.fleet.manifest import Manifest
from hsm_app.fleet.role_keys import Signer
from hsm_app.net.http import Reply

CIPHERSUITE = 1
DIRECTORY = "plexi"
_EPOCH = re.compile(r"[0-9]{1,20}")
JSON = {"Content-Type": "application/json", "Cache-Control": "no-cache"}


def signed_message(namespace: str, timestamp: int, epoch: int, digest: bytes) -> bytes:
    """Return what is signed: protobuf fields 1 to 5. `timestamp` in milliseconds, `digest` 32 bytes."""
    name = namespace.encode()
    audited = b"\x08" + _varint(epoch)
    return b"".join([
        b"\x08" + _varint(CIPHERSUITE),
        b"\x12" + _varint(len(name)) + name,
        b"\x18" + _varint(timestamp),
        b"\x22" + _varint(len(audited)) + audited,
        b"\x2a" + _varint(len(digest)) + digest,
    ])  # fmt: skip


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


class PlexiView:
    """The view's files, below the auditor's directory. `signer` is an Ed25519 key of its own."""

    def __init__(self, root: Path, signer: Signer) -> None:
        self._root = root
        self._signer = signer

    def record(self, manifest: Manifest, now: int) -> None:
        """Sign an epoch that was logged, unless that was done; `now` in POSIX seconds. StoreError when it cannot."""
        path = self._audit(manifest.namespace, manifest.epoch)
        if path.exists():
            return
        message = signed_message(manifest.namespace, now * 1000, manifest.epoch, manifest.digest)
        audit = {
            "ciphersuite": CIPHERSUITE,
            "version": CIPHERSUITE,
            "namespace": manifest.namespace,
            "timestamp": now * 1000,
            "epoch": manifest.epoch,
            "digest": manifest.digest.hex(),
            "signature": self._signer.sign(message).hex(),
            "key_id": self._signer.key.public[-1],
            "serialized_message": message.hex(),
        }
        make_directories(path.parent, self._root)
        replace_file(path, json.dumps(audit, indent=1).encode() + b"\n")

    def answer(self, path: str) -> Reply:
        """Answer a path of the API; 404 for any other."""
        match [unquote(part) for part in path.strip("/").split("/")]:
            case ["info"]:
                return _json(
                    {"keys": [{"public_key": self._signer.key.public.hex(), "not_before": 0}], "logs": self._all()}
                )
            case ["namespaces"]:
                return _json(self._all())
            case ["namespaces", name] if name in self._names():
                return _json(self._namespace(name))
            case ["namespaces", name, "audits", epoch] if name in self._names() and _EPOCH.fullmatch(epoch):
                return self._file(name, int(epoch))
            case ["namespaces", name, "last-verified-epoch"] if name in self._names():
                return self._file(name, max(self._epochs(name)))
        return Reply(404)

    def _file(self, name: str, epoch: int) -> Reply:
        path = self._audit(name, epoch)
        return Reply(200, path.read_bytes(), JSON) if path.exists() else Reply(404)

    def _all(self) -> list[object]:
        return [self._namespace(name) for name in self._names()]

    def _namespace(self, name: str) -> object:
        first = min(self._epochs(name))
        audit = json.loads(self._audit(name, first).read_bytes())
        root = f"{first}/{audit['digest']}"
        return {"name": name, "root": root, "status": "Online", "signature_version": CIPHERSUITE}

    def _names(self) -> list[str]:
        there = self._root / DIRECTORY
        return sorted(unquote(path.name) for path in there.iterdir()) if there.is_dir() else []

    def _epochs(self, name: str) -> list[int]:
        return [int(path.stem) for path in (self._root / DIRECTORY / quote(name, safe="")).glob("*.json")]

    def _audit(self, name: str, epoch: int) -> Path:
        return self._root / DIRECTORY / quote(name, safe="") / f"{epoch}.json"


def _json(value: object) -> Reply:
    return Reply(200, json.dumps(value, indent=1).encode() + b"\n", JSON)
