// The peers behind JSON lines: {"call": "opaque.client.startLogin", "arguments": [...]} on stdin gives one line on
// stdout, {"result": ...} or {"error": "..."}. Bytes travel as {"hex": "..."}, in both directions; what a call leaves
// undefined comes back as null. The calls are those of PEERS and of what they hold, and no others.
import { webcrypto } from "node:crypto";
import { createInterface } from "node:readline";

globalThis.crypto ??= webcrypto; // Node.js 18

const { p256_hasher, p256_oprf } = await import("@noble/curves/nist.js");
const opaque = await import("@serenity-kit/opaque-p256");
await opaque.ready;
const { default: Slip39 } = await import("slip39");

const PEERS = {
  opaque: { client: opaque.client, server: opaque.server },
  noble: {
    oprf: p256_oprf.oprf,
    hashToCurve: (message, DST) => p256_hasher.hashToCurve(message, { DST }).toBytes(true),
  },
  slip39: {
    split: (secret, threshold, count) => Slip39.fromArray([...secret], { groups: [[threshold, count]] }).root.mnemonics,
    combine: (mnemonics, passphrase) => new Uint8Array(Slip39.recoverSecret(mnemonics, passphrase)),
    isShare: (mnemonic) => Slip39.validateMnemonic(mnemonic),
  },
};

const revive = (_, value) => (typeof value?.hex === "string" ? new Uint8Array(Buffer.from(value.hex, "hex")) : value);
const replace = (_, value) => (value instanceof Uint8Array ? { hex: Buffer.from(value).toString("hex") } : value);

function answer(line) {
  try {
    const { call, arguments: given } = JSON.parse(line, revive);
    const found = call.split(".").reduce((at, name) => (Object.hasOwn(at, name) ? at[name] : undefined), PEERS);
    return { result: found(...given) ?? null };
  } catch (error) {
    return { error: String(error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(answer(line), replace)}\n`);
}
