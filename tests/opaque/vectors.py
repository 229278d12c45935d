"""The RFCs' test vectors: JSON files in the directory that VAULT_VECTORS names, else in `shared/vectors` beside this
repository. Where CI is set a missing file fails; elsewhere the tests that need it are skipped and say what to set."""

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
    missing = f"there is no test vector file {path}: set VAULT_VECTORS to the directory that holds it"
    if os.environ.get("CI") == "true":
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing, allow_module_level=True)


def octets(table: dict[str, str]) -> dict[str, bytes]:
    return {name: bytes.fromhex(value) for name, value in table.items()}
