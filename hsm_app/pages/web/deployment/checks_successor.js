// What evidence has to keep of the evidence before it: a token was replaced, and all else of the fleet is as it was.
// Such evidence shows one new token. For the rest it stands on the evidence before, which is checked for itself.
import { CannotTell, Refused, isEqual } from "./bytes.js";
import { STATES } from "./fleet.js";
import { keyOf } from "./people.js";
import { isSame } from "./shapes.js";

const FOR_GOOD = ["kem_public", "opaque_public", "seal_check", "id_check", "argon2", "custody"];

/** Refused unless the statement names one before it where a token was replaced, and only there, and that one is here. */
export function checkPredecessor(evidence) {
  const { isReplacement, statement, forms, before } = evidence, { file } = forms.statement;
  if (isReplacement !== (statement.previous !== null)) {
    throw new Refused(`${file} names the statement before it where a token was replaced, and only there`);
  }
  if (!before) return;
  inBefore(before, () => before.statement);
  if (before.statementDigest === statement.previous) return;
  const given = `its statement has SHA-256 ${before.statementDigest}, and ${file} names ${statement.previous}`;
  throw new Refused(`the evidence that was given as the one before is another: ${given}`);
}

/** The fleet is that of the evidence before, but for the keys and the incarnation of one replica. */
export function checkFleetGoesOn(evidence) {
  checkIncarnation(evidence);
  const before = predecessor(evidence);
  const [now, was] = [evidence.fleet, inBefore(before, () => before.fleet)];
  if (now.fleet !== was.fleet || !isSame(numbers(now), numbers(was))) {
    throw new Refused("fleet.json: it has another name or other replicas than in the evidence before");
  }
  checkKept(was, now);
  checkMembers(evidence, before.replicas);
  checkNoGap(evidence, before.replicas);
  const others = evidence.replicas.length - 1;
  const kept = `${others} replicas and the fleet's four keys are those of the evidence before`;
  return `replica ${evidence.plan.replica} is new; ${kept}`;
}

/** Refused unless a threshold of custodians, and nobody else, gave shares. */
export function checkShares(evidence) {
  const { plan } = evidence, gave = evidence.done("shares").custodians;
  const givers = new Set(Array.isArray(gave) && gave.every((name) => typeof name === "string") ? gave : []);
  const names = plan.custodians.map((person) => person.name);
  if ([...givers].some((name) => !names.includes(name)) || givers.size < plan.threshold) {
    throw new Refused(`transcript.jsonl does not show that ${plan.threshold} custodians gave their shares`);
  }
}

/** The custodians are those of the evidence before, and enough of them agree with the keys that they had. */
export function checkCustodiansGoOn(evidence, agreeing) {
  const before = predecessor(evidence);
  const custody = inBefore(before, () => before.file("custody.json"));
  if (!isEqual(evidence.file("custody.json"), custody)) {
    throw new Refused("custody.json is not that of the evidence before");
  }
  const had = new Map(inBefore(before, () => before.plan.custodians.map((person) => [person.name, keyOf(person)])));
  const known = agreeing.filter((person) => had.get(person.name) === keyOf(person)).length;
  if (known < evidence.plan.threshold) {
    const count = `${agreeing.length} custodians agree, and ${known} of them with the key of the evidence before`;
    throw new CannotTell(`${count}; ask the others whether the new one is theirs`);
  }
}

/** Refused unless the manifest is later than that of the evidence before, where there is one. */
export function checkManifestGoesOn({ isReplacement, before, manifest }) {
  if (!isReplacement || !before?.has("manifest.json")) return;
  const was = inBefore(before, () => before.manifest);
  if (manifest.namespace !== was.namespace || manifest.epoch <= was.epoch) {
    throw new Refused("manifest.json is not later than that of the evidence before, or of another namespace");
  }
}

function predecessor(evidence) {
  checkPredecessor(evidence);
  if (evidence.before) return evidence.before;
  throw new CannotTell(`the evidence before it is not here; its statement has SHA-256 ${evidence.statement.previous}`);
}

/** Let a failure say that it is about the evidence before. */
function inBefore(before, get) {
  try {
    return get();
  } catch (error) {
    if (!(error instanceof Refused || error instanceof CannotTell)) throw error;
    throw new error.constructor(`in the evidence before: ${error.message}`);
  }
}

/** The ceremony set one incarnation aside, made the next, and took the root from a member that stays. */
function checkIncarnation(evidence) {
  const { replica, incarnation } = evidence.made[0];
  const told = ["set-aside", "member"].map((step) => evidence.done(step).incarnation);
  if (!isSame(told, [incarnation - 1, incarnation])) {
    throw new Refused(`incarnation ${incarnation} of replica ${replica} in fleet.json is not the ceremony's`);
  }
  const staying = evidence.replicas.map((one) => one.replica).filter((number) => number !== replica);
  if (!staying.includes(evidence.done(`carry-${replica}`).from)) {
    throw new Refused("transcript.jsonl does not show that the root came from a replica that stays");
  }
}

/** What a fleet keeps for good, as every later manifest has to keep it. */
function checkKept(was, now) {
  const changed = FOR_GOOD.find((name) => !isSame(was[name], now[name]));
  if (changed) throw new Refused(`fleet.json: fleet ${now.fleet} changes ${changed}, which a fleet keeps for good`);
  if (was.attempts.maximum !== now.attempts.maximum) {
    throw new Refused(`fleet.json: fleet ${now.fleet} changes the number of guesses`);
  }
  if (STATES.indexOf(now.state) < STATES.indexOf(was.state)) {
    throw new Refused(`fleet.json: fleet ${now.fleet} was ${was.state} and cannot be ${now.state} again`);
  }
}

/** Keys that were are as they were, the new ones were nobody's, and no incarnation goes back. */
function checkMembers({ plan, replicas }, before) {
  const was = new Map(before.map((one) => [one.replica, one]));
  const known = before.flatMap(keys);
  for (const one of replicas) {
    const [number, old, isNew] = [one.replica, was.get(one.replica), one.replica === plan.replica];
    if (isNew && keys(one).some((key) => known.includes(key))) {
      throw new Refused(`fleet.json: replica ${number} has a key that the evidence before knows already`);
    }
    if (!isNew && !isSame(keys(one), keys(old))) {
      throw new Refused(`fleet.json: the keys of replica ${number} are not those of the evidence before`);
    }
    if (one.incarnation < old.incarnation + Number(isNew)) {
      throw new Refused(`fleet.json: replica ${number} was incarnation ${old.incarnation}, and cannot be this one`);
    }
  }
}

/** Another token may have been there for a while, with the fleet's root in it. */
function checkNoGap({ replicas }, before) {
  const was = new Map(before.map((one) => [one.replica, one.incarnation]));
  const gaps = replicas
    .filter(({ replica, incarnation }) => incarnation > was.get(replica) + 1)
    .map(({ replica, incarnation }) => `replica ${replica} went from incarnation ${was.get(replica)} to ${incarnation}`);
  if (gaps.length) throw new CannotTell(`${gaps.join("; ")}: no evidence here shows which token was there in between`);
}

const keys = ({ identity_public: identity, link_public: link }) => [identity, link];
const numbers = ({ groups }) => groups.map(({ group, replicas }) => [group, replicas.map((one) => one.replica)]);
