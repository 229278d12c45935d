// The files of the log (C2SP tlog-tiles v0.1.0): its tree is computed anew from all entries.
import { CannotTell, Refused, isEqual } from "./bytes.js";
import { leafHash, rootOf } from "./merkle.js";

const WIDTH = 256;
const HASH = 32;
export const LARGEST = 20000; // entries; a log of fleet keys has a few

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
