"""`hsm-vault token profile`: what is known about devices before one is bought or connected. Fits 80 columns."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

import click

from hsm_app.profile_files import read_profile, read_profiles
from hsm_app.profiles.profile import Answer, Offer, Profile

WIDTH = 79
MARKS = {Offer.YES: "yes", Offer.SETTING: "set", Offer.UNKNOWN: "?", Offer.NO: "NO"}


@click.command("profile")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def show_profile(name: str | None, as_json: bool) -> None:
    """Show what the device NAME offers of what the vault needs; without NAME, all devices in a table.

    It was read from vendors' public documents, with the address of each, and was not tried, but for SoftHSM. Only
    `hsm-vault token probe` shows what a device does.

    Example: hsm-vault token profile thales-luna
    """
    if name is None:
        profiles = read_profiles()
        click.echo(json.dumps({"profiles": [as_object(one) for one in profiles]}) if as_json else _table(profiles))
        return
    profile = read_profile(name)
    click.echo(json.dumps(as_object(profile)) if as_json else "\n".join(_lines(profile)))


def as_object(profile: Profile) -> dict[str, Any]:
    """Return the profile as JSON members; `lacks` and `unknown` are the ids of needs."""
    return {
        "name": profile.name,
        "vendor": profile.vendor,
        "product": profile.product,
        "status": profile.status.value,
        "version": profile.version,
        "verdict": profile.verdict(),
        "lacks": [answer.need.id for answer in profile.with_offer(Offer.NO)],
        "unknown": [answer.need.id for answer in profile.with_offer(Offer.UNKNOWN)],
        "modules": profile.modules,
        "connection": profile.connection,
        "remarks": profile.remarks,
        "needs": [_answer_object(answer) for answer in profile.answers],
        "sources": [{"title": one.title, "url": one.url, "read": one.read.isoformat()} for one in profile.sources],
    }


def _answer_object(answer: Answer) -> dict[str, Any]:
    need = answer.need
    return {
        "id": need.id,
        "name": need.name,
        "calls": need.calls,
        "required": need.required,
        "offer": answer.offer.value,
        "switch_on": answer.switch_on,
        "note": answer.note,
        "sources": answer.sources,
    }


def _table(profiles: tuple[Profile, ...]) -> str:
    rows = [f"{'':17}{'':17}{'yes':>4}{'set':>4}{'?':>4}{'NO':>4}"]
    for profile in profiles:
        counts = "".join(f"{len(profile.with_offer(offer)):>4}" for offer in MARKS)
        rows += [f"{profile.name:17}{profile.status.value:17}{counts}", *_indented(profile.verdict(), 4)]
    legend = (
        "yes: offered; set: once something is switched on; ?: not in the documents that were read; NO: not offered, "
        "and nothing here works around it. Details: hsm-vault token profile NAME"
    )
    return "\n".join([*rows, "", *_wrapped(legend)])


def _lines(profile: Profile) -> Iterator[str]:
    yield from _wrapped(f"{profile.vendor}: {profile.product}")
    yield from _wrapped(f"{profile.status.value}: {profile.version}")
    yield ""
    yield from _wrapped(profile.verdict())
    for remark in profile.remarks:
        yield from _item("-", remark)
    yield from ("", "Module (the usual path)")
    yield from (f"  {module}" for module in profile.modules)
    yield from ("", "How it is connected")
    for text in profile.connection:
        yield from _item("-", text)
    yield from ("", "What the vault needs")
    for answer in profile.answers:
        yield from _answer_lines(answer)
    yield from ("", "Sources, and when they were read")
    for number, source in enumerate(profile.sources, 1):
        yield from _item(f"[{number}]", f"{source.title} ({source.read.isoformat()})")
        yield f"      {source.url}"


def _answer_lines(answer: Answer) -> Iterator[str]:
    optional = "" if answer.need.required else " (not needed)"
    cited = "".join(f"[{number}]" for number in answer.sources)
    yield f"  {MARKS[answer.offer]:4}{answer.need.name}{optional}"
    yield from _indented(f"{', '.join(answer.need.calls)} {cited}".rstrip(), 6)
    if answer.switch_on:
        yield from _indented(f"Switch on: {answer.switch_on}", 6)
    if answer.note:
        yield from _indented(answer.note, 6)
    if answer.offer is Offer.NO and answer.need.required:
        yield from _indented(f"Without it: {answer.need.lost}.", 6)


def _indented(text: str, by: int) -> list[str]:
    return _wrapped(text, " " * by, " " * by)


def _item(mark: str, text: str) -> list[str]:
    return _wrapped(text, f"  {mark} ", "    " if mark == "-" else "      ")


def _wrapped(text: str, first: str = "", rest: str = "") -> list[str]:
    """Wrap, but never inside a word: addresses and names stay whole."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
