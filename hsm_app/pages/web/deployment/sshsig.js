// What `ssh-keygen -Y sign` makes (OpenSSH's PROTOCOL.sshsig, version 1), of Ed25519 and ECDSA P-256 keys.
import { Refused, concat, hex, isEqual, textOf, unbase64, unhex, utf8 } from "./bytes.js";
import { decompressed, holdsEd25519, holdsEs256Raw } from "./keys.js";
import { text } from "./shapes.js";

const BEGIN = "-----BEGIN SSH SIGNATURE-----", END = "-----END SSH SIGNATURE-----";
const KINDS = { Ed25519: "ssh-ed25519", ES256: "ecdsa-sha2-nistp256" };
const LIMIT = 4096; // bytes
const DIGITS = /^ *(?:[0-9a-fA-F]{2} *)*$/; // small or capital, with blanks between bytes
const HASHES = { sha256: "SHA-256", sha512: "SHA-512" };

/** Takes the fields of RFC 4251 section 5 off the front of a blob. */
class Reader {
  constructor(blob) {
    this.rest = blob;
  }

  take(length) {
    if (length > this.rest.length) throw new Refused("the SSH signature or key is cut short");
    const taken = this.rest.slice(0, length);
    this.rest = this.rest.slice(length);
    return taken;
  }

  string() {
    return this.take(parseInt(hex(this.take(4)), 16));
  }

  word() {
    return String.fromCharCode(...this.string());
  }

  /** A positive mpint in its one shortest form, as 32 bytes. */
  integer() {
    const raw = this.string();
    const bare = raw[0] === 0 ? raw.slice(1) : raw;
    if (!raw.length || raw[0] > 127 || (raw[0] === 0 && !(raw[1] > 127)) || bare.length > 32) {
      throw new Refused("the SSH signature has a number that is not in its form");
    }
    return concat(new Uint8Array(32 - bare.length), bare);
  }

  end() {
    if (this.rest.length) throw new Refused("the SSH signature or key has bytes after its end");
  }
}

function keyOf(blob) {
  const reader = new Reader(blob);
  const kind = reader.word();
  let key;
  if (kind === KINDS.Ed25519) key = { alg: "Ed25519", public: reader.string() };
  else if (kind === KINDS.ES256 && reader.word() === "nistp256") {
    key = { alg: "ES256", public: compressed(reader.string()) };
  } else throw new Refused("the SSH key is neither Ed25519 nor ECDSA P-256");
  reader.end();
  if (key.alg === "Ed25519" && key.public.length !== 32) throw new Refused("the SSH key has not 32 bytes");
  return key;
}

function compressed(point) {
  const short = concat(Uint8Array.of(2 | (point[64] & 1)), point.slice(1, 33));
  if (point.length !== 65 || !isEqual(decompressed(short), point)) {
    throw new Refused("the SSH key is no point on its curve");
  }
  return short;
}

/** Return the key that a plan names, {alg, public}: a line of a .pub file, or "ES256:..." or "Ed25519:..." */
export function parseKey(line) {
  const [, alg, digits] = /^(Ed25519|ES256):(.*)$/.exec(line) ?? [];
  if (alg) {
    const what = "the key of a participant", plain = text(digits, DIGITS, what).replaceAll(" ", "").toLowerCase();
    const key = { alg, public: unhex(plain, alg === "Ed25519" ? 32 : 33, what) };
    if (alg === "ES256") decompressed(key.public);
    return key;
  }
  const [kind, blob] = line.trim().split(" ");
  const key = keyOf(unbase64(blob ?? "", "the SSH public key"));
  if (KINDS[key.alg] !== kind) throw new Refused("the SSH public key is of another kind than it says");
  return key;
}

function unarmour(armoured) {
  if (armoured.length > LIMIT) throw new Refused(`the SSH signature has more than ${LIMIT} bytes`);
  const lines = textOf(armoured, "the SSH signature").replace(/\n$/, "").split("\n");
  if (lines.length < 3 || lines[0] !== BEGIN || lines.at(-1) !== END) {
    throw new Refused("this is no file that ssh-keygen -Y sign made");
  }
  return unbase64(lines.slice(1, -1).join(""), "the SSH signature");
}

const field = (bytes) => concat(unhex(bytes.length.toString(16).padStart(8, "0"), 4, "a length"), bytes);

/** Refused unless the key signed the message for this namespace. CannotTell when this browser has no Ed25519. */
export async function checkSsh(armoured, message, namespace, key) {
  const reader = new Reader(unarmour(armoured));
  if (hex(reader.take(10)) !== hex(concat(utf8("SSHSIG"), Uint8Array.of(0, 0, 0, 1)))) {
    throw new Refused("this is no SSH signature of version 1");
  }
  const [signer, said, reserved, hash] = [keyOf(reader.string()), reader.word(), reader.string(), reader.word()];
  const signature = new Reader(reader.string());
  reader.end();
  if (!Object.hasOwn(HASHES, hash)) {
    throw new Refused("the SSH signature is over a hash that is neither SHA-256 nor SHA-512");
  }
  if (signature.word() !== KINDS[signer.alg]) throw new Refused("the SSH signature is of another kind than its key");
  const blob = signature.string();
  signature.end();
  if (said !== namespace) throw new Refused(`the SSH signature is not for ${namespace}`);
  const digest = new Uint8Array(await crypto.subtle.digest(HASHES[hash], message));
  const signed = concat(utf8("SSHSIG"), ...[utf8(said), reserved, utf8(hash), digest].map(field));
  const isTheirs = signer.alg === key.alg && isEqual(signer.public, key.public);
  if (!isTheirs || !(await holdsIn(signer, signed, blob))) {
    throw new Refused("the SSH signature is not the participant's");
  }
}

function holdsIn(key, signed, blob) {
  if (key.alg === "Ed25519") return holdsEd25519(key.public, signed, blob);
  const numbers = new Reader(blob);
  const raw = concat(numbers.integer(), numbers.integer());
  numbers.end();
  return holdsEs256Raw(key.public, signed, raw);
}
