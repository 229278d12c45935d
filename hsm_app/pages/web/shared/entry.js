// An entry of the log: the auditor's envelope over a manifest, and the operator's counter-signature (DSSE v1.0.2).
import { Refused, hex, sha256, textOf } from "./bytes.js";
import { parseEnvelope } from "./dsse.js";
import { json, members } from "./shapes.js";

const MANIFEST_TYPE = "application/vnd.hsm-vault.fleet-manifest.v1+json";
const COUNTERSIGNATURE_TYPE = "application/vnd.hsm-vault.fleet-countersignature.v1+json";
const LIMIT = 8 * 1024; // bytes of a counter-signature
const COUNTERSIGNATURE = ["namespace", "epoch", "manifest_sha256", "auditor_signatures_sha256"];

/** Return both envelopes; nothing is verified yet. */
export function parseEntry(bytes) {
  const lines = textOf(bytes, "an entry").split("\n");
  if (lines.length !== 3 || lines[2]) throw new Refused("an entry is not two envelopes, each on its line");
  return { auditor: parseEnvelope(lines[0], MANIFEST_TYPE), operator: parseEnvelope(lines[1], COUNTERSIGNATURE_TYPE) };
}

/** Refused unless the operator's envelope is about this manifest and these signatures of the auditor. */
export async function checkCountersignature({ auditor, operator }, manifest) {
  const what = "the counter-signature", said = members(json(operator.payload, what, LIMIT), COUNTERSIGNATURE, what);
  const hashes = await Promise.all(auditor.signatures.map(async (one) => hex(await sha256(one))));
  const isSame =
    said.namespace === manifest.namespace &&
    said.epoch === manifest.epoch &&
    said.manifest_sha256 === manifest.digest &&
    JSON.stringify(said.auditor_signatures_sha256) === JSON.stringify(hashes);
  if (!isSame) throw new Refused("the operator counter-signed another manifest, or another signature of the auditor");
}
