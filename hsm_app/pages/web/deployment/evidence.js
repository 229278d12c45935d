// The files of one deployment's evidence, each read when a check first needs it. Nothing in them is trusted.
import { CannotTell, Refused, hex, sha256, textOf } from "./bytes.js";
import { parseEnvelope } from "./dsse.js";
import { checkPrinted, parsePlan, parseScript } from "./plan.js";
import { POINT, SHA256, distinct, json, list, members, text, whole } from "./shapes.js";
import { parseTranscript } from "./transcript.js";

const PATH = /^[A-Za-z0-9][A-Za-z0-9._-]*(?:\/[A-Za-z0-9][A-Za-z0-9._-]*){0,3}$/; // no "..", no root, no other site
const WORD = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$/;
const MOST_FILES = 400;
const ATTRIBUTE = /^CKA_[A-Z0-9_]{1,40}$/;
const TOKEN = ["schema", "replica", "token", "objects", "public_keys"];
const INFORMATION = ["label", "manufacturer", "model", "serial", "hardware", "firmware"];
const FLEET = [
  "fleet", "state", "custody", "kem_public", "opaque_public", "seal_check", "id_check", "groups", "tenants", "argon2",
  "attempts", "evidence_sha256", "assurance",
];
const SOFTWARE = ["schema", "version", "commit", "wheel_sha256", "files_sha256", "files", "dependencies", "pkcs11_module"];

/** Fetch what the statement names and what may lie beside it; without a statement, what there has to be. */
export async function fetchEvidence(fetchFile, forms) {
  const files = new Map();
  const take = async (path) => {
    const bytes = await fetchFile(`evidence/${path}`);
    if (bytes) files.set(path, bytes);
  };
  await take(forms.statement.file);
  const evidence = new Evidence(files, forms);
  let named = forms.needed;
  try {
    named = Object.keys(evidence.statement.files);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
  }
  await Promise.all([...named, ...forms.beside.filter((path) => path !== forms.statement.file)].map(take));
  for (const [path, bytes] of files) evidence.digests.set(path, hex(await sha256(bytes)));
  await evidence.readAhead();
  return evidence;
}

/** Each member throws Refused or CannotTell when its file is missing or does not read. */
export class Evidence {
  constructor(files, forms) {
    this.files = files;
    this.forms = forms;
    this.digests = new Map();
    this.read = new Map();
  }

  has(path) {
    return this.files.has(path);
  }

  file(path) {
    if (!this.has(path)) throw new Refused(`${path} is missing`);
    return this.files.get(path);
  }

  sha256(path) {
    this.file(path);
    return this.digests.get(path);
  }

  /** Parse a file once; a failure says which file it is about. */
  parsed(path, parse) {
    const bytes = this.file(path);
    if (!this.read.has(path)) this.read.set(path, settled(() => parse(bytes), path));
    const { value, error } = this.read.get(path);
    if (error) throw error;
    return value;
  }

  /** What takes a hash to read is read before the checks, so that they need not wait for each other. */
  async readAhead() {
    if (this.has("transcript.jsonl")) {
      const path = "transcript.jsonl";
      this.read.set(path, await settledLater(() => parseTranscript(this.file(path)), path));
    }
    if (this.has(this.forms.statement.file)) {
      const read = settled(() => this.statement, "");
      this.statementDigest = read.value ? hex(await sha256(read.value.raw)) : null;
    }
  }

  get statement() {
    return this.parsed(this.forms.statement.file, (bytes) => parseStatement(bytes, this.forms.statement));
  }

  get plan() {
    return this.parsed("plan.toml", parsePlan);
  }

  /** CannotTell when the script that people had printed does not show the plan that was read. */
  checkPrinted() {
    checkPrinted(this.plan, this.file("script.md"));
  }

  get steps() {
    return this.parsed("script.md", parseScript);
  }

  get entries() {
    return this.parsed("transcript.jsonl", () => []);
  }

  get begin() {
    return this.entries[0].body;
  }

  done(step) {
    const found = this.entries.find((entry) => entry.kind === "done" && entry.step === step);
    if (!found) throw new Refused(`transcript.jsonl has no step ${step} that was done`);
    return found.body;
  }

  get fleet() {
    return this.parsed("fleet.json", (bytes) => parseFleet(json(bytes, "it")));
  }

  get replicas() {
    return this.fleet.groups.flatMap((group) => group.replicas);
  }

  get custody() {
    return this.parsed("custody.json", parseCustody);
  }

  get software() {
    return this.parsed("software.json", parseSoftware);
  }

  get manifest() {
    return this.parsed("manifest.json", parseManifest);
  }

  token(number) {
    const path = `tokens/${number}.json`;
    const record = this.parsed(path, parseToken);
    if (record.replica !== number) throw new Refused(`${path} is of token ${record.replica}`);
    return record;
  }

  in(directory) {
    return [...this.files.keys()].filter((path) => path.startsWith(`${directory}/`)).sort();
  }

  /** Refused when a directory holds a file that nobody would look at. */
  only(directory, expected) {
    const strange = this.in(directory).find((path) => !expected.includes(path));
    if (strange) throw new Refused(`${strange} is of nobody and nothing in the plan`);
  }
}

function named(error, path) {
  if (!(error instanceof Refused || error instanceof CannotTell)) throw error;
  if (path) error.message = `${path}: ${error.message}`;
  return { error };
}

function settled(act, path) {
  try {
    return { value: act() };
  } catch (error) {
    return named(error, path);
  }
}

async function settledLater(act, path) {
  try {
    return { value: await act() };
  } catch (error) {
    return named(error, path);
  }
}

/** Return {envelope, raw, files, fleet, ceremony, assurance}; who signed it is a check of its own. */
function parseStatement(bytes, forms) {
  const envelope = parseEnvelope(textOf(bytes, "the envelope").replace(/\n$/, ""), forms.payloadType);
  const said = members(json(envelope.payload, "the statement"), ["_type", "subject", "predicateType", "predicate"], "it");
  if (said._type !== forms.type || said.predicateType !== forms.predicate) {
    throw new Refused("the statement is of another type than this page reads");
  }
  const subjects = list(said.subject, "subject").map((one) => {
    const { name, digest } = members(one, ["name", "digest"], "a subject");
    return [text(name, PATH, "the name of a file"), text(members(digest, ["sha256"], "a digest").sha256, SHA256, "a digest")];
  });
  if (!subjects.length || subjects.length > MOST_FILES) throw new Refused("the statement names no file, or too many");
  distinct(subjects.map(([name]) => name), "the file");
  const predicate = members(said.predicate, ["fleet", "ceremony", "assurance"], "the predicate");
  for (const name of Object.keys(predicate)) text(predicate[name], WORD, name);
  return { ...predicate, envelope, raw: envelope.payload, files: Object.fromEntries(subjects) };
}

function parseFleet(said) {
  members(said, FLEET, "the fleet");
  for (const name of ["kem_public", "opaque_public"]) text(said[name], POINT, name);
  for (const name of ["seal_check", "id_check"]) text(said[name], SHA256, name);
  text(said.fleet, WORD, "fleet");
  for (const group of list(said.groups, "groups")) {
    members(group, ["group", "replicas"], "a group");
    for (const replica of list(group.replicas, "replicas")) {
      members(replica, ["replica", "incarnation", "identity_public", "link_public"], "a replica");
      whole(replica.replica, "the number of a replica");
      for (const name of ["identity_public", "link_public"]) text(replica[name], POINT, name);
    }
  }
  members(said.assurance, ["key_custody", "code_enforcement", "anchor_freshness"], "assurance");
  const replicas = said.groups.flatMap((group) => group.replicas);
  if (!replicas.length) throw new Refused("the fleet has no replica");
  distinct(replicas.map((one) => one.replica), "the replica");
  return said;
}

function parseManifest(bytes) {
  const said = members(
    json(bytes, "it"),
    ["schema", "namespace", "epoch", "previous_sha256", "issued_at", "not_before", "not_after", "fleets"],
    "the manifest",
  );
  if (said.schema !== "hsm-vault/fleet-manifest/v1") throw new Refused("the manifest is of another version");
  whole(said.epoch, "epoch");
  text(said.namespace, /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/, "namespace");
  list(said.fleets, "fleets").forEach(parseFleet);
  distinct(said.fleets.map((fleet) => fleet.fleet), "the fleet");
  return said;
}

function parseCustody(bytes) {
  const said = members(json(bytes, "it"), ["schema", "fleet", "threshold", "identifier", "shares"], "the commitments");
  if (said.schema !== "hsm-vault/custody/v1") throw new Refused("the commitments are of another version");
  for (const share of list(said.shares, "shares")) members(share, ["custodian", "salt", "sha256"], "a share");
  return said;
}

function parseSoftware(bytes) {
  const said = members(json(bytes, "it"), SOFTWARE, "the record");
  if (said.schema !== "hsm-vault/software/v1") throw new Refused("the record is of another version");
  members(said.files, Object.keys(said.files ?? {}), "files");
  for (const digest of Object.values(said.files)) text(digest, SHA256, "the digest of a file");
  text(said.version, /^[A-Za-z0-9.!+_-]{1,64}$/, "version");
  return said;
}

function parseToken(bytes) {
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
