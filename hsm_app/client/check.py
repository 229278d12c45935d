"""Check a client's configuration as far as that is possible without asking anybody."""

from __future__ import annotations

from pathlib import Path

from hsm_app.client.account_token import check_names, read_account_token
from hsm_app.client.config import read_client_settings, usable_fleet, vault_config
from hsm_app.client.device import trust_of
from hsm_app.client.state import DeviceState
from hsm_app.client.trust import FollowedManifest
from hsm_app.model import Subject


def check_client(path: Path) -> tuple[str, ...]:
    """Check everything that the file at `path` names; return what it says, a line each. ConfigError for a fault."""
    settings = read_client_settings(path)
    subject = Subject(tenant=settings.tenant, account=settings.account, name=settings.record)
    check_names(read_account_token(settings.token_file), subject)
    trust = trust_of(settings, DeviceState(settings.state_directory))
    if isinstance(trust, FollowedManifest) and not trust.is_known:
        known = ["manifest  none yet: the fleet is asked for it, and believed by the root of trust"]
    else:
        known = [f"manifest  {trust.manifest.namespace}, epoch {trust.manifest.epoch}"]
        for fleet in [settings.fleet] if settings.fleet else [each.fleet for each in trust.manifest.fleets]:
            listed = usable_fleet(vault_config(settings, trust, fleet), trust.manifest)
            known.append(f"fleet     {listed.fleet}, {listed.state.value}")
    return (
        f"relay     {settings.relay}",
        *known,
        f"record    {subject.name} of account {subject.account} with {subject.tenant}",
        f"token     {settings.token_file}",
        f"state     {settings.state_directory}",
    )
