// An entry of the log: the auditor's envelope over a manifest, and the operator's counter-signature (DSSE v1.0.2).
import { Refused, hex, sha256, strictJson, textOf } from "./bytes.js";
import { parseEnvelope } from "./dsse.js";

const MANIFEST_TYPE = "application/vnd.hsm-vault.fleet-manifest.v1+json";
const COUNTERSIGNATURE_TYPE = "application/vnd.hsm-vault.fleet-countersignature.v1+json";
const SCHEMA = "hsm-vault/fleet-manifest/v1";

/** Return both envelopes; nothing is verified yet. */
export function parseEntry(bytes) {
  const lines = textOf(bytes, "an entry").split("\n");
  if (lines.length !== 3 || lines[2]) throw new Refused("an entry is not two envelopes, each on its line");
  return { auditor: parseEnvelope(lines[0], MANIFEST_TYPE), operator: parseEnvelope(lines[1], COUNTERSIGNATURE_TYPE) };
}

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

/** Refused unless the operator's envelope is about this manifest and these signatures of the auditor. */
export async function checkCountersignature({ auditor, operator }, manifest) {
  const said = strictJson(textOf(operator.payload, "the counter-signature"), "the counter-signature");
  const hashes = await Promise.all(auditor.signatures.map(async (one) => hex(await sha256(one))));
  const isSame =
    said?.namespace === manifest.namespace &&
    said.epoch === manifest.epoch &&
    said.manifest_sha256 === manifest.digest &&
    JSON.stringify(said.auditor_signatures_sha256) === JSON.stringify(hashes);
  if (!isSame) throw new Refused("the operator counter-signed another manifest, or another signature of the auditor");
}
