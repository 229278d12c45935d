// The fleet's entry, fleet.json, and the manifest that has it: what `hsm-vault` refuses of them is refused here.
import { Refused, unhex } from "./bytes.js";
import { decompressed } from "./keys.js";
import {
  CUSTODIES, NAMESPACE, SHA256, WORD, distinct, json, list, members, oneOf, text, time, whole,
} from "./shapes.js";

const LIMIT = 16 * 1024; // bytes
const DAY = 86400; // seconds
export const STATES = ["active", "recover-only", "revoked"]; // which a fleet goes through in this order only
const LEVELS = ["none", "self-asserted", "operator-signed", "vendor-rooted"];
const AXES = ["key_custody", "code_enforcement", "anchor_freshness"];
const MANIFEST = [
  "schema", "namespace", "epoch", "previous_sha256", "issued_at", "not_before", "not_after", "fleets",
];
const FLEET = [
  "fleet", "state", "custody", "kem_public", "opaque_public", "seal_check", "id_check", "groups", "tenants", "argon2",
  "attempts", "evidence_sha256", "assurance",
];
const ATTEMPTS = {
  maximum: [1, 10],
  replace_delay_seconds: [1, 90 * DAY],
  charges_per_hour: [1, 1e9],
  destructions_per_hour: [1, 1e9],
};

export const parseFleet = (bytes) => fleetOf(json(bytes, "it", LIMIT));

export function parseManifest(bytes) {
  const said = members(json(bytes, "it", LIMIT), MANIFEST, "the manifest");
  oneOf(said.schema, ["hsm-vault/fleet-manifest/v1"], "schema");
  text(said.namespace, NAMESPACE, "namespace");
  const isFirst = whole(said.epoch, "epoch", 1) === 1;
  if (isFirst !== (optionalSha256(said.previous_sha256, "previous_sha256") === null)) {
    throw new Refused("previous_sha256 is for every epoch but the first, which has none");
  }
  const [issued, begins, ends] = ["issued_at", "not_before", "not_after"].map((name) => time(said[name], name));
  if (Math.max(issued, begins) >= ends) throw new Refused("not_after is not later than not_before and issued_at");
  list(said.fleets, "fleets", 1, 64).forEach(fleetOf);
  distinct(said.fleets.map((fleet) => fleet.fleet), "the fleet");
  return said;
}

function fleetOf(said) {
  members(said, FLEET, "the fleet");
  text(said.fleet, WORD, "fleet");
  oneOf(said.state, STATES, "state");
  oneOf(said.custody, CUSTODIES, "custody");
  for (const name of ["seal_check", "id_check"]) text(said[name], SHA256, name);
  optionalSha256(said.evidence_sha256, "evidence_sha256");
  for (const axis of AXES) oneOf(members(said.assurance, AXES, "assurance")[axis], LEVELS, axis);
  checkArgon2(said.argon2);
  checkAttempts(said.attempts);
  checkTenants(said.tenants);
  checkGroups(said.groups);
  for (const name of ["kem_public", "opaque_public"]) point(said[name], name);
  return said;
}

function checkArgon2(said) {
  members(said, ["iterations", "memory_kib", "lanes"], "argon2");
  const lanes = whole(said.lanes, "lanes", 1, 16);
  whole(said.iterations, "iterations", 1, 64);
  whole(said.memory_kib, "memory_kib", 8 * lanes, 2 ** 21);
}

function checkAttempts(said) {
  members(said, [...Object.keys(ATTEMPTS), "waits_seconds"], "attempts");
  for (const [name, [least, most]] of Object.entries(ATTEMPTS)) whole(said[name], name, least, most);
  for (const wait of list(said.waits_seconds, "waits_seconds", 1, 16)) whole(wait, "a wait", 0, 30 * DAY);
}

function checkTenants(said) {
  for (const one of list(said, "tenants", 1, 64)) {
    text(members(one, ["tenant", "keys"], "a tenant").tenant, WORD, "the name of a tenant");
    list(one.keys, "the keys of a tenant", 1, 16).forEach(checkTenantKey);
  }
  const keys = said.flatMap((one) => one.keys);
  distinct(said.map((one) => one.tenant), "the tenant");
  distinct(keys.map((key) => key.kid), "the kid");
  distinct(keys.map((key) => key.public_key), "the key of a tenant");
}

function checkTenantKey(said) {
  const { kid, alg, public_key: key } = members(said, ["kid", "alg", "public_key"], "the key of a tenant");
  text(kid, WORD, "kid");
  if (oneOf(alg, ["ES256", "EdDSA"], "alg") === "ES256") point(key, "the key of a tenant");
  else unhex(key, 32, "the key of a tenant");
}

function checkGroups(said) {
  for (const [at, group] of list(said, "groups", 1, 256).entries()) {
    members(group, ["group", "replicas"], "a group");
    if (group.group !== at) throw new Refused("groups are not numbered 0, 1, 2 and so on");
    list(group.replicas, "replicas", 2, 9).forEach(checkReplica);
    distinct(group.replicas.map((one) => one.replica), "the replica");
  }
  const replicas = said.flatMap((group) => group.replicas);
  distinct(replicas.flatMap((one) => [one.identity_public, one.link_public]), "the public key");
}

function checkReplica(said) {
  members(said, ["replica", "incarnation", "identity_public", "link_public"], "a replica");
  whole(said.replica, "the number of a replica", 1, 255);
  whole(said.incarnation, "the incarnation of a replica", 1, 2 ** 32 - 1);
  for (const name of ["identity_public", "link_public"]) point(said[name], name);
}

const optionalSha256 = (value, what) => (value === null ? null : text(value, SHA256, what));
const point = (value, what) => decompressed(unhex(value, 33, what));
