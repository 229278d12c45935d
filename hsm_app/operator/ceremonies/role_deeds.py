"""The deeds that give operator and auditor new keys: made in their tokens, named by the next root of trust, signed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

from hsm_app.ceremony.plan import Roles
from hsm_app.ceremony.script import Deed, Step
from hsm_app.ceremony.upkeep import ROLES
from hsm_app.ceremony.words import fingerprint_words
from hsm_app.durable import replace_file
from hsm_app.errors import ConfigError
from hsm_app.fleet.dsse import sign_envelope
from hsm_app.fleet.role_keys import Signer
from hsm_app.fleet.root_of_trust import ROOT_TYPE, Role, encode_root_of_trust, parse_root_of_trust, successor
from hsm_app.operator.ceremonies.hall import PIN_BYTES, Hall
from hsm_app.operator.ceremonies.play import Does, Outcome
from hsm_app.operator.layout import SOFTHSM2_CONF, write_new
from hsm_app.root_files import read_root_of_trust
from hsm_app.signers import make_token_key, read_signer
from hsm_app.token.location import TokenLocation
from hsm_app.token.pin import pin_from_file
from hsm_app.token.station import TokenStation

NEXT_ROOT, SIGNED_ROOT = "root-of-trust.json", "root-of-trust.dsse.json"


class RoleDeeds:
    """The deeds on the roles' keys, for one hall. The step's id ends in the role."""

    def __init__(self, hall: Hall) -> None:
        self._hall, self._root = hall, hall.place.root

    def deeds(self) -> Mapping[Deed, Does]:
        return {
            Deed.ROLE_KEY: self.make_key,
            Deed.ROOT_OF_TRUST: self.write_root,
            Deed.SIGN_ROOT: self.sign_root,
        }

    def make_key(self, step: Step) -> Outcome:
        """Make a role's key in its token, unless an interrupted run did; try it, and show its words.

        A key that was made and not written down stays in the token: its public half is nowhere, so nobody believes it.
        The transcript has its label.
        """
        role = step.id.removeprefix("key-")
        present = {each: self._old(each).key for each in ROLES}  # both, before a token makes anything
        path = self._root / f"{role}.toml"
        if not path.exists():
            location, pin_file = self._token(role)
            label, algorithm = f"{role}-{secrets.token_hex(4)}", present[role].algorithm
            make_token_key(path, location, pin_file, label, algorithm, self._hall.notes.heard)
        key = self._new(role).key
        self._new(role).sign(b"hsm-vault/role-key-check/v1" + secrets.token_bytes(32))  # verified before it is returned
        public = f"{key.algorithm.value}:{key.public.hex()}"
        return Outcome(results={"public_key": public}, says=(public, fingerprint_words(bytes.fromhex(key.id))))

    def write_root(self, _: Step) -> Outcome:
        """Write the next version: each new key in the place of the present one, and all else as it was."""
        old = read_root_of_trust(Path(self._roles.root_of_trust))
        raw = encode_root_of_trust(
            namespace=old.namespace,
            version=old.version + 1,
            issued_at=self._hall.journal.first_time,
            expires_at=self._hall.journal.first_time + old.expires_at - old.issued_at,
            auditors=self._exchanged("auditor", old.auditors),
            operators=self._exchanged("operator", old.operators),
            origin=old.origin,
            policy=old.policy_lines,
            minimum_epoch=old.minimum_epoch,
            maximum_age=old.maximum_age,
        )
        replace_file(self._root / NEXT_ROOT, raw)
        digest = parse_root_of_trust(raw).digest
        says = (f"version {old.version + 1} of {old.namespace}", digest.hex(), fingerprint_words(digest))
        return Outcome(results={"version": old.version + 1, "sha256": digest.hex()}, says=says)

    def sign_root(self, _: Step) -> Outcome:
        """Sign with old and new keys, then walk from the old document to the new one as a client does."""
        raw = (self._root / NEXT_ROOT).read_bytes()
        signers = [read(role) for read in (self._old, self._new) for role in ("auditor", "operator")]
        envelope = sign_envelope(ROOT_TYPE, raw, signers)
        reached = successor(read_root_of_trust(Path(self._roles.root_of_trust)), envelope)
        replace_file(self._root / SIGNED_ROOT, envelope + b"\n")
        says = f"Signed by old and new keys: {SIGNED_ROOT}. Clients and replicas get it as a root successor."
        return Outcome(
            results={"sha256": reached.digest.hex(), "signers": [each.key.id for each in signers]}, says=(says,)
        )

    @property
    def _roles(self) -> Roles:
        if self._hall.plan.roles is None:
            raise ConfigError("the plan names no roles", "Add its [roles] table")
        return self._hall.plan.roles

    def _exchanged(self, role: str, present: Role) -> Role:
        old, new = self._old(role).key, self._new(role).key
        return Role(present.threshold, tuple(new if key == old else key for key in present.keys))

    def _old(self, role: str) -> Signer:
        """Return the present key's signer. ConfigError when it alone cannot speak for the role, today."""
        path = Path(self._roles.operator if role == "operator" else self._roles.auditor)
        signer = read_signer(path, self._hall.notes.heard)
        document = read_root_of_trust(Path(self._roles.root_of_trust))
        listed = document.operators if role == "operator" else document.auditors
        if signer.key not in listed.keys:
            raise ConfigError(f"the {role}'s key is none of the root of trust's", "Check the [roles] of the plan")
        if listed.threshold > 1:
            raise ConfigError(
                f"the root of trust wants {listed.threshold} {role}s' signatures, and a ceremony has one of each role",
                "Write the next document with `root-of-trust create`, and have each sign it: `root-of-trust sign`",
            )
        return signer

    def _new(self, role: str) -> Signer:
        return read_signer(self._root / f"{role}.toml", self._hall.notes.heard)

    def _token(self, role: str) -> tuple[TokenLocation, Path]:
        """Return the role's token and its PIN file; a rehearsal makes a throw-away one."""
        if role in self._roles.tokens:
            token = self._roles.tokens[role]
            conf = Path(token.softhsm2_conf) if token.softhsm2_conf else None
            return TokenLocation(module=Path(token.module), label=token.label, softhsm2_conf=conf), Path(token.pin_file)
        directory = self._root / f"{role}-token"
        pin, conf = directory / "pin", directory / "softhsm2.conf"
        location = TokenLocation(module=self._hall.place.module, label=role, softhsm2_conf=conf)
        if not pin.exists():
            (directory / "tokens").mkdir(mode=0o700, parents=True, exist_ok=True)
            conf.write_text(SOFTHSM2_CONF.format(tokens=directory / "tokens"))
            write_new(pin, secrets.token_urlsafe(PIN_BYTES).encode() + b"\n", 0o600)
        with TokenStation(location, self._hall.notes.heard) as station:
            if station.describe()["state"] == "blank":
                station.initialise(secrets.token_urlsafe(PIN_BYTES), pin_from_file(pin).reveal())
        return location, pin
