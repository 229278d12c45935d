"""Turn a genesis into files: the manifest, and a ready configuration for each replica, the relay and clients.

Every path written is absolute and every address is loopback: the result runs on one machine, for development.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hsm_app.epochs import Epochs
from hsm_app.fleet.manifest import (
    Argon2Costs,
    Assurance,
    AssuranceLevel,
    AttemptPolicy,
    Custody,
    Fleet,
    FleetState,
    Group,
    Manifest,
    TenantKeys,
)
from hsm_app.fleet.manifest_encoding import encode_manifest
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.root_of_trust import RootOfTrust
from hsm_app.model import FleetId
from hsm_app.operator.fleet_directory import ROOT_OF_TRUST
from hsm_app.operator.genesis import Genesis
from hsm_app.operator.layout import ReplicaFiles, write_new
from hsm_app.operator.publication import next_manifest
from hsm_app.token.location import TokenLocation

DAY = 86_400
NAMESPACE = "hsm-vault.development"
SOCKET_PATH = 107  # bytes, sun_path (unix(7))
# Self-asserted: SoftHSM has no attestation root, nobody but the operator says what runs, and the stores are anchored in
# token files that whoever owns the machine can put back.
DEVELOPMENT = Assurance(
    key_custody=AssuranceLevel.SELF_ASSERTED,
    code_enforcement=AssuranceLevel.SELF_ASSERTED,
    anchor_freshness=AssuranceLevel.SELF_ASSERTED,
)

REPLICA = """\
# Replica {number} of fleet {fleet}. Check it with: hsm-vault config check --kind replica {path}
fleet = "{fleet}"
replica = {number}
manifest = "{manifest}"
fleet_keys = "{root}/fleet-keys.bin"
{trusted}
store = "{store}"

[token]
module = "{module}"
label = "{fleet}-{number}"
{conf}
pin_file = "{pin}"

[listen]
clients = "127.0.0.1:{client_port}"
peers = "127.0.0.1:{peer_port}"
{operator}

[peers]
{peers}
"""

RELAY = """\
# The relay of fleet {fleet}: untrusted, holds no key. Check it with: hsm-vault config check --kind relay {path}
listen = "127.0.0.1:{relay_port}"
groups = [[{replicas}]]
"""

CLIENT = """\
# What an app ships for fleet {fleet}. @ACCOUNT@, @RECORD@ and @HOME@ stand for what each device fills in.
relay = "127.0.0.1:{relay_port}"
{trusted}
# SoftHSM has no attestation root, so the fleet is self-asserted, and no production policy takes it.
policy = "development"
tenant = "{tenant}"
account = "@ACCOUNT@"
record = "@RECORD@"
token_file = "@HOME@/account-token"
state_directory = "@HOME@/state"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """What the operator decides before anything is made. `ports`: one for the relay, then two for each replica.

    `trusted` is whom the replicas believe. With `before` the fleet is added to that namespace, in its next epoch.
    """

    root: Path
    fleet: FleetId
    module: Path
    sealed: bool
    ports: Sequence[int]
    days: int
    argon2: Argon2Costs
    attempts: AttemptPolicy
    tenants: tuple[TenantKeys, ...]
    trusted: RootOfTrust | None
    before: Epochs | None  # the manifests of the namespace that this fleet joins
    tokens: Mapping[int, TokenLocation] = field(default_factory=dict)  # by replica; SoftHSM ones below `root` otherwise

    def location(self, replica: int) -> TokenLocation:
        """Return where a replica's token is."""
        own = TokenLocation(
            module=self.module,
            label=f"{self.fleet}-{replica}",
            softhsm2_conf=ReplicaFiles(root=self.root, number=replica).softhsm2_conf,
        )
        return self.tokens.get(replica, own)


def write_fleet_files(plan: FleetPlan, genesis: Genesis, now: int, evidence: bytes | None = None) -> Manifest:
    """Write everything a fleet needs to start on one machine, but for the first anchors; return its manifest.

    `evidence` is the SHA-256 of the statement about how its keys were made, None where there is none.
    """
    manifest = fleet_manifest(plan, genesis, now, evidence)
    own = plan.root / "manifest.json"
    if not own.exists() or own.read_bytes() != manifest.raw:
        write_new(own, manifest.raw)  # one that tokens have anchored is never written over
    if plan.trusted is not None:
        write_new(plan.root / ROOT_OF_TRUST, plan.trusted.raw)
    if plan.before is not None:
        Epochs(plan.root / "manifest.json").record(plan.before.current())
    keys = plan.root / "fleet-keys.bin"
    if not keys.exists() or keys.read_bytes() != genesis.fleet_keys.to_bytes():
        write_new(keys, genesis.fleet_keys.to_bytes())  # a ceremony wrote it already, and it is never written over
    numbers = [replica.replica for replica in genesis.replicas]
    for number in numbers:
        own = ReplicaFiles(root=plan.root, number=number).manifest
        write_new(own, manifest.raw)
        if plan.before is not None:
            Epochs(own).record(plan.before.current())
        _write_replica(plan, number, numbers)
    addresses = ", ".join(f'"127.0.0.1:{_client_port(plan, number)}"' for number in numbers)
    relay = plan.root / "relay.toml"
    values = {"fleet": plan.fleet, "root": plan.root, "relay_port": plan.ports[0], "path": relay}
    write_new(relay, RELAY.format(replicas=addresses, **values).encode())
    client = CLIENT.format(trusted=_whom_to_believe(plan, manifest), tenant=plan.tenants[0].tenant, **values)
    write_new(plan.root / "client.toml", client.encode())
    return manifest


def fleet_manifest(plan: FleetPlan, genesis: Genesis, now: int, evidence: bytes | None) -> Manifest:
    """Return the manifest that `write_fleet_files` writes for the same."""
    return parse_manifest(_manifest(plan, replace(fleet_entry(plan, genesis), evidence_sha256=evidence), now))


def fleet_entry(plan: FleetPlan, genesis: Genesis) -> Fleet:
    """Return the fleet as the manifest will list it, without evidence."""
    commitments = genesis.commitments
    return Fleet(
        fleet=plan.fleet,
        state=FleetState.ACTIVE,
        custody=Custody.SEALED if plan.sealed else Custody.MAINTAINED,
        kem_public=commitments.kem_public,
        opaque_public=commitments.opaque_public,
        seal_check=commitments.seal_check,
        id_check=commitments.id_check,
        groups=(Group(group=0, replicas=genesis.replicas),),
        tenants=plan.tenants,
        argon2=plan.argon2,
        attempts=plan.attempts,
        evidence_sha256=None,
        assurance=DEVELOPMENT,
    )


def _manifest(plan: FleetPlan, fleet: Fleet, now: int) -> bytes:
    if plan.before is not None:
        old = plan.before.current()
        left: dict[str, FleetState] = {
            each.fleet: FleetState.RECOVER_ONLY for each in old.fleets if each.state is FleetState.ACTIVE
        }
        return next_manifest(old, now=now, not_after=now + plan.days * DAY, states=left, more=(fleet,)).raw
    return encode_manifest(
        namespace=NAMESPACE if plan.trusted is None else plan.trusted.namespace,
        epoch=1,
        previous_sha256=None,
        issued_at=now,
        not_before=now,
        not_after=now + plan.days * DAY,
        fleets=(fleet,),
    )


def _write_replica(plan: FleetPlan, number: int, numbers: Sequence[int]) -> None:
    files, location = ReplicaFiles(root=plan.root, number=number), plan.location(number)
    peers = "\n".join(f'{other} = "127.0.0.1:{_peer_port(plan, other)}"' for other in numbers if other != number)
    text = REPLICA.format(
        number=number,
        fleet=plan.fleet,
        path=files.settings,
        root=plan.root,
        manifest=files.manifest,
        trusted="# root_of_trust: none, so only the members of groups ever change here"
        if plan.trusted is None
        else f'root_of_trust = "{plan.root / ROOT_OF_TRUST}"',
        operator=_operator_line(files),
        store=files.store,
        module=location.module,
        conf="# no softhsm2_conf: this is no SoftHSM"
        if location.softhsm2_conf is None
        else f'softhsm2_conf = "{location.softhsm2_conf}"',
        pin=files.pin,
        client_port=_client_port(plan, number),
        peer_port=_peer_port(plan, number),
        peers=peers,
    )
    write_new(files.settings, text.encode())


def _whom_to_believe(plan: FleetPlan, manifest: Manifest) -> str:
    if plan.trusted is not None:
        return f'root_of_trust = "{plan.root / ROOT_OF_TRUST}"'
    pinned = f'manifest = "{plan.root}/manifest.json"\nmanifest_sha256 = "{manifest.digest.hex()}"'
    return f'{pinned}\nfleet = "{plan.fleet}"'


def _operator_line(files: ReplicaFiles) -> str:
    path = str(files.operator)
    if len(path.encode()) > SOCKET_PATH:
        return "# operator: this directory's path is too long for a Unix socket; name a shorter one here"
    return f'operator = "unix:{path}"'


def _client_port(plan: FleetPlan, number: int) -> int:
    return plan.ports[2 * number - 1]


def _peer_port(plan: FleetPlan, number: int) -> int:
    return plan.ports[2 * number]
