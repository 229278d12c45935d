"""The ceremonies after genesis: a token is replaced, the roles' keys change, a fleet is destroyed."""

from __future__ import annotations

from hsm_app.ceremony.gathering import (
    ADMINISTRATOR,
    ALL,
    CUSTODIANS,
    GONE,
    RIGHT,
    SAME,
    closing,
    devices,
    inventories,
    opening,
)
from hsm_app.ceremony.genesis import carry, custody_words
from hsm_app.ceremony.plan import Plan
from hsm_app.ceremony.script import Confirmation, Deed, Script, Step

ROLES = ("operator", "auditor")


def replace_token(plan: Plan) -> Script:
    """Return the script by which a fresh token takes the place of one that is lost, in a maintained fleet."""
    new = plan.replica
    donor = next(token.replica for token in plan.tokens if token.replica != new)
    label = plan.label(new)
    steps = (
        *opening(plan),
        _gather(plan, "The security officer's PIN of a token is needed."),
        Step(
            id="stopped",
            title=f"The old replica {new} is stopped",
            roles="operator",
            text=("It is stopped for good, on whatever host it runs, and will not be started again.",),
            confirmations=(Confirmation(f"The old replica does not run any more: type {RIGHT}", RIGHT),),
        ),
        Step(
            id="set-aside",
            title=f"Set the old token {label} aside",
            roles=ADMINISTRATOR,
            text=(
                "The replica's files are moved aside; nothing is deleted. An old token that still works holds the "
                "fleet's root: it is kept as safe as the others, or reset by its maker's tool.",
            ),
            deed=Deed.RETIRE_TOKEN,
            replica=new,
        ),
        devices(plan, f"Token {label} is blank; the others are the fleet's."),
        Step(id=f"initialise-{new}", title=f"Initialise token {label}", roles=ADMINISTRATOR, deed=Deed.INITIALISE,
             replica=new, text=("The officer's PIN comes from the custodians' secret. Neither PIN is shown.",)),
        Step(id=f"keys-{new}", title=f"Keys of token {label}", roles="administrator and witnesses",
             deed=Deed.REPLICA_KEYS, replica=new, text=("Two keys are made in this token and never leave it.",)),
        carry(plan, new, donor),
        Step(id=f"check-{new}", title=f"Token {label} opens the fleet's keys", roles="auditor", deed=Deed.CHECK_KEYS,
             replica=new),
        *inventories(plan, [new]),
        Step(
            id="member",
            title="The successor's public keys",
            roles="operator",
            text=("They are written for the command that brings the replica into the fleet, in two epochs.",),
            deed=Deed.MEMBER,
            replica=new,
        ),
        *closing(),
    )  # fmt: skip
    purpose = (f"Give replica {new} of fleet {plan.fleet} a fresh token.", *custody_words(plan))
    return Script(plan=plan, title="A token is replaced", purpose=purpose, steps=steps)


def rotate_keys(plan: Plan) -> Script:
    """Return the script by which operator and auditor get new signing keys, and clients learn of them."""
    made = tuple(
        Step(
            id=f"key-{role}",
            title=f"A new key for the {role}",
            roles=role,
            text=(f"The {role}'s own token makes the key, which never leaves it. The words are of its public half.",),
            deed=Deed.ROLE_KEY,
            confirmations=(Confirmation(f"The {role} has noted the words: type {RIGHT}", RIGHT),),
        )
        for role in ROLES
    )
    steps = (
        *opening(plan),
        *made,
        Step(
            id="root-of-trust",
            title="The next root of trust",
            roles="operator and auditor",
            text=("The document names the new keys. Its words are read aloud.",),
            deed=Deed.ROOT_OF_TRUST,
            confirmations=(Confirmation(f"Operator and auditor have the same words: type {SAME}", SAME),),
        ),
        Step(
            id="sign-root",
            title="Old and new keys sign it",
            roles="operator and auditor",
            text=("A client that believes the old document takes the new one only with signatures under both.",),
            deed=Deed.SIGN_ROOT,
        ),
        *closing(),
    )
    purpose = (f"Give operator and auditor of fleet {plan.fleet} new signing keys. No record and no share is touched.",)
    return Script(plan=plan, title="New keys for operator and auditor", purpose=purpose, steps=steps)


def destroy_fleet(plan: Plan) -> Script:
    """Return the script by which every key in a fleet's tokens is destroyed, and with them what they protect."""
    erased = tuple(
        Step(
            id=f"erase-{token.replica}",
            title=f"Erase token {plan.label(token.replica)}",
            roles="administrator and witnesses",
            text=("Every object is destroyed, then listed again: there must be none.",),
            deed=Deed.ERASE,
            replica=token.replica,
            confirmations=(Confirmation(f"The token holds nothing: type {RIGHT}", RIGHT),),
        )
        for token in plan.tokens
    )
    steps = (
        *opening(plan),
        devices(plan, "These are the fleet's tokens."),
        *(
            ()
            if plan.is_sealed
            else (_gather(plan, "The custodians agree to the destruction by giving their shares."),)
        ),
        Step(
            id="warning",
            title="What is lost",
            roles=ALL,
            text=(
                "Every record of this fleet is lost for good, and with it every backup that nobody moved away.",
                "All replicas are stopped.",
            ),
            deed=Deed.LEFT,
            confirmations=(Confirmation(f"Type the fleet's name to go on ({plan.fleet})", plan.fleet),),
        ),
        *erased,
        *(_lost(plan, replica) for replica in plan.lost),
        *(() if plan.is_sealed else (_replaced(),)),
        *closing(),
    )
    purpose = (f"Destroy every key in the tokens of fleet {plan.fleet}. There is no way back.",)
    return Script(plan=plan, title="A fleet is destroyed", purpose=purpose, steps=steps)


def _lost(plan: Plan, replica: int) -> Step:
    return Step(
        id=f"lost-{replica}",
        title=f"Token {plan.label(replica)} is not here",
        roles="administrator and witnesses",
        text=(
            "It is not erased. Whoever finds it, and has its user PIN or enough of the custodians' shares, has the "
            f"fleet's keys. So the file replica-{replica}/pin and every copy of it are destroyed, and all sheets.",
        ),
        confirmations=(Confirmation(f"Its PIN and all sheets are destroyed: type {GONE}", GONE),),
    )


def _replaced() -> Step:
    return Step(
        id="replaced",
        title="Tokens that were replaced before",
        roles="administrator and witnesses",
        text=(
            "They are not erased here. One that still works holds the fleet's root: whoever has it, and its user PIN "
            "or enough of the custodians' shares, has the fleet's keys. So each is destroyed, or reset by its maker's "
            "tool, and what was set aside of its replica, in the directory retired, is destroyed with its PINs.",
        ),
        confirmations=(
            Confirmation(f"Nothing is left of a token that was replaced, or none ever was: type {GONE}", GONE),
        ),
    )


def _gather(plan: Plan, why: str) -> Step:
    return Step(
        id="shares",
        title="The custodians give their shares",
        roles=CUSTODIANS,
        text=(why, f"{plan.threshold} custodians type their words, one after the other, alone at the screen."),
        deed=Deed.SHARES,
    )
