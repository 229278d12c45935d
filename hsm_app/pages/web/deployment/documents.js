// The documents of the evidence but fleet and manifest: what `hsm-vault` refuses of them is refused here.
import { Refused, textOf, unhex } from "./bytes.js";
import { parseEnvelope } from "./dsse.js";
import { FLEET } from "./plan.js";
import { NAME, SHA256, WORD, anyMembers, distinct, json, list, members, oneOf, text, whole } from "./shapes.js";

const PATH = /^[A-Za-z0-9][A-Za-z0-9._-]*(?:\/[A-Za-z0-9][A-Za-z0-9._-]*){0,3}$/; // no "..", no root, no other site
const MOST_FILES = 400;
const KIB = 1024; // bytes
const ATTRIBUTE = /^CKA_[A-Z0-9_]{1,40}$/;
const STATEMENT = ["_type", "subject", "predicateType", "predicate"];
const TOKEN = ["schema", "replica", "token", "objects", "public_keys"];
const INFORMATION = ["label", "manufacturer", "model", "serial", "hardware", "firmware"];
const SOFTWARE = [
  "schema", "version", "commit", "wheel_sha256", "files_sha256", "files", "dependencies", "pkcs11_module",
];
const VERSION = /^[A-Za-z0-9.!+_-]{1,64}$/;
const COMMIT = /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/;
const SOURCE = /^hsm_app(?:\/(?!\.\.?(?:\/|$))[ -.0-\[\]-~]+)+$/; // which sha256sum writes without an escape
const DISTRIBUTION = /^[a-z0-9]+(?:-[a-z0-9]+)*$/;

/** Return {envelope, raw, files, fleet, ceremony, assurance, previous}; who signed it is a check of its own.
 * `previous` is the SHA-256 of the statement before it where a token was replaced, null where a fleet begins. */
export function parseStatement(bytes, forms) {
  const envelope = parseEnvelope(textOf(bytes, "the envelope").replace(/\n$/, ""), forms.payloadType);
  const said = members(json(envelope.payload, "it"), STATEMENT, "the statement");
  if (said._type !== forms.type) throw new Refused("the statement is of another type than a statement");
  if (!Object.hasOwn(forms.predicates, text(said.predicateType, WORD, "predicateType"))) {
    throw new Refused("the statement is about something else than a new fleet or a token that was replaced");
  }
  const subjects = list(said.subject, "subject").map((one) => {
    const { name, digest } = members(one, ["name", "digest"], "a subject");
    members(digest, ["sha256"], "a digest");
    return [text(name, PATH, "the name of a file"), text(digest.sha256, SHA256, "a digest")];
  });
  if (!subjects.length || subjects.length > MOST_FILES) throw new Refused("the statement names no file, or too many");
  distinct(subjects.map(([name]) => name), "the file");
  const predicate = members(said.predicate, forms.predicates[said.predicateType], "the predicate");
  const { previous_sha256: previous, ...more } = predicate;
  for (const name of Object.keys(more)) text(more[name], WORD, name);
  if (previous !== undefined) text(previous, SHA256, "previous_sha256");
  const files = Object.fromEntries(subjects);
  return { ...more, previous: previous ?? null, envelope, raw: envelope.payload, files };
}

export function parseCustody(bytes) {
  const names = ["schema", "fleet", "threshold", "identifier", "shares"];
  const said = members(json(bytes, "it", 16 * KIB), names, "the commitments");
  oneOf(said.schema, ["hsm-vault/custody/v1"], "schema");
  text(said.fleet, FLEET, "fleet");
  const shares = list(said.shares, "shares", 2, 16);
  whole(said.threshold, "threshold", 2, shares.length);
  whole(said.identifier, "identifier", 0, 2 ** 15 - 1);
  for (const share of shares) {
    const { custodian, salt, sha256 } = members(share, ["custodian", "salt", "sha256"], "a share");
    text(custodian, NAME, "the name of a custodian");
    unhex(salt, 16, "a salt");
    text(sha256, SHA256, "a commitment");
  }
  distinct(shares.map((share) => share.custodian), "the custodian");
  return said;
}

/** Whether `files_sha256` is the digest of the files is a check of its own, since it takes a hash. */
export function parseSoftware(bytes) {
  const said = members(json(bytes, "it", 1024 * KIB), SOFTWARE, "the record");
  oneOf(said.schema, ["hsm-vault/software/v1"], "schema");
  text(said.version, VERSION, "version");
  if (said.commit !== null) text(said.commit, COMMIT, "commit");
  if (said.wheel_sha256 !== null) text(said.wheel_sha256, SHA256, "wheel_sha256");
  text(said.files_sha256, SHA256, "files_sha256");
  const files = Object.entries(anyMembers(said.files, "files"));
  list(files, "files", 1, 5000);
  for (const [path, digest] of files) {
    text(path, SOURCE, "the path of a file");
    text(digest, SHA256, "the digest of a file");
  }
  ascending(list(said.dependencies, "dependencies", 0, 500).map(dependency), "dependencies");
  if (said.pkcs11_module !== null) {
    const { file, sha256 } = members(said.pkcs11_module, ["file", "sha256"], "pkcs11_module");
    text(file, /^[A-Za-z0-9._+-]{1,128}$/, "the name of the module");
    text(sha256, SHA256, "the digest of the module");
  }
  return said;
}

function dependency(said) {
  const { name, version, sha256 } = members(said, ["name", "version", "sha256"], "a dependency");
  text(version, VERSION, "the version of a dependency");
  const archives = list(sha256, "the archives of a dependency", 0, 500);
  ascending(archives.map((one) => text(one, SHA256, "the digest of an archive")), "the archives of a dependency");
  return text(name, DISTRIBUTION, "the name of a dependency");
}

function ascending(values, what) {
  const isSorted = values.every((value, at) => !at || values[at - 1] < value);
  if (!isSorted) throw new Refused(`${what} are not sorted, or one is there twice`);
}

export function parseToken(bytes) {
  const said = members(json(bytes, "it", 64 * KIB), TOKEN, "the record");
  oneOf(said.schema, ["hsm-vault/token-record/v1"], "schema");
  whole(said.replica, "replica", 1, 255);
  members(said.token, INFORMATION, "the token's information");
  for (const name of INFORMATION) text(said.token[name], /^[\x20-\x7e]{0,200}$/, name);
  members(said.public_keys, ["replica-identity", "replica-link"], "the public keys");
  for (const key of Object.values(said.public_keys)) unhex(key, 33, "a public key");
  list(said.objects, "objects", 0, 100).forEach(checkObject);
  return said;
}

function checkObject(said) {
  const { role, attributes } = members(said, ["role", "attributes"], "an object");
  text(role, /^[a-z-]{0,40}$/, "the role of an object");
  for (const [name, value] of Object.entries(anyMembers(attributes, "the attributes of an object"))) {
    const isValue = typeof value === "boolean" || (typeof value === "string" && [...value].length <= 200);
    if (!ATTRIBUTE.test(name) || !isValue) throw new Refused("an object has a member that is no attribute");
  }
}
