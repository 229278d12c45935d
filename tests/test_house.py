"""The house rules that a machine can check, over `hsm_app/` and over every file that git tracks."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULE_LINES = 300
FUNCTION_LINES = 60
TARGET_LINES = 5
UNNAMED = frozenset({"utils", "util", "common", "misc", "helpers", "helper"})  # names that say nothing
LOCKS = ("requirements.lock", "requirements-dev.lock")

# Written in pieces, since this file is tracked too.
REGISTRY_HOSTS = ("pypi" + ".org", "python" + "hosted.org", "npm" + "js.org", "yarn" + "pkg.com", "deb." + "debian.org")
MACHINE_PATH = re.compile(r"(?<![\w.$}/-])/(?:work|root|home/\w+|opt/(?:pypi|wheels))(?:/|\b)")
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
BLANKET_IGNORE = re.compile(r"#\s*(?:type:\s*ignore(?!\[)|noqa(?!:))")


def sources() -> list[Path]:
    return sorted((ROOT / "hsm_app").rglob("*.py"))


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]


def code_faults(source: str, *, may_print: bool = False) -> list[str]:
    """Return the breaches of the house rules in one module of `hsm_app`, a line each."""
    tree = ast.parse(source)
    faults = [
        f"{number}: {line.strip()}" for number, line in enumerate(source.splitlines(), 1) if UNFINISHED.search(line)
    ]
    faults += [
        f"{n}: ignores every rule" for n, line in enumerate(source.splitlines(), 1) if BLANKET_IGNORE.search(line)
    ]
    if source.count("\n") > MODULE_LINES:
        faults.append(f"more than {MODULE_LINES} lines: it has two subjects")
    if tree.body and not ast.get_docstring(tree):
        faults.append("1: no module docstring")
    return faults + [fault for node in ast.walk(tree) for fault in node_faults(node, may_print)]


def node_faults(node: ast.AST, may_print: bool) -> Iterator[str]:
    if isinstance(node, ast.ExceptHandler) and node.type is None:
        yield f"{node.lineno}: bare except"
    if isinstance(node, ast.Assert):
        yield f"{node.lineno}: assert vanishes under -O: raise an error of a family"
    if (
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno > FUNCTION_LINES
    ):
        yield f"{node.lineno}: {node.name} has more than {FUNCTION_LINES} lines"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print" and not may_print:
        yield f"{node.lineno}: print() belongs to the command line"


def text_faults(name: str, text: str) -> list[str]:
    """Return the lines of a tracked file that name a registry's host or a path of somebody's machine."""
    return [
        f"{name}:{number}: {line.strip()[:120]}"
        for number, line in enumerate(text.splitlines(), 1)
        if any(host in line for host in REGISTRY_HOSTS) or MACHINE_PATH.search(line)
    ]


def lock_faults(text: str) -> list[str]:
    """A lock names each version with its hashes, and no place to fetch it from."""
    faults = [
        line
        for line in text.splitlines()
        if "://" in line or line.lstrip().startswith(("--index", "--find", "--extra"))
    ]
    pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    return (
        faults + [pin for pin in pins if not re.fullmatch(r"[a-z0-9.\-]+==\S+ \\", pin)] + ([] if pins else ["empty"])
    )


def libraries(source: str) -> set[str]:
    """Return the top-level packages a module imports that are neither Python's nor our own."""
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {name.name for node in imports if isinstance(node, ast.Import) for name in node.names}
    names |= {node.module or "" for node in imports if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"hsm_app"}


def package_name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


def makefile_faults(text: str) -> list[str]:
    rules = re.findall(r"^([a-z]\w*):[^\n=]*\n((?:\t.*\n)*)", text, re.MULTILINE)
    return [name for name, recipe in rules if recipe.count("\n") > TARGET_LINES] + (
        [] if rules else ["no target found"]
    )


def test_modules_keep_the_house_rules() -> None:
    faults = [
        f"{path.relative_to(ROOT)}:{fault}"
        for path in sources()
        for fault in code_faults(path.read_text(), may_print="cli" in path.parts)
    ]
    assert not faults, "\n".join(faults)


def test_names_say_what_they_hold() -> None:
    paths = [*sources(), *tracked()]
    unnamed = {str(path) for path in paths for part in path.relative_to(ROOT).parts if Path(part).stem in UNNAMED}
    assert not unnamed


def test_tracked_files_name_no_registry_and_no_machine() -> None:
    faults = []
    for path in tracked():
        faults += text_faults(str(path.relative_to(ROOT)), path.read_bytes().decode(errors="replace"))
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("name", LOCKS)
def test_every_dependency_is_locked_by_hash(name: str) -> None:
    assert lock_faults((ROOT / name).read_text()) == []


def test_the_locks_hold_what_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime = {package_name(one) for one in project["dependencies"]}
    dev = {package_name(one) for one in project["optional-dependencies"]["dev"]}
    locked = [{package_name(line) for line in (ROOT / lock).read_text().splitlines() if "==" in line} for lock in LOCKS]
    assert runtime <= locked[0], "run `make lock`"
    assert runtime | dev <= locked[1], "run `make lock`"


def test_the_project_names_the_libraries_it_uses_and_no_others() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    used = {library for path in sources() for library in libraries(path.read_text())}
    providers = packages_distributions()
    named = [*project["dependencies"], *project["optional-dependencies"]["postgres"]]
    assert {package_name(providers[one][0]) for one in used} == {package_name(one) for one in named}


def test_make_targets_are_short() -> None:
    assert makefile_faults((ROOT / "Makefile").read_text()) == []


DOC = '"""What it decides."""\n'
BAD_CODE = {
    "an unfinished place": DOC + "x = 1  # TO" + "DO: later",
    "a bare except": DOC + "try:\n    x = 1\nexcept:\n    pass",
    "an assert as a check": DOC + "def f(x):\n    assert x",
    "no docstring": "x = 1",
    "a module with two subjects": DOC + "x = 1\n" * (MODULE_LINES + 1),
    "a function that never ends": DOC + "def f():\n" + "    x = 1\n" * (FUNCTION_LINES + 1),
    "a print in a library": DOC + "print('secret')",
    "all type errors ignored": DOC + "x = 1  # type: " + "ignore",
    "all lint rules ignored": DOC + "x = 1  # no" + "qa",
}
GOOD_CODE = {
    "an empty __init__": "",
    "the todo of an error": DOC + "todo = 'Try again'",
    "one named rule ignored": DOC + "x = 1  # type: ignore[override]",
}


@pytest.mark.parametrize("source", BAD_CODE.values(), ids=BAD_CODE.keys())
def test_the_rules_see(source: str) -> None:
    assert code_faults(source)


@pytest.mark.parametrize("source", GOOD_CODE.values(), ids=GOOD_CODE.keys())
def test_the_rules_accept(source: str) -> None:
    assert code_faults(source) == []


@pytest.mark.parametrize(
    "text", ["see https://" + host for host in REGISTRY_HOSTS] + ["cd /wo" + "rk/main", "in /ro" + "ot/.config"]
)
def test_a_machine_is_seen_in(text: str) -> None:
    assert text_faults("file", text)


@pytest.mark.parametrize(
    "text", ["the fleet-root key", "tests/work/x", "$HOME/root", "https://www.rfc-editor.org/rfc/rfc9807"]
)
def test_no_machine_is_seen_in(text: str) -> None:
    assert text_faults("file", text) == []


@pytest.mark.parametrize(
    "text", ["", "click==8.1\n", "--index-url https://x\nclick==8.1 \\\n    --hash=sha256:0\n", "click \\\n"]
)
def test_an_open_lock_is_seen(text: str) -> None:
    assert lock_faults(text)


def test_a_long_target_is_seen() -> None:
    assert makefile_faults("demo: setup\n" + "\tstep\n" * (TARGET_LINES + 1)) == ["demo"]
