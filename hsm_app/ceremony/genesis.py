"""Genesis: the tokens of a fleet are initialised, and its keys made (design, section 3). Sealed or maintained.

The order is what makes it resumable: the custody secret is split, written on paper and checked before the first token
is touched, so from then on M custodians can always go on where a crash left the tokens.
"""

from __future__ import annotations

from hsm_app.ceremony.gathering import (
    ADMINISTRATOR,
    AGREED,
    CUSTODIANS,
    GONE,
    RIGHT,
    closing,
    devices,
    inventories,
    opening,
)
from hsm_app.ceremony.plan import CeremonyName, Plan
from hsm_app.ceremony.script import Confirmation, Deed, Script, Step

USER_PIN = (
    "The user PIN of a token is no custodian's: it lies in a file of its replica. Whoever has it and the token can use "
    "the fleet's keys there without counting guesses."
)
BLANK = "Every token is blank: fresh from its maker, or reset by its maker's tool."


def genesis(plan: Plan) -> Script:
    """Return the script of a fleet's first day; of a new fleet's too, which then takes over from another one."""
    numbers = [token.replica for token in plan.tokens]
    steps = (
        *opening(plan),
        devices(plan, BLANK),
        _custody(plan),
        *(_initialise(plan, number) for number in numbers),
        *(_keys(plan, number) for number in numbers),
        _root(plan),
        *(carry(plan, number, 1) for number in numbers),
        _end_carry(plan),
        _fleet_keys(plan),
        *(_check_keys(plan, number) for number in numbers),
        *(_seal(plan, number) for number in numbers if plan.is_sealed),
        *inventories(plan, numbers),
        *(_destroy_shares() if plan.is_sealed else ()),
        *(_leave() if plan.ceremony is CeremonyName.NEW_FLEET else ()),
        *closing(),
    )
    purpose = (
        f"Make the keys of fleet {plan.fleet} inside {len(numbers)} tokens. Any {len(numbers) // 2 + 1} of them serve "
        "the fleet. No key leaves a token but encrypted, for another token of the fleet.",
        *custody_words(plan),
    )
    title = "Genesis of a fleet" if plan.ceremony is CeremonyName.GENESIS else "A new fleet takes over"
    return Script(plan=plan, title=title, purpose=purpose, steps=steps)


def custody_words(plan: Plan) -> tuple[str, ...]:
    """Return in plain words what the kind of custody means."""
    count, needed = len(plan.tokens), len(plan.tokens) // 2 + 1
    if plan.is_sealed:
        return (
            "The fleet is sealed at the end: the security officers' PIN is replaced by one that nobody knows, and no "
            "token can be added, ever. A token that is lost stays lost. With "
            f"{count - needed + 1} of {count} tokens lost the fleet can serve nobody any more; the operator makes it "
            f"recover-only, and people move to a new fleet, as soon as {count - needed} of them are lost.",
            "The shares that custodians hold serve only until then, to go on after an interruption.",
            USER_PIN,
        )
    return (
        f"The fleet is maintained: any {plan.threshold} of the {len(plan.custodians)} custodians together can replace "
        "a token. They can therefore do anything with the fleet's keys: reset the PIN of a token, carry the root to a "
        "token of theirs, and open every record without counting guesses. With fewer shares nobody has the officers' "
        "PIN.",
        USER_PIN,
    )


def _custody(plan: Plan) -> Step:
    names = ", ".join(person.name for person in plan.custodians)
    return Step(
        id="custody",
        title="The custodians' shares",
        roles=CUSTODIANS,
        text=(
            f"One secret is split so that {plan.threshold} of {len(plan.custodians)} shares give it back "
            f"(SLIP-39). It yields the security officer's PIN of every token. The custodians are: {names}.",
            "One custodian after the other comes to the screen alone, writes down twenty words, and types them back. "
            "Everybody else looks away. If this step is interrupted, all sheets are torn up and it begins anew.",
            *custody_words(plan),
        ),
        deed=Deed.CUSTODY,
        confirmations=(Confirmation(f"Each custodian has one sheet in a sealed envelope: type {RIGHT}", RIGHT),),
    )


def _initialise(plan: Plan, replica: int) -> Step:
    return Step(
        id=f"initialise-{replica}",
        title=f"Initialise token {plan.label(replica)}",
        roles=ADMINISTRATOR,
        text=("The officer's PIN comes from the custodians' secret. Neither PIN is shown.",),
        deed=Deed.INITIALISE,
        replica=replica,
    )


def _keys(plan: Plan, replica: int) -> Step:
    return Step(
        id=f"keys-{replica}",
        title=f"Keys of token {plan.label(replica)}",
        roles="administrator and witnesses",
        text=("Two keys are made in this token and never leave it. Witnesses may note the words of the first.",),
        deed=Deed.REPLICA_KEYS,
        replica=replica,
    )


def _root(plan: Plan) -> Step:
    return Step(
        id="root",
        title=f"The fleet's root, in token {plan.label(1)}",
        roles=ADMINISTRATOR,
        text=("The one key that travels is made. It can leave only under a key that the security officer trusts.",),
        deed=Deed.ROOT,
        replica=1,
    )


def carry(plan: Plan, replica: int, donor: int) -> Step:
    """Return the step that carries the root into a token."""
    own = " The token that made the root gets it the same way, so that its root was never readable." * (
        replica == donor
    )
    return Step(
        id=f"carry-{replica}",
        title=f"Carry the root to token {plan.label(replica)}",
        roles="administrator, custodians and witnesses",
        text=(
            f"Token {plan.label(replica)} makes an RSA key. The security officer of token {plan.label(donor)} places "
            f"its public half as TRUSTED.{own}",
            "The fingerprint of that key is shown as each of the two tokens reports it. One person reads the words of "
            "one, another the words of the other, aloud.",
        ),
        deed=Deed.CARRY,
        replica=replica,
    )


def _end_carry(plan: Plan) -> Step:
    return Step(
        id="end-carry",
        title="Destroy the original of the root",
        roles=ADMINISTRATOR,
        text=("What is left are the roots that arrived by unwrapping, one in each token.",),
        deed=Deed.END_CARRY,
        replica=1,
    )


def _fleet_keys(plan: Plan) -> Step:
    return Step(
        id="fleet-keys",
        title="The fleet's keys",
        roles="administrator and auditor",
        text=(
            "Four keys are made in the first token and wrapped under the root. The words are of their public parts.",
        ),
        deed=Deed.FLEET_KEYS,
        replica=1,
        confirmations=(Confirmation(f"The auditor has noted the words: type {RIGHT}", RIGHT),),
    )


def _check_keys(plan: Plan, replica: int) -> Step:
    return Step(
        id=f"check-{replica}",
        title=f"Token {plan.label(replica)} opens the fleet's keys",
        roles="auditor",
        deed=Deed.CHECK_KEYS,
        replica=replica,
    )


def _seal(plan: Plan, replica: int) -> Step:
    return Step(
        id=f"seal-{replica}",
        title=f"Seal token {plan.label(replica)}",
        roles="custodians and witnesses",
        text=("From here on nobody is security officer of this token. There is no way back.",),
        deed=Deed.SEAL,
        replica=replica,
        confirmations=(Confirmation(f"The token refused the custodians' PIN: type {RIGHT}", RIGHT),),
    )


def _destroy_shares() -> tuple[Step, ...]:
    return (
        Step(
            id="destroy-shares",
            title="Destroy the sheets",
            roles=CUSTODIANS,
            text=("The shares open nothing any more, as each token has shown. Each custodian shreds the own sheet.",),
            confirmations=(Confirmation(f"Every sheet is destroyed: type {GONE}", GONE),),
        ),
    )


def _leave() -> tuple[Step, ...]:
    return (
        Step(
            id="leave",
            title="The old fleet becomes recover-only",
            roles="operator and auditor",
            text=(
                "`hsm-vault ceremony publish --after` writes the next manifest: new records go to the new fleet only, "
                "and the old one gives back what it holds. It takes effect when the auditor has signed and published "
                "it. Devices then move their records; the old fleet is destroyed only when all have, or never.",
            ),
            confirmations=(Confirmation(f"Operator and auditor know which fleet is left: type {AGREED}", AGREED),),
        ),
    )
