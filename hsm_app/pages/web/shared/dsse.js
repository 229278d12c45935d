// Envelopes (DSSE v1.0.2): a payload, its type, and signatures over both.
import { Refused, concat, strictJson, unbase64, utf8 } from "./bytes.js";
import { holds, keyId } from "./keys.js";

/** Read an envelope, one line of text; nothing is verified yet. */
export function parseEnvelope(text, type) {
  if (text.includes("\n")) throw new Refused("an envelope has more than one line");
  const said = strictJson(text, "an envelope");
  if (said?.payloadType !== type || !Array.isArray(said.signatures)) {
    throw new Refused(`an envelope is not of the type ${type}`);
  }
  return {
    type,
    payload: unbase64(said.payload, "the payload of an envelope"),
    signatures: said.signatures.map((one) => unbase64(one?.sig, "a signature")),
  };
}

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
