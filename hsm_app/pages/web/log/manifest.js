// The manifest in an entry of the log, as far as this page shows it.
import { Refused, hex, sha256, strictJson, textOf } from "./bytes.js";

const SCHEMA = "hsm-vault/fleet-manifest/v1";

/** Return the manifest in an entry. It is read only as far as this page shows it; clients are stricter. */
export async function parseManifest(payload) {
  const said = strictJson(textOf(payload, "the manifest"), "the manifest");
  const times = [said?.issued_at, said?.not_before, said?.not_after].map(Date.parse);
  const hasForm = said?.schema === SCHEMA && [said.epoch, ...times].every(Number.isSafeInteger);
  if (!hasForm || !Array.isArray(said.fleets) || !said.fleets.every(isFleet)) {
    throw new Refused("the manifest does not read");
  }
  return { ...said, digest: hex(await sha256(payload)) };
}

function isFleet(said) {
  if (![said?.groups, said?.tenants].every(Array.isArray)) return false;
  const lists = [...said.groups.map((one) => one?.replicas), ...said.tenants.map((one) => one?.keys)];
  const values = [said.assurance, said.attempts, said.argon2, ...lists.filter(Array.isArray).flat()];
  return lists.every(Array.isArray) && values.every((one) => one instanceof Object);
}
