"""The directory of one fleet as its operator works with it: which fleet it is, its manifests, and whom it believes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsm_app.durable import replace_file
from hsm_app.epochs import Epochs
from hsm_app.errors import ConfigError
from hsm_app.fleet.manifest import Fleet, Manifest, Replica
from hsm_app.fleet.membership import Removal, group_step
from hsm_app.fleet.root_of_trust import RootOfTrust
from hsm_app.model import FleetId
from hsm_app.root_files import read_trusted_root

ROOT_OF_TRUST = "root-of-trust.json"
DIGEST_LINE = re.compile(r'^manifest_sha256 = ".*"$', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetDirectory:
    """`trusted` is None where replicas believe nobody, and only members of groups ever change."""

    root: Path
    fleet_id: FleetId
    trusted: RootOfTrust | None

    @property
    def epochs(self) -> Epochs:
        """The operator's own history, beside the manifest that clients get."""
        return Epochs(self.root / "manifest.json", self.trusted, self.fleet_id)

    def fleet(self, manifest: Manifest) -> Fleet:
        """Return this directory's fleet in a manifest. ConfigError when it is not listed."""
        return manifest.fleet(self.fleet_id)

    def last_listed(self, replica: int) -> tuple[int, Replica]:
        """Return group and entry of a replica in the last manifest that lists it: its replacement may have begun."""
        current = self.epochs.current()
        for epoch in range(current.epoch, 0, -1):
            manifest = current if epoch == current.epoch else self.epochs.past(epoch)
            for group in () if manifest is None else self.fleet(manifest).groups:
                for member in group.replicas:
                    if member.replica == replica:
                        return group.group, member
        raise ConfigError(f"the fleet has no replica {replica}", "Check the plan")

    def removed(self, before: Manifest, current: Manifest) -> list[int]:
        """Return the numbers of the replicas that the step from one manifest to the next removes."""
        pairs = zip(self.fleet(before).groups, self.fleet(current).groups, strict=True)
        steps = [group_step(old, new) for old, new in pairs]
        return [int(step.replica.replica) for step in steps if isinstance(step, Removal)]

    def check_out_for_good(self, replicas: Collection[int]) -> None:
        """ConfigError when the present epoch removed a replica that is not among these: it comes back next or never."""
        current = self.epochs.current()
        before = self.epochs.past(current.epoch - 1)
        for replica in () if before is None else self.removed(before, current):
            if replica not in replicas:
                raise ConfigError(
                    f"epoch {current.epoch} took replica {replica} out, and it could not come back after another epoch",
                    "Finish first: hsm-vault fleet replace-replica. If it stays out for good, say so: "
                    f"--without {replica}",
                )

    def exchange_manifest(self, manifest: Manifest) -> None:
        """Give clients the manifest, and last of all the directory: its `manifest.json` says that the step is taken."""
        client = self.root / "client.toml"
        if client.exists():
            line = f'manifest_sha256 = "{manifest.digest.hex()}"'
            replace_file(client, DIGEST_LINE.sub(line, client.read_text()).encode())
        replace_file(self.root / "manifest.json", manifest.raw)

    def check_settled(self, replica: int) -> None:
        """ConfigError while the next epoch was issued and lists a replica: the token that it names has to stay."""
        following = self.epochs.past(self.epochs.current().epoch + 1)
        listed = () if following is None else self.fleet(following).groups
        if following is not None and any(member.replica == replica for group in listed for member in group.replicas):
            raise ConfigError(
                f"epoch {following.epoch}, which lists replica {replica}, is under way",
                "Finish it first: hsm-vault fleet replace-replica (if the token that it lists died: with "
                "--new-token-died), or namespace publish",
            )


def open_fleet_directory(root: Path) -> FleetDirectory:
    """Read what `fleet create` made. ConfigError when it is no fleet's directory."""
    settings = _any_replica(root)
    trusted = None
    if "root_of_trust" in settings:
        successors = [Path(each) for each in settings.get("root_successors", ())]
        trusted = read_trusted_root(Path(settings["root_of_trust"]), successors).document
    return FleetDirectory(root=root, fleet_id=FleetId(settings["fleet"]), trusted=trusted)


def _any_replica(root: Path) -> dict[str, Any]:
    """Return the settings of a replica below `root`: all name the same fleet and the same root of trust."""
    for path in sorted(root.glob("*/replica.toml")):
        try:
            settings = tomllib.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot read {path}: {error}", "Put the file back") from error
        if "fleet" in settings:
            return settings
    raise ConfigError(f"{root} holds no replicas", "Give the directory that `hsm-vault fleet create` made")
