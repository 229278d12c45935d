// The log's tree (RFC 9162 section 2.1): hashes, roots, and the proof that a leaf is in it.
import { Refused, concat, isEqual, sha256 } from "./bytes.js";

export const leafHash = (entry) => sha256(concat(Uint8Array.of(0), entry));
const nodeHash = (left, right) => sha256(concat(Uint8Array.of(1), left, right));

/** The root over leaf hashes. */
export async function rootOf(leaves) {
  if (!leaves.length) return sha256(new Uint8Array());
  if (leaves.length === 1) return leaves[0];
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return nodeHash(await rootOf(leaves.slice(0, split)), await rootOf(leaves.slice(split)));
}

/** Refused unless the proof {index, hashes} leads from the leaf's hash to the root (RFC 9162 section 2.1.3.2).
 * Numbers are BigInt: JavaScript's own lose their last digits, and its bits end at 32. */
export async function checkInclusion(leaf, { index, hashes }, size, root) {
  if (!(index < size)) throw new Refused(`leaf ${index} is not among the first ${size}`);
  let position = index, last = size - 1n, computed = leaf;
  for (const sibling of hashes) {
    if (!last) throw new Refused("the inclusion proof is too long");
    if (position & 1n || position === last) {
      computed = await nodeHash(sibling, computed);
      while (position && !(position & 1n)) [position, last] = [position >> 1n, last >> 1n];
    } else computed = await nodeHash(computed, sibling);
    [position, last] = [position >> 1n, last >> 1n];
  }
  if (last) throw new Refused("the inclusion proof is too short");
  if (!isEqual(computed, root)) throw new Refused("the inclusion proof does not lead to the root of the checkpoint");
}
