"""A device's profile: how it is connected, and what it offers of each of `NEEDS`, with the source of every answer.

| answer | means |
|---|---|
| `yes` | the documents name it; in a profile that was tested, the probe did it |
| `with-setting` | as `yes`, once `switch_on` is done |
| `no` | the documents leave it out or refuse it, and the note says what follows |
| `unknown` | the documents that were read do not say |

Refused, as a ConfigError: an unknown or missing member, a need that is left out or invented, an answer that was neither
tested nor has a source (but for `unknown`), a `no` or `unknown` without a note, `with-setting` without `switch_on`, and
a source that nothing refers to.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from datetime import date
from enum import Enum

from hsm_app.errors import ConfigError
from hsm_app.fleet.strict_json import Node
from hsm_app.profiles.needs import NEEDS, Need

LIMIT = 1 << 16  # bytes of a profile
NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
TEXT = re.compile(r"[!-~](?:[ -~]{0,598}[!-~])?")  # one line of plain ASCII, which any terminal shows
URL = re.compile(r"https://[!-~]{4,300}")
SWITCH_ON = "switch_on"


class Offer(Enum):
    """What a device offers of a need."""

    YES = "yes"
    SETTING = "with-setting"
    UNKNOWN = "unknown"
    NO = "no"


class Status(Enum):
    """How the profile came about."""

    TESTED = "tested"
    DOCUMENTED = "documented only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A document, and the day when it was read; what was read may be a stored copy that is older."""

    title: str
    url: str
    read: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the device offers of one need. `sources` are numbers in the profile's list, from 1."""

    need: Need
    offer: Offer
    note: str
    switch_on: str
    sources: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """`version` is what was tested, or what the documents are about. `answers` come in the order of `NEEDS`."""

    name: str
    vendor: str
    product: str
    status: Status
    version: str
    modules: tuple[str, ...]
    connection: tuple[str, ...]
    remarks: tuple[str, ...]
    sources: tuple[Source, ...]
    answers: tuple[Answer, ...]

    def with_offer(self, offer: Offer) -> tuple[Answer, ...]:
        """Return the answers to what is required that say `offer`."""
        return tuple(answer for answer in self.answers if answer.need.required and answer.offer is offer)

    def verdict(self) -> str:
        """Say in one sentence whether the vault runs on the device, as far as the profile knows."""
        missing, open_, total = len(self.with_offer(Offer.NO)), len(self.with_offer(Offer.UNKNOWN)), required()
        if missing:
            return f"This vault does not run on it as is: {missing} of {total} needed abilities are missing."
        if self.status is Status.TESTED and not open_:
            return "The vault runs on it: the probe found every needed ability."
        if open_:
            return f"Nobody knows: the documents that were read leave {open_} of {total} needed abilities open."
        return "By its documents the vault could run on it. Nobody has tried."


def required() -> int:
    """Return how many needs a device has to meet."""
    return sum(need.required for need in NEEDS)


def parse_profile(raw: bytes, what: str) -> Profile:
    """Read a profile's TOML. ConfigError names `what` and the place."""
    member = _document(raw, what).members(
        "name", "vendor", "product", "status", "version", "modules", "connection", "remarks", "source", "needs"
    )
    sources = tuple(_source(node) for node in member("source").items(1, 30))
    status = member("status").one_of({status.value: status for status in Status})
    profile = Profile(
        name=member("name").text(NAME),
        vendor=member("vendor").text(TEXT),
        product=member("product").text(TEXT),
        status=status,
        version=member("version").text(TEXT),
        modules=_texts(member("modules")),
        connection=_texts(member("connection")),
        remarks=_texts(member("remarks")),
        sources=sources,
        answers=_answers(member("needs"), len(sources), status),
    )
    _check_sources(profile, member("source"))
    return profile


def _document(raw: bytes, what: str) -> Node:
    if len(raw) > LIMIT:
        raise ConfigError(f"{what} has more than {LIMIT} bytes", "Check that it is the right file")
    try:
        return Node(tomllib.loads(raw.decode()), what)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{what} is not UTF-8 text", "Check that it is the right file") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{what} is not TOML: {error}", "Correct that place") from error


def _texts(node: Node) -> tuple[str, ...]:
    return tuple(item.text(TEXT) for item in node.items(1, 12))


def _source(node: Node) -> Source:
    member = node.members("title", "url", "read")
    day = member("read")
    if type(day.value) is not date:
        day.refuse("is not a date, such as 2026-11-24")
    return Source(title=member("title").text(TEXT), url=member("url").text(URL), read=day.value)


def _answers(node: Node, sources: int, status: Status) -> tuple[Answer, ...]:
    member = node.members(*(need.id for need in NEEDS))
    answers = tuple(_answer(need, member(need.id), sources) for need in NEEDS)
    for answer in answers:
        _check_answer(answer, member(answer.need.id), status)
    return answers


def _answer(need: Need, node: Node, sources: int) -> Answer:
    given = node.value if type(node.value) is dict else {}
    member = node.members("offer", "note", "sources", *([SWITCH_ON] if SWITCH_ON in given else []))
    return Answer(
        need=need,
        offer=member("offer").one_of({offer.value: offer for offer in Offer}),
        note=_text_or_nothing(member("note")),
        switch_on=member(SWITCH_ON).text(TEXT) if SWITCH_ON in given else "",
        sources=tuple(item.integer(1, sources) for item in member("sources").items(0, 10)),
    )


def _text_or_nothing(node: Node) -> str:
    return "" if node.value == "" else node.text(TEXT)


def _check_answer(answer: Answer, node: Node, status: Status) -> None:
    if answer.offer in (Offer.NO, Offer.UNKNOWN) and not answer.note:
        node.refuse(f"says {answer.offer.value} and has no note: say what follows, or what was read")
    if answer.offer is Offer.SETTING and not answer.switch_on:
        node.refuse("says with-setting and not which: add switch_on")
    if answer.offer is Offer.NO and answer.switch_on:
        node.refuse("says no and has a switch_on: then it is with-setting")
    if answer.offer is not Offer.UNKNOWN and status is Status.DOCUMENTED and not answer.sources:
        node.refuse("names no source, and was not tested")


def _check_sources(profile: Profile, node: Node) -> None:
    """A source is referred to by an answer, or by its number in brackets in a text."""
    used = {number for answer in profile.answers for number in answer.sources}
    texts = " ".join((*profile.connection, *profile.remarks))
    for number in range(1, len(profile.sources) + 1):
        if number not in used and f"[{number}]" not in texts:
            node.refuse(f"has an entry that nothing refers to: number {number}")
