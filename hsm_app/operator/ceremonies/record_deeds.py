"""The deeds that look, list and write down: the program's own digest, the custodians' shares, a token's inventory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from hsm_app.ceremony.script import Deed, Step
from hsm_app.ceremony.words import fingerprint_words
from hsm_app.durable import make_directories, replace_file
from hsm_app.errors import LogError
from hsm_app.evidence.software import parse_software
from hsm_app.operator.ceremonies.hall import Hall
from hsm_app.operator.ceremonies.play import Does, Outcome

TOKENS = "tokens"
SOFTWARE = "software.json"
TOKEN_SCHEMA = "hsm-vault/token-record/v1"
PASSING = ("state", "officer", "user")  # what is said of a token only for the moment
SHOWN = ("CKA_EXTRACTABLE", "CKA_SENSITIVE", "CKA_MODIFIABLE", "CKA_COPYABLE", "CKA_LOCAL")


class RecordDeeds:
    """The deeds that write records, for one hall."""

    def __init__(self, hall: Hall) -> None:
        self._hall = hall

    def deeds(self) -> Mapping[Deed, Does]:
        return {
            Deed.SCRIPT: self.script,
            Deed.SOFTWARE: self.software,
            Deed.CUSTODY: self.custody,
            Deed.SHARES: self.shares,
            Deed.INVENTORY: self.inventory,
        }

    def script(self, _: Step) -> Outcome:
        """Show the digest of the script, as the transcript's first line has it."""
        digest = self._hall.journal.begin["script_sha256"]
        return Outcome(results={"script_sha256": digest}, says=_announced(bytes.fromhex(digest)))

    def software(self, _: Step) -> Outcome:
        """Show what `hsm-vault software` shows everywhere: the digest over the program's files.

        LogError when software.json is not the record that the transcript began with.
        """
        raw, recorded = (self._hall.place.root / SOFTWARE).read_bytes(), self._hall.journal.begin["software_sha256"]
        if _sha256(raw) != recorded:
            raise LogError("software-digest", f"{SOFTWARE} was changed since the ceremony began", "Put it back")
        runs = parse_software(raw)
        return Outcome(
            results={"software_sha256": recorded, "files_sha256": runs.files_sha256.hex()},
            says=(
                f"version {runs.version}, commit {runs.commit or 'not known'}, {len(runs.files)} files",
                *_announced(runs.files_sha256),
            ),
        )

    def custody(self, _: Step) -> Outcome:
        """Give out the shares; their commitments are public."""
        custody = self._hall.custodians.make()
        return Outcome(
            results={"threshold": custody.threshold, "custody_sha256": _sha256(custody.to_bytes())},
            says=("Every share was typed back and is the one that was given out.",),
        )

    def shares(self, _: Step) -> Outcome:
        """Take shares until there are enough."""
        return Outcome(results={"custodians": self._hall.custodians.gather()}, says=("The secret is complete.",))

    def inventory(self, step: Step) -> Outcome:
        """List all that a token holds; write tokens/N.json. TokenError for an object that should not be there."""
        hall, number = self._hall, step.replica
        sealed = hall.plan.is_sealed
        station = hall.token(number)
        station.inventory(sealed=sealed)
        objects = sorted(station.objects(sealed=sealed), key=lambda each: str(each["role"]))
        keys = hall.result(f"keys-{number}")
        document = {
            "schema": TOKEN_SCHEMA,
            "replica": number,
            "token": {key: value for key, value in station.describe().items() if key not in PASSING},
            "objects": objects,
            "public_keys": {"replica-identity": keys["identity_public"], "replica-link": keys["link_public"]},
        }
        raw = json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"
        directory = hall.place.root / TOKENS
        make_directories(directory, hall.place.root)
        replace_file(directory / f"{number}.json", raw)
        lines = tuple(_line(each["role"], each["attributes"]) for each in objects)
        return Outcome(
            results={"record_sha256": _sha256(raw), "objects": [each["role"] for each in objects]},
            says=(
                f"{len(objects)} objects, and nothing else:",
                *lines,
                "The root unwraps keys that nobody can read, only.",
            ),
        )


def _line(role: str, attributes: Mapping[str, object]) -> str:
    said = ", ".join(f"{name.removeprefix('CKA_')}={str(attributes.get(name)).lower()}" for name in SHOWN)
    return f"{role}: {attributes.get('CKA_KEY_TYPE', '')} {said}"


def _announced(digest: bytes) -> tuple[str, ...]:
    return digest.hex(), fingerprint_words(digest)


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
