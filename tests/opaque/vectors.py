"""The RFCs' test vectors: JSON files in the directory that VAULT_VECTORS names, else in `shared/vectors` beside this
repository. They are never skipped: a missing file fails, and the message says what to set."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "vectors"


def load(name: str) -> Any:
    """Return the parsed file. To be called while the tests are collected."""
    path = Path(os.environ.get("VAULT_VECTORS") or BESIDE) / name
    if path.is_file():
        return json.loads(path.read_text())
    pytest.fail(f"there is no test vector file {path}: set VAULT_VECTORS to the directory that holds it", pytrace=False)


def octets(table: dict[str, str]) -> dict[str, bytes]:
    return {name: bytes.fromhex(value) for name, value in table.items()}
