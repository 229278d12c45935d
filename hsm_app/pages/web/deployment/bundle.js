// The bundle beside a manifest: a leaf of the public log, and the proof that it is one (C2SP tlog-proof).
import { Refused, hex, sha256, textOf, unbase64, utf8 } from "./bytes.js";
import { checkCountersignature, parseEntry } from "./entry.js";
import { parseManifest } from "./fleet.js";
import { checkInclusion, leafHash } from "./merkle.js";
import { parseCheckpoint, parseNote } from "./note.js";
import { checkCheckpoint, checkSigners, checkWitnesses } from "./vouched.js";

const LIMIT = 64 * 1024; // bytes
const HEAD = "c2sp.org/tlog-proof@v1";
const INDEX = /^index (0|[1-9][0-9]{0,18})$/;
const MOST_HASHES = 63;

/** Return {entry, auditor, operator, index, hashes, checkpoint}; nothing is verified yet. */
export function parseBundle(bytes) {
  if (bytes.length > LIMIT) throw new Refused("it has more than 64 KiB");
  const [auditor, operator, ...proof] = textOf(bytes, "it").split("\n");
  if (!proof.length) throw new Refused("it is not two envelopes and a proof");
  const entry = utf8(`${auditor}\n${operator}\n`);
  return { entry, ...parseEntry(entry), ...parseProof(proof.join("\n")) };
}

function parseProof(text) {
  const end = text.indexOf("\n\n");
  const [head, index, ...hashes] = text.slice(0, Math.max(end, 0)).split("\n");
  if (head !== HEAD || hashes.length > MOST_HASHES) throw new Refused(`its proof is not one of ${HEAD}`);
  const number = INDEX.exec(index ?? "");
  if (!number) throw new Refused("its proof does not name its leaf's index");
  return { index: BigInt(number[1]), hashes: hashes.map(hashOf), checkpoint: utf8(text.slice(end + 2)) };
}

function hashOf(line) {
  const hash = unbase64(line, "a hash of its proof");
  if (hash.length !== 32) throw new Refused("a hash of its proof has not 32 bytes");
  return hash;
}

/** Refused unless all of a bundle holds that no time changes: who signed, and that the log and its witnesses have it.
 * Whether the witnesses saw the log lately, or manifest and root of trust are still in force, is not asked. */
export async function checkLogged(bundle, root) {
  await checkSigners(bundle.auditor, root, "auditors");
  const { payload } = bundle.auditor;
  const manifest = { ...parseManifest(payload), digest: hex(await sha256(payload)) };
  await checkSigners(bundle.operator, root, "operators");
  await checkCountersignature(bundle, manifest);
  if (manifest.namespace !== root.namespace) {
    throw new Refused(`the manifest is of ${manifest.namespace}, not of ${root.namespace}`);
  }
  const note = parseNote(bundle.checkpoint);
  const checkpoint = parseCheckpoint(note.text);
  await checkCheckpoint(note, checkpoint, root);
  await checkInclusion(await leafHash(bundle.entry), bundle, BigInt(checkpoint.size), checkpoint.root);
  await checkWitnesses(note, root);
}
