"""Unit files, read as strictly as they should be written: systemd itself only warns about a line that it does not know.

Syntax: systemd.syntax(7). A line that ends with a backslash goes on in the next one. Directives may be repeated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DIRECTORY = Path(__file__).parents[2] / "scripts" / "systemd"
SECTION = re.compile(r"\[([A-Z][a-z]+)\]")
DIRECTIVE = re.compile(r"([A-Z][A-Za-z0-9]+)=(.*)")


@dataclass(frozen=True, slots=True)
class Unit:
    """The directives of each section, in order."""

    path: Path
    sections: dict[str, tuple[tuple[str, str], ...]]

    def all(self, name: str, section: str = "Service") -> list[str]:
        return [value for key, value in self.sections.get(section, ()) if key == name]

    def one(self, name: str, section: str = "Service") -> str:
        """Return the value of a directive that stands exactly once."""
        (value,) = self.all(name, section)
        return value


def read_unit(path: Path) -> Unit:
    """Read a unit. ValueError names the line that is no section, directive or comment."""
    found: dict[str, list[tuple[str, str]]] = {}
    section = None
    for number, line in enumerate(_joined(path.read_text()), 1):
        if not line or line.startswith("#"):
            continue
        if heading := SECTION.fullmatch(line):
            section = heading[1]
            if section in found:
                raise ValueError(f"{path.name}, line {number}: [{section}] stands twice")
            found[section] = []
        elif (directive := DIRECTIVE.fullmatch(line)) and section:
            found[section].append((directive[1], directive[2]))
        else:
            raise ValueError(f"{path.name}, line {number}: {line!r}")
    return Unit(path, {name: tuple(lines) for name, lines in found.items()})


def _joined(text: str) -> list[str]:
    return re.sub(r" \\\n +", " ", text).split("\n")


def services() -> list[Unit]:
    return [read_unit(path) for path in sorted(DIRECTORY.glob("*.service"))]
