"""A ceremony as data: who takes part, and each step with what is read aloud, what the program does, what is confirmed.

A script has no behaviour. `document` prints it, `operator.ceremonies` plays it, and a dry run writes down what playing
it would record: all three from the same values, so what people initial beforehand is what runs.

Every confirmation names the one answer that goes on. Any other answer opens an exception sheet (a line for the public
record that says what happened); nothing is ever asked again silently.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hsm_app.ceremony.plan import Plan


class Deed(StrEnum):
    """What the program does in a step. The values stand in transcripts."""

    NONE = "nothing"
    SCRIPT = "show-script-digest"
    SOFTWARE = "measure-software"
    DEVICES = "look-at-tokens"
    CUSTODY = "split-custody"
    SHARES = "gather-shares"
    INITIALISE = "initialise"
    REPLICA_KEYS = "make-replica-keys"
    ROOT = "make-root"
    CARRY = "carry-root"
    END_CARRY = "end-carry"
    FLEET_KEYS = "make-fleet-keys"
    CHECK_KEYS = "check-fleet-keys"
    SEAL = "seal"
    INVENTORY = "inventory"
    RETIRE_TOKEN = "set-old-token-aside"
    MEMBER = "write-member"
    ROLE_KEY = "make-role-key"
    ROOT_OF_TRUST = "write-root-of-trust"
    SIGN_ROOT = "sign-root-of-trust"
    LEFT = "check-fleet-is-left"
    ERASE = "erase-token"


DOES: dict[Deed, str] = {
    Deed.SCRIPT: "Shows the SHA-256 of this script, and its words.",
    Deed.SOFTWARE: "Shows the digest over every file of the program that runs, and its words; software.json has each.",
    Deed.DEVICES: "Asks each token what it is: maker, model, serial number, firmware, blank or not.",
    Deed.CUSTODY: "Makes the custody secret, splits it with SLIP-39, shows each custodian one share, has it typed "
    "back, compares it with its commitment, and writes custody.json. The secret stays in memory.",
    Deed.SHARES: "Has custodians type their shares until the threshold is reached. The secret stays in memory.",
    Deed.INITIALISE: "C_InitToken with the officer's PIN that comes from the custody secret; C_InitPIN with a random "
    "user PIN, which goes into a file of the replica.",
    Deed.REPLICA_KEYS: "C_GenerateKeyPair twice: replica-identity and replica-link, never extractable. Checks a "
    "signature of the first in software.",
    Deed.ROOT: "C_GenerateKey: fleet-root-origin, extractable under a TRUSTED key only.",
    Deed.CARRY: "Makes an RSA key in the token that receives; the officer of the token that gives places it as "
    "TRUSTED; C_WrapKey there, C_UnwrapKey here; both roots answer the same fresh challenge; the RSA key and the "
    "TRUSTED object are destroyed, also after a failure.",
    Deed.END_CARRY: "Destroys fleet-root-origin.",
    Deed.FLEET_KEYS: "Makes fleet-kem, fleet-opaque, fleet-seal and fleet-id, wraps them under the root, destroys the "
    "originals, and writes fleet-keys.bin.",
    Deed.CHECK_KEYS: "Opens the four keys and proves each against its public key or check value.",
    Deed.SEAL: "C_SetPIN: the officer's PIN becomes a random one that nobody ever sees. Then tries the custodians' "
    "PIN, once, and has to be refused. Reads CKA_EXTRACTABLE of the root.",
    Deed.INVENTORY: "Lists every object, matched by attributes and not by label; fails on one that should not be "
    "there. The root has to refuse to unwrap a readable key.",
    Deed.RETIRE_TOKEN: "Moves the directory of the replica that is replaced aside. Nothing is deleted.",
    Deed.MEMBER: "Writes the successor's public keys, for `hsm-vault fleet replace-replica`.",
    Deed.ROLE_KEY: "C_GenerateKeyPair in the role's own token, never extractable. Checks a signature in software.",
    Deed.ROOT_OF_TRUST: "Writes the next version of the root of trust.",
    Deed.SIGN_ROOT: "Signs the next root of trust with the keys of the one before and with its own, and walks from the "
    "one before to it.",
    Deed.LEFT: "Refuses to go on while the fleet's manifest says that the fleet is active.",
    Deed.ERASE: "C_DestroyObject for every object of the token, then lists the objects: there must be none.",
}


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A question to the people in the room, and the one answer that goes on."""

    asks: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`roles` act in it. `text` is read aloud. `replica` is the number of the token that `deed` is about, or 0."""

    id: str
    title: str
    roles: str
    text: tuple[str, ...] = ()
    deed: Deed = Deed.NONE
    replica: int = 0
    confirmations: tuple[Confirmation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A ceremony for one plan. Ids of steps are unique."""

    plan: Plan
    title: str
    purpose: tuple[str, ...]
    steps: tuple[Step, ...]
