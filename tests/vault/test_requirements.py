"""Holds docs/requirements.md, the code and the tests together: each id stands in all three."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ID = re.compile(r"\bVAULT(?:-[A-Z0-9]+){2,}\b")
TABLE = re.findall(r"^\| (VAULT-[A-Z0-9-]+) \|", (ROOT / "docs/requirements.md").read_text(), re.MULTILINE)


def in_docstrings(folder: str) -> set[str]:
    """The ids in docstrings of modules, classes and functions; of tests, only in a test's own."""
    found: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if folder == "tests" and not getattr(node, "name", "").startswith("test_"):
                continue
            found |= set(ID.findall(ast.get_docstring(node) or ""))
    return found


IN_CODE, IN_TESTS = in_docstrings("hsm_app"), in_docstrings("tests")


def test_the_table_has_each_id_once() -> None:
    assert TABLE
    assert len(TABLE) == len(set(TABLE))


@pytest.mark.parametrize("requirement", TABLE)
def test_the_code_and_a_test_name(requirement: str) -> None:
    assert requirement in IN_CODE, "no docstring of the code names it"
    assert requirement in IN_TESTS, "no docstring of a test names it"


def test_no_id_is_missing_from_the_table() -> None:
    written = {found for path in (ROOT / "hsm_app").rglob("*.py") for found in ID.findall(path.read_text())}
    assert written | IN_TESTS <= set(TABLE)
