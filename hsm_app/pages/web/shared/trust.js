// The root of trust: who may vouch for a namespace's keys. What `hsm-vault` refuses is refused here.
import { Refused, hex, sha256, unhex } from "./bytes.js";
import { decompressed } from "./keys.js";
import { parsePolicy } from "./policy.js";
import { NAMESPACE, distinct, json, list, members, text, time, whole } from "./shapes.js";

const SCHEMA = "hsm-vault/root-of-trust/v1";
const MEMBERS = [
  "schema", "namespace", "version", "issued_at", "expires_at", "auditors", "operators", "origin", "policy",
  "minimum_epoch", "maximum_cosignature_age_seconds",
];
export const LIMIT = 16 * 1024; // bytes
const MOST_KEYS = 16;
const MOST_LINES = 64;
const LONGEST = 366 * 86400; // seconds
const LINE = /^[\x20-\x7e]{1,500}$/;

export async function parseRoot(bytes) {
  if (bytes.length > LIMIT) throw new Refused("this file is longer than a root of trust can be");
  const said = json(bytes, "the root of trust");
  if (said?.schema !== SCHEMA) throw new Refused("this file is no root of trust");
  members(said, MEMBERS, "the root of trust");
  const lines = list(said.policy, "policy", 1, MOST_LINES).map((line) => text(line, LINE, "a line of the policy"));
  const policy = await parsePolicy(lines);
  const root = {
    namespace: text(said.namespace, NAMESPACE, "namespace"),
    version: whole(said.version, "version", 1),
    origin: text(said.origin, NAMESPACE, "origin"),
    expires: time(said.expires_at, "expires_at"),
    minimumEpoch: whole(said.minimum_epoch, "minimum_epoch", 1),
    maximumAge: whole(said.maximum_cosignature_age_seconds, "maximum_cosignature_age_seconds", 60, LONGEST),
    auditors: role(said.auditors, "auditors"),
    operators: role(said.operators, "operators"),
    policy,
    log: policy.logs.find((key) => key.name === said.origin),
    digest: hex(await sha256(bytes)),
  };
  if (!root.log) throw new Refused(`the root of trust has no key of the log ${said.origin}`);
  if (root.expires <= time(said.issued_at, "issued_at")) throw new Refused("expires_at is not later than issued_at");
  checkSeparate(root);
  return root;
}

function role(said, what) {
  const { threshold, keys } = members(said, ["threshold", "keys"], what);
  const read = list(keys, `the keys of ${what}`, 1, MOST_KEYS).map(roleKey);
  return { threshold: whole(threshold, `the threshold of ${what}`, 1, read.length), keys: read };
}

function roleKey(said) {
  const { alg, public_key: encoded } = members(said, ["alg", "public_key"], "a key of the root of trust");
  if (alg !== "Ed25519" && alg !== "ES256") throw new Refused(`the root of trust has a key of the kind ${alg}`);
  const key = unhex(encoded, alg === "Ed25519" ? 32 : 33, "a key of the root of trust");
  if (alg === "ES256") decompressed(key);
  return { alg, public: key };
}

/** One key has one role: who could sign for another could do alone what takes two. */
function checkSeparate({ auditors, operators, policy }) {
  const all = [...auditors.keys, ...operators.keys, ...policy.logs, ...policy.witnesses.values()];
  distinct(all.map((key) => hex(key.public)), "in the root of trust, the key");
}
