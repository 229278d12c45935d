// Signatures by WebCrypto: Ed25519 (RFC 8032) and ECDSA over P-256 with SHA-256.
import { CannotTell, Refused, concat, hex, sha256, unhex } from "./bytes.js";

const ED25519_SPKI = unhex("302a300506032b6570032100", 12, "the head of a key");
const P256_SPKI = unhex("3059301306072a8648ce3d020106082a8648ce3d030107034200", 26, "the head of a key");

export const NO_ED25519 =
  "this browser has no Ed25519 in WebCrypto, so it cannot check this " +
  "(Chrome 137, Firefox 130 or Safari 17 and later can)";

let ed25519;

/** Say whether this browser verifies Ed25519; it is asked once. */
export function hasEd25519() {
  ed25519 ??= crypto.subtle
    .importKey("spki", concat(ED25519_SPKI, new Uint8Array(32).fill(88, 0, 1)), { name: "Ed25519" }, false, ["verify"])
    .then(() => true, (error) => error.name !== "NotSupportedError" && error.name !== "TypeError");
  return ed25519;
}

/** Say whether the signature holds. CannotTell when the browser does not know the algorithm. */
export async function holdsEd25519(publicKey, message, signature) {
  if (!(await hasEd25519())) throw new CannotTell(NO_ED25519);
  return verify(concat(ED25519_SPKI, publicKey), { name: "Ed25519" }, { name: "Ed25519" }, signature, message);
}

/** `publicKey` is a compressed point; `signature` is DER, as DSSE carries it. */
export async function holdsEs256(publicKey, message, signature) {
  const raw = fromDer(signature);
  return raw !== null && holdsEs256Raw(publicKey, message, raw);
}

/** The same of r || s, 64 bytes. */
export async function holdsEs256Raw(publicKey, message, raw) {
  const key = { name: "ECDSA", namedCurve: "P-256" };
  return verify(concat(P256_SPKI, decompressed(publicKey)), key, { name: "ECDSA", hash: "SHA-256" }, raw, message);
}

/** `key` is {alg, public}. Say whether its signature, as DSSE carries it, holds. */
export const holds = ({ alg, public: publicKey }, message, signature) =>
  (alg === "Ed25519" ? holdsEd25519 : holdsEs256)(publicKey, message, signature);

async function verify(spki, key, algorithm, signature, message) {
  let imported;
  try {
    imported = await crypto.subtle.importKey("spki", spki, key, false, ["verify"]);
  } catch {
    return false; // bytes that are no key have signed nothing
  }
  return crypto.subtle.verify(algorithm, imported, signature, message);
}

/** The id of an auditor's or operator's key: SHA-256 of its SubjectPublicKeyInfo. */
export async function keyId(key) {
  const spki = key.alg === "Ed25519" ? concat(ED25519_SPKI, key.public) : concat(P256_SPKI, decompressed(key.public));
  return hex(await sha256(spki));
}

// P-256: y^2 = x^3 - 3x + B, and P is 3 modulo 4, so a square root is a power (SEC 1 section 2.3.4).
const P = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;
const B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;

/** The uncompressed form of a compressed point, 65 bytes. Refused when it is not on the curve. */
export function decompressed(point) {
  const x = BigInt(`0x${hex(point.slice(1))}`);
  const square = (((x * x - 3n) * x + B) % P + P) % P;
  let y = power(square, (P + 1n) / 4n);
  if (point.length !== 33 || (point[0] | 1) !== 3 || x >= P || (y * y) % P !== square) {
    throw new Refused("a key is no compressed point on P-256");
  }
  if (Number(y & 1n) !== (point[0] & 1)) y = P - y;
  return concat(Uint8Array.of(4), point.slice(1), unhex(y.toString(16).padStart(64, "0"), 32, "a coordinate"));
}

function power(base, exponent) {
  let result = 1n;
  for (; exponent; exponent >>= 1n) {
    if (exponent & 1n) result = (result * base) % P;
    base = (base * base) % P;
  }
  return result;
}

/** ECDSA-Sig-Value to r || s of 64 bytes; null for anything that is not its one encoding. */
function fromDer(der) {
  if (der.length < 8 || der[0] !== 0x30 || der[1] !== der.length - 2) return null;
  const numbers = [];
  let at = 2;
  for (let count = 0; count < 2; count++) {
    const length = der[at + 1];
    const value = der.slice(at + 2, at + 2 + length);
    if (der[at] !== 2 || value.length !== length || !length || value[0] > 127) return null;
    if (length > 1 && value[0] === 0 && value[1] < 128) return null;
    const bare = value[0] === 0 ? value.slice(1) : value;
    if (bare.length > 32) return null;
    numbers.push(concat(new Uint8Array(32 - bare.length), bare));
    at += 2 + length;
  }
  return at === der.length ? concat(...numbers) : null;
}
