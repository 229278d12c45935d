"""Whom to believe about an epoch that was logged before the root of trust was succeeded.

An entry belongs to the latest document whose auditors and operators signed it. Two rules keep keys that were given up
from coming back: no epoch belongs to an older document than the epoch before it, and the last one belongs to the last
document, as clients want it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hsm_app.errors import ConfigError, LogError
from hsm_app.fleet.bundle import Entry
from hsm_app.fleet.dsse import parse_envelope
from hsm_app.fleet.root_of_trust import ROOT_TYPE, RootOfTrust, parse_root_of_trust, successor


@dataclass(frozen=True, slots=True)
class Lineage:
    """The documents of one namespace, each the successor of the one before it."""

    documents: tuple[RootOfTrust, ...]

    @property
    def last(self) -> RootOfTrust:
        return self.documents[-1]

    def of(self, entry: Entry) -> RootOfTrust:
        """Return the document that an entry belongs to; the last one when it belongs to none."""
        believing = (
            one
            for one in reversed(self.documents)
            if one.auditors.has_signed(entry.auditor) and one.operators.has_signed(entry.operator)
        )
        return next(believing, self.last)

    def has_audited(self, entry: Entry) -> bool:
        """Say whether enough auditors of any one document signed an entry."""
        return any(one.auditors.has_signed(entry.auditor) for one in self.documents)

    def check_order(self, entry: Entry, before: Entry | None, *, is_last: bool) -> None:
        """LogError ("auditor-signature") when keys that were given up stand behind an entry that they may not sign."""
        document = self.of(entry)
        if before is not None and document.version < self.of(before).version:
            raise LogError("auditor-signature", "signed by keys that had been given up an epoch before")
        if is_last and document is not self.last:
            raise LogError(
                "auditor-signature",
                f"the last epoch is signed by keys of version {document.version} of the root of trust, and clients of "
                f"version {self.last.version} do not believe it",
                "Publish a next epoch under the new keys",
            )


def lineages(documents: Sequence[RootOfTrust], successors: Iterable[bytes]) -> Mapping[str, Lineage]:
    """Return the lineage of each namespace, all of one log. `successors` are envelopes, in their order.

    ConfigError for two last documents of different logs, for a namespace twice, and for a successor of none of the
    documents; LogError for one that too few have signed.
    """
    found: dict[str, tuple[RootOfTrust, ...]] = {root.namespace: (root,) for root in documents}
    if len(found) != len(documents):
        raise ConfigError("two roots of trust are of one namespace", "Give the first, and the rest as --successor")
    for envelope in successors:
        namespace = parse_root_of_trust(parse_envelope(envelope, ROOT_TYPE).payload).namespace
        if namespace not in found:
            raise ConfigError(f"a successor is of {namespace}, which is not watched", "Give that namespace's document")
        found[namespace] = (*found[namespace], successor(found[namespace][-1], envelope))
    keys = {line[-1].policy.log(line[-1].origin).key.text for line in found.values()}
    if len(keys) > 1:
        raise ConfigError(f"the roots of trust name several logs: {', '.join(sorted(keys))}", "Follow each by itself")
    return {namespace: Lineage(line) for namespace, line in found.items()}
