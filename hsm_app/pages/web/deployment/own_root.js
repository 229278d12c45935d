// The reader's own root of trust, from a file that they choose. This page fetches none: one that came with the evidence
// would be the word of who made the evidence.
import { Refused } from "./bytes.js";
import { CLASS, at, element, moment } from "./show.js";
import { LIMIT, parseRoot } from "./trust.js";
import { PASS } from "./verdict.js";

export const NO_ROOT = { root: null, refusal: "" };

/** Read what was chosen, show beside the input what it is, and return it as `logInclusion` takes it. */
export async function ownRoot(file) {
  const own = file ? await read(file) : NO_ROOT;
  at("own-root-error").textContent = own.refusal && `Not taken: ${own.refusal}. Choose another file.`;
  at("own-root-said").replaceChildren(...(own.root ? said(own.root) : []));
  return own;
}

/** Say beside the input, too, how the checks ended by it: their rows are far above. */
export function showOutcomes(found, { root }) {
  const said = found.map(([check, { outcome, why }]) =>
    element("p", `tally ${CLASS[outcome]}`, `${check} ${outcome}${outcome === PASS ? "" : `: ${why}`}`));
  at("own-root-found").replaceChildren(...(root ? said : []));
}

async function read(file) {
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
