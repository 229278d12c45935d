// Envelopes (DSSE v1.0.2): a payload, its type, and signatures over both.
import { Refused, concat, strictJson, unbase64, utf8 } from "./bytes.js";
import { holds, keyId } from "./keys.js";
import { list, members, text as textOfForm } from "./shapes.js";

const LIMIT = 64 * 1024; // bytes
const MOST_SIGNATURES = 16;
const KEY_ID = /^[\x20-\x7e]{0,200}$/; // a hint that nobody signed
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** Read an envelope, one line of text; nothing is verified yet. */
export function parseEnvelope(text, type) {
  if (text.includes("\n")) throw new Refused("an envelope has more than one line");
  if (utf8(text).length > LIMIT) throw new Refused("an envelope has more than 64 KiB");
  const said = members(strictJson(text, "an envelope"), ["payloadType", "payload", "signatures"], "an envelope");
  if (said.payloadType !== type) throw new Refused(`an envelope is not of the type ${type}`);
  return {
    type,
    payload: bytesOf(said.payload, "the payload of an envelope"),
    signatures: list(said.signatures, "the signatures of an envelope", 1, MOST_SIGNATURES).map(signature),
  };
}

function signature(said) {
  const { keyid, sig } = members(said, ["keyid", "sig"], "a signature");
  textOfForm(keyid, KEY_ID, "the key id of a signature");
  return bytesOf(sig, "a signature");
}

const bytesOf = (value, what) => unbase64(textOfForm(value, BASE64, what), what);

/** Return the ids of the role's keys that signed the envelope; a key that signed twice is one. */
export async function signers(envelope, role) {
  const type = utf8(envelope.type);
  const head = utf8(`DSSEv1 ${type.length} ${envelope.type} ${envelope.payload.length} `);
  const message = concat(head, envelope.payload);
  const ids = new Set();
  for (const key of role.keys) {
    for (const signature of envelope.signatures) {
      if (await holds(key, message, signature)) ids.add(await keyId(key));
    }
  }
  return [...ids];
}
