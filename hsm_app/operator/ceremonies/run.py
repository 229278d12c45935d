"""Begins a ceremony in a directory of its own, or goes on with one; and the same without any token, as a dry run.

| file of the directory | holds |
|---|---|
| `plan.toml`, `script.md`, `script.html` | what was agreed on; the transcript names their digests |
| `transcript.jsonl`, `transcript.sig` | the transcript and journal, and a token's signature of it at the end |
| `custody.json` | commitments to the shares |
| `software.json` | what runs |
| `tokens/N.json` | what each token holds at the end |
| `replica-N/pin` | a token's user PIN; secret, of the owner only |

A directory has one ceremony and one process (VAULT-CEREMONY-ONE-WRITER): it is locked while the ceremony is played.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hsm_app.ceremony.catalogue import script_of
from hsm_app.ceremony.document import markdown, page
from hsm_app.ceremony.plan import Person, Plan, parse_plan
from hsm_app.ceremony.room import Room
from hsm_app.ceremony.script import Deed, Script
from hsm_app.ceremony.transcript import SCHEMA, EntryKind
from hsm_app.ceremony.words import fingerprint_words, is_like_a_share
from hsm_app.durable import owning, replace_file
from hsm_app.errors import ConfigError, LogError
from hsm_app.evidence.participants import check_own_keys, key_of
from hsm_app.operator.ceremonies.hall import Hall, Place
from hsm_app.operator.ceremonies.journal import Journal
from hsm_app.operator.ceremonies.play import Does, Play
from hsm_app.operator.ceremonies.record_deeds import SOFTWARE, RecordDeeds
from hsm_app.operator.ceremonies.role_deeds import RoleDeeds
from hsm_app.operator.ceremonies.token_deeds import TokenDeeds
from hsm_app.operator.ceremonies.upkeep_deeds import UpkeepDeeds
from hsm_app.operator.layout import make_directory
from hsm_app.token.pin import pin_from_file
from hsm_app.token.station import TokenStation

PLAN, SCRIPT, PAGE, TRANSCRIPT = "plan.toml", "script.md", "script.html", "transcript.jsonl"
SIGNATURE = "transcript.sig"
PLAN_KEYS = "Ask for it, correct the plan, and announce plan and script anew"
Clock = Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceremony:
    """A ceremony and the machine that it is played on. `software` is software.json of what runs."""

    place: Place
    plan_bytes: bytes
    software: bytes
    clock: Clock

    @property
    def plan(self) -> Plan:
        return parse_plan(self.plan_bytes)

    @property
    def script(self) -> Script:
        return script_of(self.plan)

    def first_line(self) -> Mapping[str, str]:
        """Return the body of the transcript's first line."""
        plan = self.plan
        return {
            "schema": SCHEMA,
            "ceremony": plan.ceremony.value,
            "kind": plan.kind.value,
            "fleet": plan.fleet,
            "custody": plan.custody.value,
            "plan_sha256": _sha256(self.plan_bytes),
            "script_sha256": _sha256(markdown(self.script)),
            "software_sha256": _sha256(self.software),
        }


def begin(ceremony: Ceremony, room: Room) -> None:
    """Make the directory, begin the transcript, and play.

    ConfigError when the directory holds something, when a participant's key is none, or another's (who could sign?), or
    when a name that people are asked for reads like words of a share, which no question takes (`TerminalRoom.ask`).
    """
    people = ceremony.plan.people
    _check_names(ceremony.plan)
    for person in people:
        _check_key(person)
    try:
        check_own_keys(people)
    except LogError as error:
        raise ConfigError(f"in the plan {error.what}", PLAN_KEYS) from None
    root = ceremony.place.root
    if (root / TRANSCRIPT).exists():
        raise ConfigError(f"a ceremony was begun in {root}", f"Go on with it: hsm-vault ceremony resume {root}")
    make_directory(root)
    with owning(root):
        _play(ceremony, _prepare(ceremony), room)


def _check_names(plan: Plan) -> None:
    asked_for = [("fleet", plan.fleet), *(("custodian", person.name) for person in plan.custodians)]
    for of, name in asked_for:
        if is_like_a_share(name):
            raise ConfigError(
                f"the {of}'s name {name!r} reads like words of a share, which are never taken as an answer",
                "Write it in another way, such as with an initial or a title, and announce plan and script anew",
            )


def go_on(ceremony: Ceremony, room: Room) -> None:
    """Play all that is not done of a ceremony that was interrupted. Raises what stopped it.

    ConfigError when plan, script or program changed, StoreError while another process plays it.
    """
    with owning(ceremony.place.root):  # from before the transcript is read: two writers would break its chain
        _play(ceremony, _reopen(ceremony), room)


def _prepare(ceremony: Ceremony) -> Journal:
    root, script = ceremony.place.root, ceremony.script
    document = markdown(script)
    replace_file(root / PLAN, ceremony.plan_bytes)
    replace_file(root / SCRIPT, document)
    replace_file(root / PAGE, page(script, fingerprint_words(hashlib.sha256(document).digest())))
    replace_file(root / SOFTWARE, ceremony.software)
    return Journal.create(root / TRANSCRIPT, ceremony.clock, ceremony.first_line())


def _reopen(ceremony: Ceremony) -> Journal:
    journal = Journal.resume(ceremony.place.root / TRANSCRIPT, ceremony.clock)
    for name, value in ceremony.first_line().items():
        if journal.begin.get(name) != value:
            raise ConfigError(
                f"{name} is not what the transcript began with",
                "Go on with the plan, the program and the directory of that day; or begin anew in another directory",
            )
    if not journal.is_ended:
        journal.write(EntryKind.RESUMED)
    return journal


def _play(ceremony: Ceremony, journal: Journal, room: Room) -> None:
    playing = Play(ceremony.script, journal, room)
    with Hall(ceremony.place, ceremony.plan, journal, room, playing) as hall:
        playing.run(_deeds(hall))
    _sign(ceremony)


def _check_key(person: Person) -> None:
    try:
        key_of(person)
    except LogError as error:
        raise ConfigError(f"the plan's key of {person.name} is no public key: {error.what}", PLAN_KEYS) from None


def _deeds(hall: Hall) -> Mapping[Deed, Does]:
    parts = (TokenDeeds(hall), RecordDeeds(hall), UpkeepDeeds(hall), RoleDeeds(hall))
    return {deed: does for part in parts for deed, does in part.deeds().items()}


def _sign(ceremony: Ceremony) -> None:
    """Have the first token that the ceremony made keys in sign the transcript, which has ended."""
    place, plan = ceremony.place, ceremony.plan
    made = [step.replica for step in ceremony.script.steps if step.deed is Deed.REPLICA_KEYS]
    for token in (token for token in plan.tokens if token.replica in made[:1]):
        with TokenStation(place.location(plan, token)) as station:
            station.open(pin_from_file(place.files(token.replica).pin).reveal())
            replace_file(place.root / SIGNATURE, station.sign((place.root / TRANSCRIPT).read_bytes()))


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
