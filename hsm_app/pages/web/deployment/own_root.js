// The reader's own roots of trust, from files that they choose. This page fetches none: one that came with the evidence
// would be the word of who made the evidence.
import { Refused } from "./bytes.js";
import { CLASS, at, element, moment } from "./show.js";
import { LIMIT, parseRoot } from "./trust.js";
import { PASS } from "./verdict.js";

export const NO_ROOT = { roots: [], refusal: "" };

/** Read what was chosen, show beside the input what it is, and return it as `logInclusion` takes it: the present root of
 * trust first, then those of before keys were rotated. One file that is none, and nothing is taken. */
export async function ownRoot(files) {
  const read = await Promise.all([...files].map(readFile));
  const refusal = read.find((one) => one.refusal)?.refusal ?? "";
  const roots = refusal ? [] : read.map((one) => one.root).sort((one, other) => other.version - one.version);
  at("own-root-error").textContent = refusal && `Not taken: ${refusal}. Choose another file.`;
  at("own-root-said").replaceChildren(...roots.flatMap(said));
  return { roots, refusal };
}

/** Say beside the input, too, how the checks ended by it: their rows are far above. */
export function showOutcomes(found, { roots }) {
  const said = found.map(([check, { outcome, why }]) =>
    element("p", `tally ${CLASS[outcome]}`, `${check} ${outcome}${outcome === PASS ? "" : `: ${why}`}`));
  at("own-root-found").replaceChildren(...(roots.length ? said : []));
}

async function readFile(file) {
  try {
    return { root: await parseRoot(await bytesOf(file)), refusal: "" };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { root: null, refusal: error.message };
  }
}

/** No more than shows that a file is too long. */
async function bytesOf(file) {
  try {
    return new Uint8Array(await file.slice(0, LIMIT + 1).arrayBuffer());
  } catch {
    throw new Refused("the file cannot be read");
  }
}

function said({ namespace, version, origin, expires, digest }) {
  return [
    `Version ${version} for ${namespace}, of the log ${origin}, made to be used until ${moment(expires)}. Compare its ` +
      "SHA-256 with the one that your app shows or was shipped with: ",
    element("span", "value", digest),
  ];
}
