"""The arrows of the architecture, off the source: cli -> programs -> adapters, ports -> pure core -> model, errors.

`ROOMS` is the whole map: which room may import which. A new room has to be entered here, on purpose. The pure core
(`PURE`) gets time, randomness and a token's answers as arguments, so it may not even import what could fetch them. A
library is imported in the rooms that translate its exceptions (`OWNERS`) and nowhere else.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "hsm_app"

BASE = frozenset({"errors", "model"})
PURE = frozenset(
    {"opaque", "consensus", "merkle", "wire", "tlog", "fleet", "vault", "ceremony", "evidence", "profiles"}
)
CORE = BASE | PURE | {"ports"}
PROGRAM = CORE | {"durable", "epochs", "key_files", "net", "process", "root_files", "settings"}

ROOMS: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "model": frozenset({"errors"}),
    "opaque": frozenset({"errors"}),
    "consensus": BASE,
    "merkle": BASE,
    "wire": BASE,
    "tlog": BASE,
    "fleet": BASE | {"tlog"},
    "vault": BASE | {"fleet"},
    "ceremony": BASE | {"fleet"},
    "evidence": BASE | {"fleet", "tlog", "ceremony"},
    "profiles": BASE | {"fleet"},
    "epochs": BASE | {"durable", "fleet"},
    "ports": BASE | PURE,
    "process": frozenset({"errors"}),
    "durable": frozenset({"errors"}),
    "key_files": BASE | {"durable", "fleet"},
    "root_files": BASE | {"fleet"},
    "profile_files": BASE | {"profiles"},
    "settings": frozenset({"errors"}),
    "token": CORE,
    "store": CORE | {"settings"},
    "net": CORE,
    "replica": PROGRAM | {"token", "store"},
    "relay": PROGRAM,
    "signers": PROGRAM | {"token"},
    "pages": BASE | {"durable", "evidence"},
    "auditor": PROGRAM | {"signers", "pages"},
    "witness": PROGRAM,
    "monitor": PROGRAM,
    "client": PROGRAM,
    "operator": PROGRAM | {"token", "signers"},
    "cli": PROGRAM
    | {"token", "store", "replica", "relay", "client", "operator", "auditor", "witness", "monitor", "signers"}
    | {"pages", "profile_files"},
    "": frozenset(),  # hsm_app/__init__.py: the version
}

# fmt: off
# What could read the world or change it. `datetime` stays: reading a date is pure, asking for today's is in METHODS.
IMPURE = frozenset({
    "asyncio", "click", "concurrent", "ctypes", "fcntl", "ftplib", "getpass", "glob", "http", "importlib", "io",
    "logging", "mmap", "multiprocessing", "os", "pkcs11", "pathlib", "pty", "random", "resource", "secrets",
    "select", "selectors", "shutil", "signal", "socket", "socketserver", "sqlite3", "ssl", "subprocess", "sys",
    "tempfile", "termios", "threading", "time", "urllib", "uuid",
})
# The same by way of a call: files and the console as built-ins, the clock and a library's own randomness as methods.
BUILTINS = frozenset({"__import__", "eval", "exec", "input", "open", "print"})
METHODS = frozenset({
    "generate", "generate_key", "generate_private_key", "now", "today", "urandom", "utcnow",
})
# fmt: on

OWNERS: dict[str, frozenset[str]] = {
    "pkcs11": frozenset({"token"}),
    "asn1crypto": frozenset({"token", "evidence"}),
    "ctypes": frozenset({"token", "process"}),
    "sqlite3": frozenset({"store"}),
    "psycopg": frozenset({"store"}),
    "click": frozenset({"cli"}),
    "shamir_mnemonic": frozenset({"ceremony"}),
    "jwt": frozenset({"fleet", "operator"}),
    "pyrage": frozenset({"client"}),
    "importlib": frozenset({"cli"}),  # a room reached by its name in a string is an arrow that nobody sees
    "importlib.metadata": frozenset({"operator"}),  # what is installed; imports nothing
}
# The command line parses, wires and calls: no key, point or row passes through its own hands.
NOT_IN_CLI = frozenset({"asn1crypto", "cryptography", "msgpack", "pkcs11", "socket", "sqlite3"})


@dataclass(frozen=True, slots=True)
class Import:
    """`module` imports `target` at `line`; both are dotted names."""

    module: str
    target: str
    line: int


def room(module: str) -> str:
    """Return the room of a module of the package: `hsm_app.wire.frames` lies in `wire`."""
    return module.split(".")[1] if "." in module else ""


def imports(module: str, tree: ast.Module, *, package: bool) -> Iterator[Import]:
    """Yield every import, also those inside functions and under TYPE_CHECKING: an arrow is an arrow."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(module, name.name, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                parents = module.split(".")[: None if package and node.level == 1 else -(node.level - package)]
                source = ".".join([*parents, source]).rstrip(".")
            names = [f"{source}.{name.name}" for name in node.names] if source == PACKAGE else [source]
            yield from (Import(module, name, node.lineno) for name in names)


def wrong_arrow(arrow: Import) -> str | None:
    """Say what is wrong with an import, or None."""
    here, top = room(arrow.module), arrow.target.split(".")[0]
    if here not in ROOMS:
        return f"{here} is no room of the map: enter it in ROOMS"
    if top == PACKAGE:
        there = room(arrow.target)
        if there == here or there not in ROOMS or there in ROOMS[here]:
            return None  # a name that is no room is a name of hsm_app/__init__.py
        return f"{here} may not import {there}"
    if here in PURE | BASE and top in IMPURE:
        return f"{here} is pure and may not import {top}"
    owners = OWNERS.get(arrow.target, OWNERS.get(top, {here}))
    if here not in owners:
        return f"{arrow.target} belongs to {', '.join(sorted(owners))}, not to {here}"
    if here == "cli" and top in NOT_IN_CLI:
        return f"cli only wires and may not import {top}"
    return None


def impure_calls(module: str, tree: ast.Module) -> Iterator[str]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)] if room(module) in PURE else []
    for call in calls:
        if getattr(call.func, "id", "") in BUILTINS or getattr(call.func, "attr", "") in METHODS:
            yield f"{module}:{call.lineno}: the pure core may not call {ast.unparse(call.func)}()"


def violations(module: str, source: str, *, package: bool = False) -> list[str]:
    """Return what breaks the architecture in one module, a line each."""
    tree = ast.parse(source)
    found = [
        f"{a.module}:{a.line}: {wrong}" for a in imports(module, tree, package=package) if (wrong := wrong_arrow(a))
    ]
    return found + list(impure_calls(module, tree))


def modules() -> dict[str, Path]:
    names = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def test_every_arrow_points_down() -> None:
    found = [
        line
        for module, path in modules().items()
        for line in violations(module, path.read_text(), package=path.name == "__init__.py")
    ]
    assert not found, "\n".join(found)


def test_no_module_imports_itself_by_way_of_others() -> None:
    known = modules()
    graph = {
        module: {
            arrow.target
            for arrow in imports(module, ast.parse(path.read_text()), package=path.name == "__init__.py")
            if arrow.target in known
        }
        for module, path in known.items()
    }
    done: set[str] = set()

    def walk(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join([*above[above.index(module) :], module])
        if module not in done:
            for target in sorted(graph[module]):
                walk(target, (*above, module))
            done.add(module)

    for module in graph:
        walk(module, ())


WRONG = {
    "the pure core reads the clock": ("hsm_app.vault.record", "import time"),
    "the pure core draws randomness": ("hsm_app.opaque.client", "from secrets import token_bytes"),
    "the pure core asks the operating system": ("hsm_app.wire.link", "import os.path"),
    "the pure core speaks to the network": ("hsm_app.consensus.proposer", "import asyncio"),
    "the pure core lets a library draw a key": ("hsm_app.vault.owner", "Ed25519PrivateKey.generate()"),
    "the pure core asks what day it is": ("hsm_app.fleet.manifest", "datetime.now(UTC)"),
    "the pure core opens a file": ("hsm_app.vault.recovery_code", "open('codes.txt')"),
    "the pure core reads a ceremony's files": ("hsm_app.evidence.statement", "from pathlib import Path"),
    "the pure core imports a port": ("hsm_app.vault.record", "from hsm_app.ports import Token"),
    "an arrow hides in a function": ("hsm_app.wire.frames", "def f():\n    from hsm_app.vault import record"),
    "an arrow hides under TYPE_CHECKING": ("hsm_app.opaque.oprf", "if TYPE_CHECKING:\n    from hsm_app import model"),
    "an arrow is written relative": ("hsm_app.wire.frames", "from ..replica import service"),
    "an adapter calls a program": ("hsm_app.store.sqlite", "from hsm_app.replica.votes import VoteWorker"),
    "one adapter uses another": ("hsm_app.store.sqlite", "from hsm_app.token.owner import TokenOwner"),
    "one program uses another": ("hsm_app.relay.server", "from hsm_app.replica import service"),
    "the relay holds a token": ("hsm_app.relay.server", "from hsm_app.token.owner import TokenOwner"),
    "the client holds a token": ("hsm_app.client.vault", "import hsm_app.token.owner"),
    "a program uses the command line": ("hsm_app.replica.server", "from hsm_app.cli.main import main"),
    "a second room loads the PKCS#11 library": ("hsm_app.replica.server", "import pkcs11"),
    "a second room parses arguments": ("hsm_app.client.vault", "import click"),
    "the command line handles keys itself": ("hsm_app.cli.client", "from cryptography.hazmat.primitives import hashes"),
    "a library imports by name": ("hsm_app.replica.server", "import importlib"),
    "the operator's part imports by name": ("hsm_app.operator.software", "from importlib import import_module"),
    "a replica asks what is installed": ("hsm_app.replica.server", "from importlib.metadata import version"),
    "a new room is not on the map": ("hsm_app.helpers.text", "import re"),
}
RIGHT = {
    "a neighbour in the same room": ("hsm_app.wire.frames", "from .envelopes import Request"),
    "the operator's part asks what is installed": (
        "hsm_app.operator.software",
        "from importlib.metadata import version",
    ),
    "the version, from anywhere": ("hsm_app.cli.main", "from hsm_app import __version__"),
    "dates are read, not asked for": ("hsm_app.fleet.manifest", "from datetime import datetime"),
    "a sealed message is opened": ("hsm_app.wire.session", "receiver.open(enc)"),
    "the command line wires a program": ("hsm_app.cli.replica", "from hsm_app.replica.server import serve"),
    "the token room loads the PKCS#11 library": ("hsm_app.token.carry", "import pkcs11.util.ec"),
}


@pytest.mark.parametrize(("module", "source"), WRONG.values(), ids=WRONG.keys())
def test_the_walk_sees(module: str, source: str) -> None:
    assert violations(module, source)


@pytest.mark.parametrize(("module", "source"), RIGHT.values(), ids=RIGHT.keys())
def test_the_walk_accepts(module: str, source: str) -> None:
    assert violations(module, source) == []
