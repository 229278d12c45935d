// The checks of an audit, as far as a browser makes them. Their names and meaning are those of `hsm-vault audit`.
import { exceptions } from "./checks_exceptions.js";
import { attestationChain, keyAttributes, keyBinding, manifest, sealed, softwareDigest } from "./checks_fleet.js";
import { logInclusion } from "./checks_log.js";
import { custodianThreshold, scriptDigest, signatures, transcriptChain } from "./checks_people.js";
import { NOT_PROVEN, attempt } from "./verdict.js";

const LOOKS = {
  "script-digest": scriptDigest,
  "transcript-chain": transcriptChain,
  signatures,
  "custodian-threshold": custodianThreshold,
  "key-attributes": keyAttributes,
  "key-binding": keyBinding,
  "software-digest": softwareDigest,
  "attestation-chain": attestationChain,
  sealed,
  manifest,
  "log-inclusion": logInclusion,
  exceptions,
};
const UNKNOWN = { outcome: NOT_PROVEN, why: "this page does not look at it: use hsm-vault audit" };

/** Return the verdict on a check; what this page does not know is not proven.
 * `own` are the reader's roots of trust, as `logInclusion` takes it. */
export async function verdictOn(name, evidence, own) {
  return Object.hasOwn(LOOKS, name) ? attempt(() => LOOKS[name](evidence, own)) : UNKNOWN;
}

/** Return a verdict on each check that `forms` names, by name. */
export async function audit(evidence, own) {
  const verdicts = {};
  for (const { name } of evidence.forms.checks) verdicts[name] = await verdictOn(name, evidence, own);
  return verdicts;
}
