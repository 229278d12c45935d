// Whether those whom a root of trust names vouch: auditors, operators, the log, its witnesses.
import { Refused } from "./bytes.js";
import { signers } from "./dsse.js";
import { checkSigned, cosignedAt } from "./note.js";
import { isMet } from "./policy.js";

/** `who` is "auditors" or "operators"; the ids of those who signed go into `signed`. */
export async function checkSigners(envelope, root, who, signed = {}) {
  signed[who] = await signers(envelope, root[who]);
  const { threshold } = root[who];
  if (signed[who].length < threshold) throw new Refused(`too few of the ${who} that are trusted signed`);
  return `${signed[who].length} of the ${who} that are trusted signed; ${threshold} needed`;
}

/** Refused unless the checkpoint is of the root of trust's log, and signed by it. */
export async function checkCheckpoint(note, checkpoint, root) {
  if (checkpoint.origin !== root.origin) throw new Refused(`the checkpoint is of another log, ${checkpoint.origin}`);
  await checkSigned(note, root.log);
}

/** Those who cosigned go into `witnesses`, as {name, key, at}. */
export async function checkWitnesses(note, root, witnesses = []) {
  for (const [name, key] of root.policy.witnesses) {
    const at = await cosignedAt(note, key);
    if (at !== null) witnesses.push({ name, key: key.name, at });
  }
  if (!isMet(root.policy, new Set(witnesses.map((one) => one.name)))) {
    throw new Refused("too few witnesses cosigned the log");
  }
  if (!witnesses.length) return "the root of trust asks for no witness";
  return `cosigned by ${witnesses.map((one) => one.key).join(", ")}`;
}
