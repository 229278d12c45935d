// What a person should look at when a manifest follows another one.

const words = (name) => name.replaceAll("_", " ");

function* fleetFacts(fleet) {
  yield ["state", fleet.state];
  yield ["custody", fleet.custody];
  yield ["session key", fleet.kem_public];
  yield ["OPAQUE key", fleet.opaque_public];
  yield ["check values", `${fleet.seal_check} ${fleet.id_check}`];
  yield ["evidence", fleet.evidence_sha256 ?? "none"];
  for (const [axis, level] of Object.entries(fleet.assurance)) yield [`assurance of ${words(axis)}`, level];
  for (const [name, value] of Object.entries(fleet.attempts)) yield [`attempts: ${words(name)}`, String(value)];
  for (const [name, value] of Object.entries(fleet.argon2)) yield [`Argon2id: ${words(name)}`, String(value)];
  for (const group of fleet.groups) {
    for (const replica of group.replicas) {
      const name = `group ${group.group}, replica ${replica.replica}:`;
      yield [`${name} identity key`, replica.identity_public];
      yield [`${name} link key`, replica.link_public];
      yield [`${name} incarnation`, String(replica.incarnation)];
    }
  }
  for (const tenant of fleet.tenants) {
    for (const key of tenant.keys) yield [`tenant ${tenant.tenant}, key ${key.kid}`, `${key.alg} ${key.public_key}`];
  }
}

/** Return a list of {fleet, kind, name, before, after}; kind is "added", "removed" or "changed". */
export function changes(before, after) {
  const found = [];
  const ids = new Set([...(before?.fleets ?? []), ...after.fleets].map((fleet) => fleet.fleet));
  for (const id of ids) {
    const facts = (manifest) => new Map(fleetFacts(manifest.fleets.find((fleet) => fleet.fleet === id)));
    const had = before?.fleets.some((fleet) => fleet.fleet === id) ? facts(before) : new Map();
    const has = after.fleets.some((fleet) => fleet.fleet === id) ? facts(after) : new Map();
    for (const name of new Set([...had.keys(), ...has.keys()])) {
      const [old, now] = [had.get(name), has.get(name)];
      if (old === now) continue;
      const kind = old === undefined ? "added" : now === undefined ? "removed" : "changed";
      found.push({ fleet: id, kind, name, before: old, after: now });
    }
  }
  return found;
}
