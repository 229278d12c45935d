// One look at a namespace in a log. The checks and their names are those of `hsm-vault log verify`.
import { Ambiguous, CannotTell, Refused, hex, isEqual } from "./bytes.js";
import { changes } from "./changes.js";
import { checkCountersignature, parseEntry } from "./entry.js";
import { parseManifest } from "./manifest.js";
import { rootOf } from "./merkle.js";
import { parseCheckpoint, parseNote } from "./note.js";
import { isMet } from "./policy.js";
import { readEntries, readLeaves } from "./tree.js";
import { FAIL, NOT_PROVEN, PASS, attempt } from "./verdict.js";
import { checkCheckpoint, checkSigners, checkWitnesses } from "./vouched.js";

const SKEW = 300; // seconds that clocks may differ

/** `fetchFile(path)` gives bytes, null when nothing is there. `seen` is {size, root} of an earlier look, or null. */
export async function look({ fetchFile, root, now, seen }) {
  const log = {};
  let note, checkpoint;
  log.proof = await attempt(async () => {
    note = parseNote((await fetchFile("checkpoint")) ?? new Uint8Array());
    checkpoint = parseCheckpoint(note.text);
    await checkCheckpoint(note, checkpoint, root);
    return `${root.origin} signed a tree of ${checkpoint.size} entries`;
  });
  if (!checkpoint || log.proof.outcome === FAIL) return { checkpoint: null, log, epochs: [], witnesses: [] };
  let leaves = [], entries = [];
  log.inclusion = await attempt(async () => {
    entries = await readEntries(fetchFile, checkpoint.size);
    leaves = await readLeaves(fetchFile, checkpoint);
    const wrong = entries.find((entry) => !isEqual(entry.leaf, leaves[entry.index]));
    if (wrong) throw new Refused(`entry ${wrong.index} is not the one that was logged`);
    return `all ${entries.length} entries make the root that was signed`;
  });
  log.consistency = await attempt(() => checkGrowth(checkpoint, leaves, seen, log.inclusion));
  const witnesses = [];
  log.witnesses = await attempt(() => checkWitnesses(note, root, witnesses));
  log.freshness = await attempt(() => checkFreshness(root, witnesses, now, log.witnesses));
  const found = await findOurs(entries, root);
  const epochs = [];
  for (const [at, one] of found.entries()) {
    epochs.push(await verdictsOf(one, found[at - 1], { leaves, root, now: at === found.length - 1 ? now : null }));
  }
  return { checkpoint, log, epochs, witnesses };
}

async function checkGrowth(checkpoint, leaves, seen, inclusion) {
  if (!seen) throw new CannotTell("this browser looks for the first time: nothing to compare with yet");
  if (checkpoint.size < seen.size) {
    throw new Refused(`the log had ${seen.size} entries, and now shows ${checkpoint.size}`);
  }
  if (inclusion.outcome !== PASS) throw new CannotTell("the log's tree does not read");
  if (hex(await rootOf(leaves.slice(0, seen.size))) !== seen.root) {
    throw new Refused(`the first ${seen.size} entries are not those that this browser saw before: history was changed`);
  }
  return `continues the tree of ${seen.size} entries that this browser saw before`;
}

function checkFreshness(root, witnesses, now, cosigned) {
  if (!(now < root.expires)) throw new Refused("the root of trust has expired");
  if (cosigned.outcome !== PASS) throw new CannotTell("the cosignatures do not tell");
  const fresh = witnesses.filter((one) => one.at >= now - root.maximumAge && one.at <= now + SKEW);
  if (!isMet(root.policy, new Set(fresh.map((one) => one.name)))) {
    throw new Refused("too few witnesses saw the log lately");
  }
  return "seen by enough witnesses lately";
}

/** The namespace's entries, those that its auditor signed and whose manifest does not read, and ambiguous ones: a
 * client may read what this page does not, so none of them may go unseen. */
async function findOurs(entries, root) {
  const found = [];
  for (const { index, bytes, leaf } of entries) {
    const one = { index, leaf, entry: null, manifest: null, why: "" };
    try {
      one.entry = parseEntry(bytes);
      one.manifest = await parseManifest(one.entry.auditor.payload);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (!one.entry && !(error instanceof Ambiguous)) continue; // somebody else's
      one.why = error.message;
    }
    if (await isOurs(one, root)) found.push(one);
  }
  return found;
}

async function isOurs({ entry, manifest }, root) {
  return manifest ? manifest.namespace === root.namespace : !entry || (await mayBeSigned(entry.auditor, root));
}

async function mayBeSigned(envelope, root) {
  return (await attempt(() => checkSigners(envelope, root, "auditors", {}))).outcome !== FAIL;
}

async function verdictsOf(one, previous, { leaves, root, now }) {
  const { entry, manifest, index, leaf } = one;
  const signed = { auditors: [], operators: [] };
  const artifact = manifest ? { outcome: PASS, why: `SHA-256 ${manifest.digest}` } : { outcome: FAIL, why: one.why };
  if (!entry) return { index, manifest, verdicts: { artifact }, signed, changes: [] };
  const verdicts = {
    artifact,
    inclusion: await attempt(() => {
      if (!leaves.length || !isEqual(leaf, leaves[index])) {
        throw new Refused("this entry is not the one that was logged");
      }
      return `entry ${index} of ${leaves.length}`;
    }),
    "auditor-signature": await attempt(() => checkSigners(entry.auditor, root, "auditors", signed)),
    "counter-signature": await attempt(() => checkSigners(entry.operator, root, "operators", signed)),
  };
  if (manifest) {
    verdicts.digest = await attempt(async () => {
      await checkCountersignature(entry, manifest);
      return "the counter-signature names this manifest and the auditor's signatures";
    });
    verdicts.delta = await attempt(() => checkFollows(manifest, previous));
    if (now !== null) verdicts.freshness = await attempt(() => checkWindow(manifest, root, now));
  }
  const changed = manifest ? changes(previous?.manifest ?? null, manifest) : [];
  return { index, manifest, verdicts, signed, changes: changed };
}

function checkFollows(manifest, previous) {
  if (!previous && manifest.epoch === 1 && manifest.previous_sha256 === null) return "the first epoch";
  const last = previous?.manifest;
  if (!last || manifest.epoch !== last.epoch + 1 || manifest.previous_sha256 !== last.digest) {
    throw new Refused("it does not follow the entry before it");
  }
  return `follows epoch ${last.epoch} and names its SHA-256`;
}

function checkWindow(manifest, root, now) {
  if (manifest.epoch < root.minimumEpoch) {
    throw new Refused(`epochs before ${root.minimumEpoch} are not trusted any more`);
  }
  if (now + SKEW < Date.parse(manifest.not_before) / 1000) throw new Refused("it is not valid yet");
  if (!(now < Date.parse(manifest.not_after) / 1000)) throw new Refused("it has expired");
  return "valid now";
}

/** The worst of all outcomes. `excused` are checks of the log that a first look cannot do: no reason for doubt. */
export function overall({ checkpoint, log, epochs }, excused) {
  // A log that was just made has no witnesses yet, and no keys that anyone could be warned of.
  const stands = [log.proof, log.inclusion].every((one) => one?.outcome === PASS) && log.consistency.outcome !== FAIL;
  if (checkpoint?.size === 0 && stands) return NOT_PROVEN;
  const asked = Object.entries(log).filter(([check, { outcome }]) => outcome !== NOT_PROVEN || !excused.has(check));
  const all = [...asked.map(([, verdict]) => verdict), ...epochs.flatMap((epoch) => Object.values(epoch.verdicts))];
  return [FAIL, NOT_PROVEN].find((outcome) => all.some((verdict) => verdict.outcome === outcome)) ?? PASS;
}
