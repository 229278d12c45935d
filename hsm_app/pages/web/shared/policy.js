// Policies of witnesses (C2SP tlog-policy): which logs, which witnesses, and how many of them are enough.
import { Refused } from "./bytes.js";
import { LOG_KEY, WITNESS_KEY, parseKey } from "./note.js";
import { distinct } from "./shapes.js";

const NONE = "none";

/** Read a policy's lines. A line may name only what stands above it. */
export async function parsePolicy(lines) {
  const policy = { logs: [], witnesses: new Map(), groups: new Map(), quorum: null };
  for (const line of lines) {
    const words = line.startsWith("#") ? [] : line.split(" ").filter(Boolean);
    if (words.length) await take(policy, words, line);
  }
  if (policy.quorum === null) throw new Refused("the policy of witnesses has no quorum line");
  return policy;
}

async function take(policy, [kind, ...words], line) {
  const isKnown = (name) => policy.witnesses.has(name) || policy.groups.has(name);
  const isNew = (name) => name !== NONE && name.length < 256 && !isKnown(name);
  const isLong = (...lengths) => lengths.includes(words.length); // an address may end the line of a key
  const [first, second, ...members] = words;
  if (kind === "log" && isLong(1, 2)) policy.logs.push(await parseKey(first, LOG_KEY));
  else if (kind === "witness" && isLong(2, 3) && isNew(first)) {
    policy.witnesses.set(first, await parseKey(second, WITNESS_KEY));
  } else if (kind === "group" && members.length && isNew(first) && members.every(isKnown)) {
    policy.groups.set(first, group(policy, second, members, line));
  } else if (kind === "quorum" && isLong(1) && policy.quorum === null && (first === NONE || isKnown(first))) {
    policy.quorum = first;
  } else throw new Refused(`the policy's line does not read: ${line}`);
}

function group(policy, word, members, line) {
  distinct([...[...policy.groups.values()].flatMap((one) => one.members), ...members], "in a group, the member");
  const number = /^[0-9]{1,3}$/.test(word) ? Number(word) : 0;
  const enough = { all: members.length, any: 1 }[word] ?? number;
  if (!(enough >= 1 && enough <= members.length)) throw new Refused(`the policy's line does not read: ${line}`);
  return { enough, members };
}

/** Say whether these witnesses, a set of the policy's names, are enough. */
export function isMet(policy, cosigned) {
  const holds = (name) => {
    const found = policy.groups.get(name);
    return found ? found.members.filter(holds).length >= found.enough : cosigned.has(name);
  };
  return policy.quorum === NONE || holds(policy.quorum);
}
