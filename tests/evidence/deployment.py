"""A whole deployment on SoftHSM, as its people make it: ceremony, testimonies, publishing, and a log with its manifest.

Nothing here is a stand-in but the people: tokens, keys and signatures are real, participants sign with OpenSSH and with
a key file. `Deployment.remade` does what an operator who cheats can do: the first token signs whatever it is given, and
manifest and log follow. What no operator can make again are the participants' signatures.
"""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from zipfile import ZipFile

from hsm_app.evidence.beliefs import Beliefs
from hsm_app.evidence.dossier import BUNDLE, FLEET, MANIFEST, SIGNATURE, TRANSCRIPT
from hsm_app.evidence.software import encode_software
from hsm_app.evidence.statement import STATEMENT, encode_statement, parse_statement, sign_statement
from hsm_app.fleet.manifest import Replica
from hsm_app.fleet.manifest_encoding import encode_manifest
from hsm_app.fleet.manifest_json import parse_fleet, parse_manifest
from hsm_app.fleet.role_keys import KeyAlgorithm, RoleKey, Signer
from hsm_app.fleet.root_of_trust import RootOfTrust
from hsm_app.key_files import make_key_file
from hsm_app.monitor.evidence_source import read_evidence
from hsm_app.operator.software import measure_software, wheel_files
from hsm_app.token.station import TokenStation
from tests.ceremony.plans import PEOPLE, plan_text
from tests.ceremony.stage import Rehearsal
from tests.cli.command import well
from tests.fleet import trust
from tests.token.fresh import softhsm

SOURCES = Path(__file__).parents[2]
KINDS = ("ed25519", "ed25519", "ed25519", "ecdsa", "file")  # of the participants' keys, in their order
SSH = [number for number, kind in enumerate(KINDS, 1) if kind != "file"]
LEFT_OUT = frozenset({STATEMENT, MANIFEST, BUNDLE})
Files = dict[str, bytes]


@cache
def measured() -> bytes:
    """The software.json of the program that runs these tests."""
    return encode_software(measure_software())


def pack_wheel(path: Path) -> Path:
    """Write the program that runs these tests as a wheel; it holds the package only."""
    with ZipFile(path, "w") as archive:
        for name in measure_software().files:
            archive.write(SOURCES / name, name)
    return path


@dataclass(frozen=True, kw_only=True)
class OpenedToken:
    """Signs with the token's replica-identity, whatever it is given."""

    station: TokenStation
    key: RoleKey

    def sign(self, message: bytes) -> bytes:
        return self.station.sign(message)


@dataclass(frozen=True)
class Published:
    """A ceremony that was played, and its evidence. Shared: look only, and change what `files` returns."""

    rehearsal: Rehearsal

    @property
    def evidence(self) -> Path:
        return self.rehearsal.root / "evidence"

    @property
    def files(self) -> Files:
        return dict(self._files)

    @cached_property
    def _files(self) -> Mapping[str, bytes]:
        return read_evidence(str(self.evidence))

    def opened(self, replica: Replica) -> OpenedToken:
        """Open the token of a replica, which the caller closes."""
        ceremony = self.rehearsal.ceremony
        token = ceremony.plan.tokens[replica.replica - 1]
        station = TokenStation(ceremony.place.location(ceremony.plan, token))
        station.open(ceremony.place.files(replica.replica).pin.read_text().strip())
        return OpenedToken(station=station, key=RoleKey(KeyAlgorithm.ES256, replica.identity_public))

    def signed_anew(self, files: Mapping[str, bytes], signer: Signer, previous: bytes | None, **words: str) -> Files:
        """Return these files with a transcript's signature, statement, manifest and log that are of them."""
        kept = {path: content for path, content in files.items() if path not in LEFT_OUT}
        kept[SIGNATURE] = signer.sign(kept[TRANSCRIPT])
        statement = encode_statement(files=kept, previous=previous, **words)
        entry = replace(parse_fleet(kept[FLEET]), evidence_sha256=parse_statement(statement).digest)
        manifest = with_fleet(self.files[MANIFEST], entry)
        bundle = trust.Log().bundle(trust.entry_of(manifest))
        return {**kept, STATEMENT: sign_statement(statement, signer), MANIFEST: manifest, BUNDLE: bundle}


@dataclass(frozen=True)
class Deployment(Published):
    """`keys` holds key-N of each participant."""

    keys: Path
    wheel: Path

    @classmethod
    @contextmanager
    def created(
        cls,
        root: Path,
        *,
        answers: Sequence[tuple[str, str]] = (),
        silent: Collection[int] = (),
        objections: Mapping[int, str] = MappingProxyType({}),
        **plan: str,
    ) -> Iterator[Deployment]:
        """Play a genesis, have people sign, publish, and put the manifest into a log.

        `answers` are those that are not the script's. Who is `silent` takes the file of the testimony, and signs not.
        """
        keys = root / "keys"
        keys.mkdir(parents=True)
        public = [make_key(keys / f"key-{number}", kind) for number, kind in enumerate(KINDS, 1)]
        text = plan_text(keys=public, **plan)  # type: ignore[arg-type]
        made = cls(Rehearsal(root / "ceremony", text, software=measured()), keys, pack_wheel(root / "vault.whl"))
        made.rehearsal.room.answers = list(answers)
        made.rehearsal.play()
        for number in range(1, len(PEOPLE) + 1):
            said = ("--object", objections[number]) if number in objections else ()
            made.testify(number, *said, signs=number not in silent)
        (made.root / "testimonies/.2.json.new").write_bytes(b"{")  # a crash left it, and nobody wrote the file again
        (root / "root-of-trust.json").write_bytes(made.trusted.raw)
        well("ceremony", "publish", made.root, "--module", softhsm(), "--root-of-trust", root / "root-of-trust.json")
        manifest = (made.evidence / MANIFEST).read_bytes()
        (made.evidence / BUNDLE).write_bytes(trust.Log().bundle(trust.entry_of(manifest)))
        try:
            yield made
        finally:
            made.close()

    def close(self) -> None:
        if "first_token" in self.__dict__:
            self.first_token.station.close()

    @property
    def root(self) -> Path:
        return self.rehearsal.root

    @property
    def trusted(self) -> RootOfTrust:
        return trust.root_of_trust()

    @cached_property
    def beliefs(self) -> Beliefs:
        """Of somebody who has everything that one can bring."""
        return Beliefs(now=int(time.time()), root_of_trust=self.trusted, wheel=wheel_files(self.wheel))

    @cached_property
    def first_token(self) -> OpenedToken:
        """Opened once, and held until the end."""
        return self.opened(parse_fleet(self.files[FLEET]).groups[0].replicas[0])

    def testify(self, number: int, *more: str, signs: bool = True) -> None:
        let_testify(self.root, self.keys, number, *more, signs=signs)

    def remade(self, files: Mapping[str, bytes], signer: Signer | None = None, ceremony: str = "genesis") -> Files:
        said = {"fleet": self.fleet, "ceremony": ceremony, "assurance": "self-asserted"}
        return self.signed_anew(files, signer or self.first_token, None, **said)

    @property
    def fleet(self) -> str:
        return self.rehearsal.ceremony.plan.fleet


def let_testify(root: Path, keys: Path, number: int, *more: str, signs: bool = True) -> None:
    """Let a participant sign about the ceremony in `root`, as the command line tells it."""
    key = keys / f"key-{number}"
    if KINDS[number - 1] == "file":
        well("ceremony", "testimony", root, str(number), "--key", key, *more)
    else:
        well("ceremony", "testimony", root, str(number), *more)
        if signs:
            ssh_sign(key, root / f"testimonies/{number}.json")


def with_fleet(manifest: bytes, entry: trust.Fleet) -> bytes:
    """Return a manifest with another entry of its fleet."""
    old = parse_manifest(manifest)
    return encode_manifest(
        namespace=old.namespace, epoch=old.epoch, previous_sha256=old.previous_sha256, issued_at=old.issued_at,
        not_before=old.not_before, not_after=old.not_after, fleets=(entry,),
    )  # fmt: skip


def make_key(path: Path, kind: str) -> str:
    """Make a participant's key and return how a plan names it."""
    if kind == "file":
        key = make_key_file(path).key
        return f"{key.algorithm}:{key.public.hex()}"
    ssh_keygen("-q", "-t", kind, "-N", "", "-C", path.name, "-f", str(path))
    return path.with_suffix(".pub").read_text().strip()


def ssh_sign(key: Path, file: Path, namespace: str = "hsm-vault-ceremony", *more: str) -> bytes:
    """Sign a file and return what OpenSSH wrote beside it."""
    ssh_keygen("-q", "-Y", "sign", "-n", namespace, "-f", str(key), *more, str(file))
    return file.with_name(f"{file.name}.sig").read_bytes()


def ssh_keygen(*words: str) -> None:
    """A machine without OpenSSH fails these tests; it does not skip them."""
    subprocess.run(["ssh-keygen", *words], check=True, stdin=subprocess.DEVNULL, capture_output=True)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
