"""How every ceremony begins and ends: who is here, what time it is, what runs; exceptions and statements."""

from __future__ import annotations

from collections.abc import Sequence

from hsm_app.ceremony.plan import Kind, Plan
from hsm_app.ceremony.script import Confirmation, Deed, Step

HERE, SAME, RIGHT, AGREED, GONE = "here", "same", "right", "agreed", "gone"
ALL, ADMINISTRATOR, CUSTODIANS = "all", "administrator", "custodians"
WORDS = (
    "Fingerprints are read aloud as twelve words. Everybody compares them with the printed sheet or the other screen."
)


RESUMED = "resumed"  # no step of a script: it stands between two of them
GOES_ON = (
    "The ceremony was interrupted, and goes on. Whoever was here at the roll call is here again. Whoever is not, or "
    "came in place of somebody, is named on an exception sheet: give any other answer."
)
BACK = Confirmation(f"All of them are here again, and the time on the screen is right (UTC): type {HERE}", HERE)


def opening(plan: Plan) -> tuple[Step, ...]:
    """Return the steps before anything happens to a token."""
    kind = (
        "This is a rehearsal. Every token is a throw-away one, and nothing of it may be used for real."
        if plan.kind is Kind.REHEARSAL
        else "This is not a rehearsal."
    )
    present = tuple(Confirmation(f"{person.name} ({person.role}): type {HERE}", HERE) for person in plan.people)
    return (
        Step(
            id="roll-call",
            title="Who is here",
            roles=ALL,
            text=(kind, "Each participant says name and role, and the administrator types the answer for each."),
            confirmations=present,
        ),
        Step(
            id="clock",
            title="The clock",
            roles="witnesses",
            text=("A witness compares the time on the screen with a watch. Both may differ by two minutes.",),
            confirmations=(Confirmation(f"The time on the screen is right (UTC): type {RIGHT}", RIGHT),),
        ),
        Step(
            id="script",
            title="The script",
            roles=ALL,
            text=(
                WORDS,
                "These are the words of the SHA-256 of the script's Markdown form. `hsm-vault ceremony script` showed "
                "them when the script was printed, and each sheet has them on its first page, printed or by hand.",
            ),
            deed=Deed.SCRIPT,
            confirmations=(Confirmation(f"The words on the sheets are the same: type {SAME}", SAME),),
        ),
        Step(
            id="software",
            title="The program",
            roles="auditor and witnesses",
            text=(
                "These are the words of the digest over the program's files. `hsm-vault software` shows them on every "
                "machine that has the published program; they were noted there beforehand.",
            ),
            deed=Deed.SOFTWARE,
            confirmations=(Confirmation(f"The published words are the same: type {SAME}", SAME),),
        ),
    )


def devices(plan: Plan, what: str) -> Step:
    """Return the step in which people look at the tokens. `what` says in which state they have to be."""
    return Step(
        id="devices",
        title="The tokens",
        roles="administrator and witnesses",
        text=(what, "Check seals and serial numbers against the delivery papers. Nothing is written to a token here."),
        deed=Deed.DEVICES,
        confirmations=(Confirmation(f"Every token is as the list says: type {RIGHT}", RIGHT),),
    )


def inventories(plan: Plan, replicas: Sequence[int]) -> tuple[Step, ...]:
    """Return a step for each token that shows all that it holds."""
    return tuple(
        Step(
            id=f"inventory-{replica}",
            title=f"All that token {plan.label(replica)} holds",
            roles="auditor and witnesses",
            text=("There must be nothing here that the script did not make, under whatever name.",),
            deed=Deed.INVENTORY,
            replica=replica,
            confirmations=(Confirmation(f"The list is complete and right: type {RIGHT}", RIGHT),),
        )
        for replica in replicas
    )


def closing() -> tuple[Step, ...]:
    """Return the last step. What is signed and published afterwards needs no room."""
    return (
        Step(
            id="end",
            title="The end",
            roles=ALL,
            text=(
                "Whoever saw something that is not in the record says so now; it goes on an exception sheet.",
                "The transcript ends with this step. Then each participant signs, at a time and machine of their own, "
                "that the script was followed and the record is true, or that it is not. Both are published.",
            ),
            confirmations=(Confirmation(f"Nobody has anything to add: type {AGREED}", AGREED),),
        ),
    )
