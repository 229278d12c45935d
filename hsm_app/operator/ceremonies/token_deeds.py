"""What the program does to a token, one function for a deed. Each may be called again after a crash, and looks first.

Checked twice before the next step: a signature made in a token is verified in software, a key that was carried answers
a fresh challenge as the one it was carried from does.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from contextlib import ExitStack

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from hsm_app.ceremony.gathering import SAME
from hsm_app.ceremony.script import Confirmation, Deed, Step
from hsm_app.ceremony.words import fingerprint_words
from hsm_app.errors import TokenError
from hsm_app.operator.ceremonies.hall import Hall
from hsm_app.operator.ceremonies.play import Does, Outcome
from hsm_app.operator.layout import write_new
from hsm_app.operator.replace_token import commitments_of
from hsm_app.token.fleet_keys import FleetCommitments, read_fleet_keys
from hsm_app.token.keyspec import ORIGIN, ROOT, TRANSPORT
from hsm_app.token.station import TokenStation

CHALLENGE_BYTES = 32
FLEET_KEYS = "fleet-keys.bin"
STRANGE = "Stop: find out who can reach the tokens or this machine, and begin anew with fresh tokens"


class TokenDeeds:
    """The deeds on tokens, for one hall."""

    def __init__(self, hall: Hall) -> None:
        self._hall = hall

    def deeds(self) -> Mapping[Deed, Does]:
        return {
            Deed.DEVICES: self.look,
            Deed.INITIALISE: self.initialise,
            Deed.REPLICA_KEYS: self.make_replica_keys,
            Deed.ROOT: self.make_root,
            Deed.CARRY: self.carry,
            Deed.END_CARRY: self.end_carry,
            Deed.FLEET_KEYS: self.make_fleet_keys,
            Deed.CHECK_KEYS: self.check_fleet_keys,
            Deed.SEAL: self.seal,
        }

    def look(self, _: Step) -> Outcome:
        """List what each token says of itself."""
        found = {token.replica: self._hall.blank(token.replica).describe() for token in self._hall.plan.tokens}
        lines = tuple(
            f"{number}. {each['label']}: {each['manufacturer']} {each['model']}, "
            f"serial {each['serial'] or 'none yet'}, firmware {each['firmware']}, {each['state']}"
            for number, each in found.items()
        )
        return Outcome(results={"tokens": [found[number] for number in sorted(found)]}, says=lines)

    def initialise(self, step: Step) -> Outcome:
        """Initialise a blank token, or finish what an interruption left. TokenError when the label is taken."""
        hall, number = self._hall, step.replica
        station, label = hall.blank(number), hall.plan.label(number)
        officer, user = hall.officer_pin(number), hall.user_pin(number)
        if station.describe()["state"] == "blank":
            station.initialise(officer, user)
        elif hall.was_interrupted(step):
            station.finish_initialising(officer, user)
        else:
            raise TokenError(
                f"there is a token {label!r} already",
                "Its maker's tool resets it, if it may go; or choose another name for the fleet. Nothing was changed",
            )
        hall.opened(number)
        return Outcome(results={"token": station.describe()}, says=(f"Token {label} is initialised.",))

    def make_replica_keys(self, step: Step) -> Outcome:
        """Make identity and link key. Ones whose public halves a crash kept from being written down go first."""
        station = self._hall.token(step.replica)
        station.discard_replica_keys()
        identity, link = station.make_replica_keys()
        _check_signature(station, identity)
        results = {"identity_public": identity.hex(), "link_public": link.hex()}
        return Outcome(results=results, says=_words("replica-identity", identity) + _words("replica-link", link))

    def make_root(self, step: Step) -> Outcome:
        """Make the root, unless an interrupted run did."""
        station = self._hall.token(step.replica)
        if not station.roots()[ORIGIN]:
            station.make_root()
        return Outcome(says=("The root is made; it is in this token only.",))

    def carry(self, step: Step) -> Outcome:
        """Carry the root to a token. Its transport key and the TRUSTED object are gone afterwards, also on an error.

        VAULT-CARRY-ENDS
        """
        hall, number = self._hall, step.replica
        giver = self._giver(number)
        receiver, donor, officer = hall.token(number), hall.token(giver), hall.officer_pin(giver)
        receiver.end_carry()  # what an interrupted run left
        with ExitStack() as ends:  # each of both, whatever becomes of the other token
            ends.callback(donor.remove_trusted, officer)
            ends.callback(receiver.end_carry)
            if not receiver.roots()[ROOT]:
                self._move(receiver, donor, officer)
        self._prove(donor, receiver)
        return Outcome(
            results={"from": giver, "same_root": True},
            says=("Both tokens gave the same answer to a fresh challenge: they hold the same root.",),
        )

    def end_carry(self, step: Step) -> Outcome:
        """Destroy the origin; no token may hold a transport key, a second root or a TRUSTED object any more."""
        station = self._hall.token(step.replica)
        station.discard_origin()
        left = {
            self._hall.plan.label(each.replica): self._hall.token(each.replica).roots()
            for each in self._hall.plan.tokens
        }
        if any(count != {ORIGIN: 0, ROOT: 1, TRANSPORT: 0} for count in left.values()):
            raise TokenError("a key of the carry is left in a token", STRANGE)
        return Outcome(results={"left": left}, says=("The original is destroyed. Each token holds one root.",))

    def make_fleet_keys(self, step: Step) -> Outcome:
        """Make the fleet's keys. Ones of an interrupted run were never named anywhere, and are written over."""
        keys, made = self._hall.token(step.replica).make_fleet_keys()
        path = self._hall.place.home / FLEET_KEYS
        path.unlink(missing_ok=True)
        write_new(path, keys.to_bytes())
        results = {
            "kem_public": made.kem_public.hex(),
            "opaque_public": made.opaque_public.hex(),
            "seal_check": made.seal_check.hex(),
            "id_check": made.id_check.hex(),
            "fleet_keys_sha256": hashlib.sha256(keys.to_bytes()).hexdigest(),
        }
        return Outcome(
            results=results, says=_words("fleet-kem", made.kem_public) + _words("fleet-opaque", made.opaque_public)
        )

    def check_fleet_keys(self, step: Step) -> Outcome:
        """Prove that a token opens the fleet's keys, and that they are the ones that were written down."""
        keys = read_fleet_keys(self._hall.place.home / FLEET_KEYS)
        self._hall.token(step.replica).check_fleet_keys(keys, self.commitments())
        return Outcome(results={"opens": True}, says=("It opens all four, and they are the ones that were named.",))

    def seal(self, step: Step) -> Outcome:
        """Take the officer's PIN from everybody, and show that the custodians' one is refused (VAULT-SEAL-SHOWN)."""
        hall, number = self._hall, step.replica
        station, officer = hall.token(number), hall.officer_pin(number)
        is_refused = hall.was_interrupted(step) and station.refuses_officer(officer)
        if not is_refused:  # else it was sealed before the interruption, and a PIN that is refused is not tried twice
            station.retire_officer(officer)
            is_refused = station.refuses_officer(officer)
        if not is_refused:
            raise TokenError("the token still takes the custodians' PIN", STRANGE)
        root = next(each["attributes"] for each in station.objects(sealed=True) if each["role"] == "fleet-root")
        if root["CKA_EXTRACTABLE"]:
            raise TokenError("the root in the token is extractable", STRANGE)
        return Outcome(
            results={"officer_refused": True, "root_extractable": False},
            says=(
                "The token refused the PIN of the custodians.",
                "Its root says: CKA_EXTRACTABLE = false.",
            ),
        )

    def commitments(self) -> FleetCommitments:
        """Return what the step that made the fleet's keys wrote down; of an older fleet, what its manifest says."""
        if self._hall.plan.fleet_directory:
            opened = self._hall.fleet()
            return commitments_of(opened.fleet(opened.epochs.current()))
        made = self._hall.result("fleet-keys")
        return FleetCommitments(
            kem_public=bytes.fromhex(made["kem_public"]),
            opaque_public=bytes.fromhex(made["opaque_public"]),
            seal_check=bytes.fromhex(made["seal_check"]),
            id_check=bytes.fromhex(made["id_check"]),
        )

    def _giver(self, receiver: int) -> int:
        """The first token, or the first other one when that is the one that is replaced."""
        plan = self._hall.plan
        return next(token.replica for token in plan.tokens if plan.replica != token.replica)

    def _move(self, receiver: TokenStation, donor: TokenStation, officer: str) -> None:
        sealed = self._hall.plan.is_sealed
        made = receiver.make_transport_key(sealed=sealed)
        donor.place_trusted(officer, made)
        placed = donor.trusted_key()
        for text in (*_words("as the receiving token says", made), *_words("as the giving token says", placed)):
            self._hall.room.say(text)
        if placed != made:
            raise TokenError("the TRUSTED key is not the one that the receiving token made", STRANGE)
        self._hall.notes.confirm(Confirmation(f"Both readers read the same words: type {SAME}", SAME))
        receiver.install_root(donor.wrap_root(), sealed=sealed)

    def _prove(self, donor: TokenStation, receiver: TokenStation) -> None:
        """A secret that one root wrapped has to open under the other, and answer a challenge as it did there."""
        challenge = secrets.token_bytes(CHALLENGE_BYTES)
        blob, expected = donor.challenge_root(challenge, ORIGIN if donor.roots()[ORIGIN] else ROOT)
        if not hmac.compare_digest(receiver.answer_root(challenge, blob, ROOT), expected):
            raise TokenError("the two tokens do not hold the same root", STRANGE)


def _check_signature(station: TokenStation, public: bytes) -> None:
    message = b"hsm-vault/identity-check/v1" + secrets.token_bytes(CHALLENGE_BYTES)
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
    try:
        key.verify(station.sign(message), message, ec.ECDSA(SHA256()))
    except InvalidSignature as error:
        raise TokenError("a signature of replica-identity does not verify under its public key", STRANGE) from error


def _words(what: str, public: bytes) -> tuple[str, ...]:
    """Return a public value's fingerprint as people read it aloud."""
    return (f"{what}: {fingerprint_words(hashlib.sha256(public).digest())}",)
