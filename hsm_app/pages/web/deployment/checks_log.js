// The check of the log: whether it has this very manifest, by the root of trust that the reader gave.
import { CannotTell, Refused, isEqual } from "./bytes.js";
import { checkLogged, parseBundle } from "./bundle.js";
import { settledLater } from "./evidence.js";

const BUNDLE = "bundle.json";
const GIVE =
  "the bundle is of this manifest; whether the log has it shows when you give this page your root of trust: the one " +
  "that your app shows or was shipped with, not one that this site offers";

/** `own` is {roots, refusal}: the roots of trust that the reader gave, the present one first; none, and why, when they are
 * no roots of trust. Evidence keeps the proof of its day, so that one of them holds is enough. */
export async function logInclusion(evidence, own) {
  if (!evidence.has(BUNDLE)) {
    throw new CannotTell(`${BUNDLE} is not here yet; the operator adds it when the manifest is published`);
  }
  const bundle = evidence.parsed(BUNDLE, parseBundle);
  if (!isEqual(bundle.auditor.payload, evidence.file("manifest.json"))) {
    throw new Refused(`${BUNDLE} is of another manifest than manifest.json`);
  }
  if (own.refusal) throw new CannotTell(`the file that you gave is no root of trust that can be used: ${own.refusal}`);
  if (!own.roots.length) throw new CannotTell(GIVE);
  const refusals = [];
  for (const root of own.roots) {
    const { error } = await settledLater(() => checkLogged(bundle, root), BUNDLE);
    if (!error) return held(root);
    refusals.push(error);
  }
  throw refusals[0];
}

const held = ({ namespace, version, digest }) =>
  `in the log of ${namespace}, by the root of trust that you gave: version ${version}, SHA-256 ${digest}`;
