// Signed notes, checkpoints and cosignatures (C2SP signed-note, tlog-checkpoint v1.0.0, tlog-cosignature v1.0.1).
import { Refused, concat, hex, isEqual, sha256, textOf, unbase64, utf8 } from "./bytes.js";
import { holdsEd25519 } from "./keys.js";

export const LOG_KEY = 1;
export const WITNESS_KEY = 4;
const LATEST = (1n << 63n) - 1n; // seconds
const MOST_SIGNATURES = 64;
// No control, space of any kind or plus sign; \s is not the same in all languages.
const SIGNER = /[^\x00-\x20+\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;
const LINE = new RegExp(`^\u2014 (${SIGNER.source}) ([A-Za-z0-9+/]+={0,2})$`);
const CONTROL = /[\x00-\x09\x0b-\x1f]/; // all but line feeds

/** Read a verifier key: name+id+key. */
export async function parseKey(text, kind) {
  const [name, id] = text.split("+", 2);
  if (!name || name.length > 255) throw new Refused(`${text} has no name, or too long a one`);
  const data = unbase64(text.slice(`${name}+${id}+`.length), `the key of ${name}`);
  const computed = (await sha256(concat(utf8(`${name}\n`), data))).slice(0, 4);
  if (data[0] !== kind || data.length !== 33 || hex(computed) !== id) throw new Refused(`${text} is no such key`);
  return { name, id: computed, public: data.slice(1) };
}

/** Return {text, signatures}; nothing is verified yet. */
export function parseNote(bytes) {
  const whole = textOf(bytes, "the checkpoint");
  const end = whole.lastIndexOf("\n\n");
  if (end < 0 || !whole.endsWith("\n")) throw new Refused("the checkpoint is no signed note");
  const text = whole.slice(0, end + 1), lines = whole.slice(end + 2, -1).split("\n");
  if (CONTROL.test(text) || lines.length > MOST_SIGNATURES) throw new Refused("the checkpoint is no signed note");
  const signatures = lines.map((line) => {
    const parts = LINE.exec(line);
    if (!parts) throw new Refused("a signature line of the checkpoint is malformed");
    const data = unbase64(parts[2], "a signature of the checkpoint");
    if (data.length <= 4) throw new Refused("a signature of the checkpoint is empty");
    return { name: parts[1], id: data.slice(0, 4), blob: data.slice(4) };
  });
  return { text, signatures };
}

const linesOf = (note, key) => note.signatures.filter((one) => one.name === key.name && isEqual(one.id, key.id));

export function parseCheckpoint(text) {
  const lines = text.split("\n");
  if (lines.length < 4 || lines.slice(0, -1).includes("") || !/^(0|[1-9][0-9]{0,14})$/.test(lines[1])) {
    throw new Refused("the checkpoint has not its lines: origin, size, root");
  }
  const root = unbase64(lines[2], "the root of the checkpoint");
  if (root.length !== 32) throw new Refused("the root of the checkpoint has not 32 bytes");
  return { origin: lines[0], size: Number(lines[1]), root };
}

/** Refused unless the log's key signed the note. */
export async function checkSigned(note, key) {
  const lines = linesOf(note, key);
  for (const line of lines) {
    if (!(await holdsEd25519(key.public, utf8(note.text), line.blob))) {
      throw new Refused(`the signature of ${key.name} over the checkpoint does not hold`);
    }
  }
  if (!lines.length) throw new Refused(`${key.name} did not sign the checkpoint`);
}

/** Return the POSIX second at which a witness last cosigned, null when it did not. */
export async function cosignedAt(note, key) {
  let last = null;
  for (const line of linesOf(note, key)) {
    const time = line.blob.length === 72 ? new DataView(line.blob.buffer).getBigUint64(0) : -1n;
    if (time < 0n || time > LATEST) throw new Refused(`the cosignature of ${key.name} does not hold`);
    const message = utf8(`cosignature/v1\ntime ${time}\n${note.text}`);
    if (!(await holdsEd25519(key.public, message, line.blob.slice(8)))) {
      throw new Refused(`the cosignature of ${key.name} does not hold`);
    }
    last = Math.max(last ?? 0, Number(time));
  }
  return last;
}
