// Evidence with all evidence before it. Where a token was replaced, the signed statement names the statement before it
// by its SHA-256, and so says where that evidence lies; the site has no list of them.
import { Refused, hex, sha256 } from "./bytes.js";
import { Evidence, maybe } from "./evidence.js";

const NEWEST = "evidence/";
const LARGEST = 32 * 1024 * 1024; // bytes of a file
const MOST_BYTES = 4 * LARGEST; // of all together; an audit reads no more either
const OLDER = /^\?of=([0-9a-f]{64})$/;

export const placeOf = (digest) => `before/${digest}/`;

/** The address of this page that shows the evidence of a statement in full. */
export const viewOf = (digest) => `?of=${digest}`;

/** Return the SHA-256 of the statement that an address asks for, null when it asks for the newest. */
export function askedFor(search) {
  return OLDER.exec(search)?.[1] ?? null;
}

/** Fetch the evidence that is asked for, and all before it back to the genesis; the newest first.
 * Beyond a statement that is not the named one nothing is followed: whose it is nobody says, and it could go in circles. */
export async function fetchChain(fetchFile, forms, digest) {
  const chain = [await fetchEvidence(fetchFile, forms, digest ? placeOf(digest) : NEWEST)];
  if (digest && chain[0].statementDigest !== digest) {
    throw new Refused(`${chain[0].base} is not the evidence that this page was asked for`);
  }
  for (let previous = before(chain[0]); previous; ) {
    const older = await fetchEvidence(fetchFile, forms, placeOf(previous));
    chain.at(-1).before = older;
    chain.push(older);
    previous = older.statementDigest === previous ? before(older) : null;
  }
  return chain;
}

const before = (evidence) => maybe(() => evidence.statement.previous);

/** Fetch what the statement names and what may lie beside it; without a statement, what there has to be.
 * `base` is where they lie on this site. */
async function fetchEvidence(fetchFile, forms, base) {
  const files = new Map();
  const take = async (path) => {
    const bytes = await fetchFile(`${base}${path}`);
    if (bytes?.length > LARGEST) throw new Refused(`${base}${path} has more than ${LARGEST} bytes`);
    if (bytes) files.set(path, bytes);
  };
  await take(forms.statement.file);
  const evidence = new Evidence(files, forms, base);
  const named = maybe(() => Object.keys(evidence.statement.files)) ?? forms.needed;
  await Promise.all([...named, ...forms.beside.filter((path) => path !== forms.statement.file)].map(take));
  const count = [...files.values()].reduce((sum, bytes) => sum + bytes.length, 0);
  if (count > MOST_BYTES) throw new Refused(`${base} holds more than ${MOST_BYTES} bytes`);
  for (const [path, bytes] of files) evidence.digests.set(path, hex(await sha256(bytes)));
  await evidence.readAhead();
  return evidence;
}
