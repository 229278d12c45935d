// The root of trust: who may vouch for a namespace's keys, and which witnesses are enough (C2SP tlog-policy).
import { Refused, hex, sha256, strictJson, textOf, unhex } from "./bytes.js";
import { LOG_KEY, WITNESS_KEY, parseKey } from "./note.js";

const SCHEMA = "hsm-vault/root-of-trust/v1";

export async function parseRoot(bytes) {
  const said = strictJson(textOf(bytes, "the root of trust"), "the root of trust");
  if (said?.schema !== SCHEMA) throw new Refused("this file is no root of trust");
  const policy = await parsePolicy(said.policy);
  const log = policy.logs.find((key) => key.name === said.origin);
  if (!log) throw new Refused(`the root of trust has no key of the log ${said.origin}`);
  const numbers = [said.version, said.minimum_epoch, said.maximum_cosignature_age_seconds, Date.parse(said.expires_at)];
  if (!numbers.every(Number.isSafeInteger)) throw new Refused("the root of trust has not its numbers and times");
  return {
    namespace: said.namespace,
    version: said.version,
    origin: said.origin,
    expires: Date.parse(said.expires_at) / 1000,
    minimumEpoch: said.minimum_epoch,
    maximumAge: said.maximum_cosignature_age_seconds,
    auditors: role(said.auditors),
    operators: role(said.operators),
    policy,
    log,
    digest: hex(await sha256(bytes)),
  };
}

function role(said) {
  const { threshold, keys } = said ?? {};
  if (!Array.isArray(keys) || !(threshold >= 1 && threshold <= keys.length)) {
    throw new Refused("a role of the root of trust has not its keys and threshold");
  }
  return { threshold, keys: keys.map((key) => ({ alg: key.alg, public: publicKey(key) })) };
}

function publicKey({ alg, public_key: text }) {
  if (alg !== "Ed25519" && alg !== "ES256") throw new Refused(`the root of trust has a key of the kind ${alg}`);
  return unhex(text, alg === "Ed25519" ? 32 : 33, "a key of the root of trust");
}

async function parsePolicy(lines) {
  if (!Array.isArray(lines)) throw new Refused("the root of trust has no policy of witnesses");
  const policy = { logs: [], witnesses: new Map(), groups: new Map(), quorum: null };
  for (const line of lines) {
    const words = line.startsWith("#") ? [] : line.split(/\s+/).filter(Boolean);
    if (words.length) await take(policy, words, line);
  }
  if (policy.quorum === null) throw new Refused("the policy of witnesses has no quorum line");
  return policy;
}

async function take(policy, [kind, ...words], line) {
  const isKnown = (name) => policy.witnesses.has(name) || policy.groups.has(name);
  if (kind === "log") policy.logs.push(await parseKey(words[0], LOG_KEY));
  else if (kind === "witness" && !isKnown(words[0])) {
    policy.witnesses.set(words[0], await parseKey(words[1], WITNESS_KEY));
  } else if (kind === "group" && !isKnown(words[0]) && words.length > 2 && words.slice(2).every(isKnown)) {
    const members = words.slice(2);
    if (new Set(members).size !== members.length) throw new Refused(`the policy names a member twice: ${line}`);
    const enough = { all: members.length, any: 1 }[words[1]] ?? Number(words[1]);
    if (!(enough >= 1 && enough <= members.length)) throw new Refused(`the policy's line does not read: ${line}`);
    policy.groups.set(words[0], { enough, members });
  } else if (kind === "quorum" && policy.quorum === null && (words[0] === "none" || isKnown(words[0]))) {
    policy.quorum = words[0];
  } else throw new Refused(`the policy's line does not read: ${line}`);
}

/** Say whether these witnesses, a set of the policy's names, are enough. */
export function isMet(policy, cosigned) {
  const holds = (name) => {
    const group = policy.groups.get(name);
    return group ? group.members.filter(holds).length >= group.enough : cosigned.has(name);
  };
  return policy.quorum === "none" || holds(policy.quorum);
}
