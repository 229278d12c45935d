// The documents of the evidence, read as strictly as the page needs them; `hsm-vault audit` refuses more spellings.
import { Refused, textOf } from "./bytes.js";
import { parseEnvelope } from "./dsse.js";
import { NAMESPACE, POINT, SHA256, distinct, json, list, members, text, whole } from "./shapes.js";

const PATH = /^[A-Za-z0-9][A-Za-z0-9._-]*(?:\/[A-Za-z0-9][A-Za-z0-9._-]*){0,3}$/; // no "..", no root, no other site
const WORD = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$/;
const MOST_FILES = 400;
export const STATES = ["active", "recover-only", "revoked"]; // which a fleet goes through in this order only
const ATTRIBUTE = /^CKA_[A-Z0-9_]{1,40}$/;
const STATEMENT = ["_type", "subject", "predicateType", "predicate"];
const TOKEN = ["schema", "replica", "token", "objects", "public_keys"];
const INFORMATION = ["label", "manufacturer", "model", "serial", "hardware", "firmware"];
const FLEET = [
  "fleet", "state", "custody", "kem_public", "opaque_public", "seal_check", "id_check", "groups", "tenants", "argon2",
  "attempts", "evidence_sha256", "assurance",
];
const ATTEMPTS = [
  "maximum", "waits_seconds", "replace_delay_seconds", "charges_per_hour", "destructions_per_hour",
];
const SOFTWARE = [
  "schema", "version", "commit", "wheel_sha256", "files_sha256", "files", "dependencies", "pkcs11_module",
];

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

export function parseFleet(said) {
  members(said, FLEET, "the fleet");
  for (const name of ["kem_public", "opaque_public"]) text(said[name], POINT, name);
  for (const name of ["seal_check", "id_check"]) text(said[name], SHA256, name);
  text(said.fleet, WORD, "fleet");
  if (!STATES.includes(said.state)) throw new Refused("the fleet is in no state that there is");
  members(said.attempts, ATTEMPTS, "attempts");
  for (const group of list(said.groups, "groups")) {
    members(group, ["group", "replicas"], "a group");
    for (const replica of list(group.replicas, "replicas")) {
      members(replica, ["replica", "incarnation", "identity_public", "link_public"], "a replica");
      whole(replica.replica, "the number of a replica");
      whole(replica.incarnation, "the incarnation of a replica", 1);
      for (const name of ["identity_public", "link_public"]) text(replica[name], POINT, name);
    }
  }
  members(said.assurance, ["key_custody", "code_enforcement", "anchor_freshness"], "assurance");
  const replicas = said.groups.flatMap((group) => group.replicas);
  if (!replicas.length) throw new Refused("the fleet has no replica");
  distinct(replicas.map((one) => one.replica), "the replica");
  return said;
}

export function parseManifest(bytes) {
  const said = members(
    json(bytes, "it"),
    ["schema", "namespace", "epoch", "previous_sha256", "issued_at", "not_before", "not_after", "fleets"],
    "the manifest",
  );
  if (said.schema !== "hsm-vault/fleet-manifest/v1") throw new Refused("the manifest is of another version");
  whole(said.epoch, "epoch");
  text(said.namespace, NAMESPACE, "namespace");
  list(said.fleets, "fleets").forEach(parseFleet);
  distinct(said.fleets.map((fleet) => fleet.fleet), "the fleet");
  return said;
}

export function parseCustody(bytes) {
  const said = members(json(bytes, "it"), ["schema", "fleet", "threshold", "identifier", "shares"], "the commitments");
  if (said.schema !== "hsm-vault/custody/v1") throw new Refused("the commitments are of another version");
  for (const share of list(said.shares, "shares")) members(share, ["custodian", "salt", "sha256"], "a share");
  return said;
}

export function parseSoftware(bytes) {
  const said = members(json(bytes, "it"), SOFTWARE, "the record");
  if (said.schema !== "hsm-vault/software/v1") throw new Refused("the record is of another version");
  members(said.files, Object.keys(said.files ?? {}), "files");
  for (const digest of Object.values(said.files)) text(digest, SHA256, "the digest of a file");
  text(said.version, /^[A-Za-z0-9.!+_-]{1,64}$/, "version");
  return said;
}

export function parseToken(bytes) {
  const said = members(json(bytes, "it"), TOKEN, "the record");
  if (said.schema !== "hsm-vault/token-record/v1") throw new Refused("the record is of another version");
  whole(said.replica, "replica");
  members(said.token, INFORMATION, "the token's information");
  for (const name of INFORMATION) text(said.token[name], /^[\x20-\x7e]{0,200}$/, name);
  members(said.public_keys, ["replica-identity", "replica-link"], "the public keys");
  for (const key of Object.values(said.public_keys)) text(key, POINT, "a public key");
  for (const object of list(said.objects, "objects")) {
    members(object, ["role", "attributes"], "an object");
    text(object.role, /^[a-z-]{0,40}$/, "the role of an object");
    members(object.attributes, Object.keys(object.attributes ?? {}), "the attributes of an object");
    for (const [name, value] of Object.entries(object.attributes)) {
      const isValue = typeof value === "boolean" || typeof value === "string";
      if (!ATTRIBUTE.test(name) || !isValue) throw new Refused("an object has a member that is no attribute");
    }
  }
  return said;
}
