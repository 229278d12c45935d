"""Strict TOML settings: a file becomes a frozen dataclass, or one ConfigError naming the file, the key and what to do.

The schema is a dataclass; its field names are the file's keys, and a field with a default may be left out. Refused:
unknown keys (with the nearest known one), missing keys, other types (a boolean is no number, nothing is coerced) and
paths that a field marked `ExistingFile` or `ExistingDirectory` does not find.

| field type | in the file |
|---|---|
| `str`, `bool`, `int` | the same; a text is not empty |
| `Seconds`, or `Annotated[int, Between(a, b)]` | a whole number in that range; durations are whole seconds |
| `Path` | a text; `~` is the home directory, and a relative path starts at the file's own directory |
| `Annotated[T, Parsed(function)]` | a text that `function` turns into T or refuses with ConfigError (an address) |
| another dataclass | a table; its `__post_init__` may refuse keys that do not go together |
| `tuple[T, ...]` | an array |
| `dict[str, T]`, `dict[int, T]` | a table with free keys |
| `T | None` | T; None is the default of a key that is left out |
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from hsm_app.errors import ConfigError

T = TypeVar("T")
SIZE_LIMIT = 1 << 20  # bytes; a settings file that is longer is another file
WORDS = {str: "a text in quotes", bool: "true or false", int: "a whole number", list: "an array", dict: "a table"}


@dataclass(frozen=True, slots=True)
class Between:
    """A whole number from `least` to `most`."""

    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text with a form of its own. `parse` returns the value or raises ConfigError."""

    parse: Callable[[str], Any]


class Existing(Enum):
    """What must lie at a path already."""

    FILE = "file"
    DIRECTORY = "directory"


ExistingFile = Annotated[Path, Existing.FILE]
ExistingDirectory = Annotated[Path, Existing.DIRECTORY]
Seconds = Annotated[int, Between(1, 86_400)]
Port = Annotated[int, Between(1, 65_535)]


def sha256_digest(text: str) -> bytes:
    """Read 64 hexadecimal digits, for `Annotated[bytes, Parsed(sha256_digest)]`."""
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise ConfigError("this is no SHA-256 digest", "Write its 64 lower-case hexadecimal digits")
    return bytes.fromhex(text)


def read_settings(path: Path, schema: type[T]) -> T:
    """Read the TOML file at `path` as the dataclass `schema`. ConfigError names the file, the key and the next step."""
    file = path.expanduser().absolute()
    try:
        with file.open("rb") as stream:
            raw = stream.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}", "Check the path of the configuration file"
        ) from error
    if len(raw) > SIZE_LIMIT:
        raise ConfigError(f"{path} is too long for a configuration file", "Check that it is the right file")
    try:
        document = tomllib.loads(raw.decode())
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text", "Check that it is the right file") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}", "Correct that place") from error
    settings: T = _Reader(file).table(document, schema, "")
    return settings


class _Reader:
    """Turns plain TOML values into typed ones. `key` is the dotted place in the file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def _refuse(self, key: str, why: str, todo: str) -> NoReturn:
        raise ConfigError(f"{self._file}: {key or 'the file'} {why}", todo)

    def table(self, value: object, schema: type[Any], key: str) -> Any:
        table = self._plain(value, dict, key)
        fields = {field.name: field for field in dataclasses.fields(schema)}
        for name in table:
            if name not in fields:
                self._unknown(_join(key, name), name, list(fields))
        types = get_type_hints(schema, include_extras=True)
        values = {}
        for name, field in fields.items():
            if name in table:
                values[name] = self.value(table[name], types[name], _join(key, name))
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                self._refuse(_join(key, name), "is missing", f"Add {name} = ... {_place(key)}")
        try:
            return schema(**values)
        except ConfigError as error:  # a rule over several of its keys, checked by the dataclass itself
            raise ConfigError(f"{self._file}: {error.what}", error.todo) from error

    def _unknown(self, key: str, name: str, known: list[str]) -> NoReturn:
        near = difflib.get_close_matches(name, known, 1)
        todo = f"Did you mean {near[0]}?" if near else f"Remove it; known keys are {', '.join(known)}"
        self._refuse(key, "is an unknown key", todo)

    def value(self, value: object, kind: Any, key: str) -> Any:
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return self._marked(value, arguments[0], arguments[1:], key)
        if origin in (Union, UnionType):
            return self.value(value, next(one for one in arguments if one is not NoneType), key)
        if origin is tuple:
            items = self._plain(value, list, key)
            return tuple(self.value(item, arguments[0], f"{key}[{index}]") for index, item in enumerate(items))
        if origin is dict:
            table = self._plain(value, dict, key)
            return {
                self._name(name, arguments[0], key): self.value(item, arguments[1], _join(key, name))
                for name, item in table.items()
            }
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            return self.table(value, kind, key)
        return self._path(value, key) if kind is Path else self._plain(value, kind, key)

    def _plain(self, value: object, kind: type[T], key: str) -> T:
        if type(value) is not kind:
            self._refuse(key, f"is not {WORDS[kind]}", f"Write {WORDS[kind]} there")
        if value == "":
            self._refuse(key, "is empty", "Write a value, or remove the key if it is optional")
        return value

    def _marked(self, value: object, kind: Any, marks: tuple[object, ...], key: str) -> Any:
        for mark in marks:
            if isinstance(mark, Parsed):
                return self._parsed(value, mark, key)
        read = self.value(value, kind, key)
        for mark in marks:
            if isinstance(mark, Between) and not mark.least <= read <= mark.most:
                self._refuse(key, f"is {read}, not {mark.least} to {mark.most}", "Write a number in that range")
            if isinstance(mark, Existing):
                self._exists(read, mark, key)
        return read

    def _exists(self, path: Path, mark: Existing, key: str) -> None:
        try:
            is_there = path.is_file() if mark is Existing.FILE else path.is_dir()
        except OSError as error:  # no right to look into its directory, or a name that no file can have
            self._refuse(key, f"names {path}: {error.strerror}", "Correct the path, or the rights of its directory")
        if not is_there:
            self._refuse(key, f"names no {mark.value}: {path}", f"Create that {mark.value} or correct the path")

    def _parsed(self, value: object, mark: Parsed, key: str) -> Any:
        text = self._plain(value, str, key)
        try:
            return mark.parse(text)
        except ConfigError as error:
            raise ConfigError(f"{self._file}: {key}: {error.what}", error.todo) from error

    def _path(self, value: object, key: str) -> Path:
        text = self._plain(value, str, key)
        if "\0" in text:
            self._refuse(key, "holds a NUL character", "Correct the path")
        try:
            return self._file.parent / Path(text).expanduser()
        except RuntimeError:  # pathlib: "~" with no home directory
            self._refuse(key, "starts with ~, and there is no home directory", "Write an absolute path")

    def _name(self, name: str, kind: type, key: str) -> object:
        if kind is str:
            return name
        if not re.fullmatch(r"0|[1-9][0-9]{0,9}", name):
            self._refuse(_join(key, name), "is not a whole number", "Write a number as the key")
        return int(name)


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _place(key: str) -> str:
    return f"in [{key}]" if key else "at the top of the file"
