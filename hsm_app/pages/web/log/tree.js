// The log's tree (RFC 9162 section 2.1) and its files (C2SP tlog-tiles v0.1.0), computed anew from all entries.
import { CannotTell, Refused, concat, isEqual, sha256 } from "./bytes.js";

const WIDTH = 256;
const HASH = 32;
export const LARGEST = 20000; // entries; a log of fleet keys has a few

const leafHash = (entry) => sha256(concat(Uint8Array.of(0), entry));
const nodeHash = (left, right) => sha256(concat(Uint8Array.of(1), left, right));

/** The root over leaf hashes. */
export async function rootOf(leaves) {
  if (!leaves.length) return sha256(new Uint8Array());
  if (leaves.length === 1) return leaves[0];
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return nodeHash(await rootOf(leaves.slice(0, split)), await rootOf(leaves.slice(split)));
}

export function path(number) {
  const digits = String(number);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, "0").match(/.../g);
  return groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join("/");
}

/** Fetch tile `number`; the full one may have taken a partial one's place. */
async function fetchTile(fetchFile, place, number, width) {
  const whole = `tile/${place}/${path(number)}`;
  const names = width === WIDTH ? [whole] : [`${whole}.p/${width}`, whole];
  for (const name of names) {
    const bytes = await fetchFile(name);
    if (bytes) return { name, bytes };
  }
  throw new Refused(`the log's ${names[0]} is missing`);
}

function unpack({ name, bytes }, width) {
  const entries = [];
  let at = 0;
  while (entries.length < width) {
    const end = at + 2 + ((bytes[at] << 8) | bytes[at + 1]);
    if (at + 2 > bytes.length || end > bytes.length) throw new Refused(`the log's ${name} is cut short`);
    entries.push(bytes.slice(at + 2, end));
    at = end;
  }
  return entries;
}

/** Return every entry with its leaf hash. */
export async function readEntries(fetchFile, size) {
  if (size > LARGEST) {
    throw new CannotTell(`the log has ${size} entries, more than a page should read: use hsm-vault log verify`);
  }
  const entries = [];
  for (let number = 0; number * WIDTH < size; number++) {
    const width = Math.min(WIDTH, size - number * WIDTH);
    entries.push(...unpack(await fetchTile(fetchFile, "entries", number, width), width));
  }
  return Promise.all(entries.map(async (bytes, index) => ({ index, bytes, leaf: await leafHash(bytes) })));
}

/** Return the leaf hashes that the log's tiles show. Refused unless all tiles fit and make the root. */
export async function readLeaves(fetchFile, { size, root }) {
  const leaves = await readLevel(fetchFile, 0, size);
  if (!isEqual(await rootOf(leaves), root)) throw new Refused("the log's tiles do not make the root that it signed");
  let below = leaves;
  for (let level = 1; below.length >= WIDTH; level++) {
    const made = [];
    for (let at = 0; at + WIDTH <= below.length; at += WIDTH) made.push(await rootOf(below.slice(at, at + WIDTH)));
    const shown = await readLevel(fetchFile, level, made.length);
    if (!made.every((hash, at) => isEqual(hash, shown[at]))) {
      throw new Refused(`the log's tiles of level ${level} are not what its leaves make`);
    }
    below = made;
  }
  return leaves;
}

async function readLevel(fetchFile, level, count) {
  const hashes = [];
  for (let number = 0; number * WIDTH < count; number++) {
    const width = Math.min(WIDTH, count - number * WIDTH);
    const { name, bytes } = await fetchTile(fetchFile, level, number, width);
    if (bytes.length < width * HASH || bytes.length % HASH) throw new Refused(`the log's ${name} is cut short`);
    for (let at = 0; at < width; at++) hashes.push(bytes.slice(at * HASH, (at + 1) * HASH));
  }
  return hashes;
}
