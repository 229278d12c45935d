"""The script as a document to print and initial: Markdown, and the same as one HTML page. Its SHA-256 names it.

The digest is of the Markdown, which does not hold it (it is printed beside the document, and read aloud as words).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from html import escape

from hsm_app.ceremony.gathering import BACK, GOES_ON
from hsm_app.ceremony.script import DOES, Deed, Script, Step

INITIALS = "Time (UTC): __________   Initials: ______________________________"
STYLE = (
    "body{font:16px/1.5 serif;max-width:44em;margin:2em auto;padding:0 1em;color:#111;background:#fff}"
    "h2{break-after:avoid}section{break-inside:avoid}li{list-style:none}code{font-size:1em}"
    "td,th{text-align:left;padding:.2em 1em .2em 0;vertical-align:top;overflow-wrap:anywhere}"
)


def markdown(script: Script) -> bytes:
    """Return the document that people get beforehand, UTF-8."""
    return ("\n".join(_lines(script)) + "\n").encode()


def digest(script: Script) -> bytes:
    """Return the SHA-256 of the document."""
    return hashlib.sha256(markdown(script)).digest()


def page(script: Script, words: str) -> bytes:
    """Return the document as one HTML page, with its digest and the digest's words at the top."""
    plan = script.plan
    cells = ([escape(person.name), escape(person.role), f"<code>{escape(person.key)}</code>"] for person in plan.people)
    people = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in cells)
    steps = "".join(_section(number, step) for number, step in enumerate(script.steps, 1))
    head = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(script.title)}</title><style>{STYLE}</style>"
    )
    top = f"<h1>{escape(script.title)}: {escape(plan.fleet)}</h1>" + "".join(
        f"<p>{escape(text)}</p>" for text in (*_facts(script), *script.purpose)
    )
    sha = f"<p>SHA-256 of the Markdown form: <code>{digest(script).hex()}</code></p><p>{escape(words)}</p>"
    table = f"<h2>Participants</h2><table><tr><th>Name<th>Role<th>Key of the statement afterwards</tr>{people}</table>"
    return f"{head}{top}{sha}{table}<h2>Steps</h2>{steps}{_interruption_html()}{_exception_sheet_html()}".encode()


def _facts(script: Script) -> tuple[str, ...]:
    plan = script.plan
    what = f"Ceremony: {plan.ceremony} ({plan.kind}). Fleet: {plan.fleet}."
    if plan.roles is not None:
        return (what,)
    lost = f" Not here: {', '.join(map(plan.label, plan.lost))}." if plan.lost else ""
    threshold = f"{plan.threshold} of {len(plan.custodians)} custodians"
    return (f"{what} Custody: {plan.custody}. Threshold: {threshold}. Tokens: {len(plan.tokens)}.{lost}",)


def _lines(script: Script) -> Iterator[str]:
    yield f"# {script.title}: {script.plan.fleet}"
    for text in (*_facts(script), *script.purpose):
        yield from ("", text)
    yield from ("", "## Participants", "", "| name | role | key of the statement afterwards |", "|---|---|---|")
    for person in script.plan.people:
        yield f"| {person.name} | {person.role} | `{person.key}` |"
    for number, step in enumerate(script.steps, 1):
        yield from ("", *_step(number, step))
    yield from ("", "## After an interruption", "", *_interruption())
    yield from ("", "## Exception sheet", "")
    yield "For every answer that is not the one of the script. What happened, who decided what, and why:"
    yield from ("", *("_" * 72 for _ in range(8)), "", INITIALS)


def _interruption() -> tuple[str, ...]:
    return (GOES_ON, "", f"{BACK.asks}. A step that was done is not played again.", "", INITIALS)


def _step(number: int, step: Step) -> Iterator[str]:
    yield f"## {number}. {step.title}  ({step.id}; {step.roles})"
    for text in step.text:
        yield from ("", text)
    if step.deed is not Deed.NONE:
        yield from ("", f"**The program:** {DOES[step.deed]}")
    for confirmation in step.confirmations:
        yield from ("", f"- [ ] {confirmation.asks}")
    yield from ("", INITIALS)


def _section(number: int, step: Step) -> str:
    parts = [f"<section><h3>{number}. {escape(step.title)}</h3><p><i>{escape(step.id)}; {escape(step.roles)}</i></p>"]
    parts += [f"<p>{escape(text)}</p>" for text in step.text]
    if step.deed is not Deed.NONE:
        parts.append(f"<p><b>The program:</b> {escape(DOES[step.deed])}</p>")
    parts += [f"<p>&#9744; {escape(confirmation.asks)}</p>" for confirmation in step.confirmations]
    return "".join((*parts, f"<p>{INITIALS}</p></section>"))


def _interruption_html() -> str:
    texts = "".join(f"<p>{escape(text)}</p>" for text in _interruption() if text)
    return f"<section><h2>After an interruption</h2>{texts}</section>"


def _exception_sheet_html() -> str:
    room = "<p style='height:12em'></p>"
    return (
        f"<section><h2>Exception sheet</h2><p>What happened, who decided, and why:</p>{room}<p>{INITIALS}</p></section>"
    )
