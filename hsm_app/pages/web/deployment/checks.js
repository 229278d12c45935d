// The checks of an audit, as far as a browser makes them. Their names and meaning are those of `hsm-vault audit`.
import { CannotTell, Refused, hex, sha256, textOf, unhex, utf8 } from "./bytes.js";
import { signers } from "./dsse.js";
import { holdsEs256 } from "./keys.js";
import { AGREES, BAD, OBJECTS, SILENT, UNTOLD, testimonies } from "./people.js";
import { isSame, words } from "./shapes.js";
import { NOT_PROVEN, attempt } from "./verdict.js";

const USE_AUDIT = "use hsm-vault audit";
const SHOWN = 300; // characters of a reason
const LOOKS = {
  "script-digest": scriptDigest,
  "transcript-chain": transcriptChain,
  signatures,
  "custodian-threshold": custodianThreshold,
  "key-attributes": keyAttributes,
  "key-binding": keyBinding,
  "software-digest": softwareDigest,
  "attestation-chain": attestationChain,
  sealed,
  manifest,
  "log-inclusion": logInclusion,
  exceptions,
};

/** Return a verdict on each check that `forms` names, by name; what this page does not know is not proven. */
export async function audit(evidence) {
  const verdicts = {};
  for (const { name } of evidence.forms.checks) {
    const look = Object.hasOwn(LOOKS, name) ? LOOKS[name] : null;
    const unknown = { outcome: NOT_PROVEN, why: `this page does not look at it: ${USE_AUDIT}` };
    verdicts[name] = look ? await attempt(() => look(evidence)) : unknown;
  }
  return verdicts;
}

function scriptDigest(evidence) {
  const { begin, entries } = evidence;
  for (const [path, name] of [["script.md", "script_sha256"], ["plan.toml", "plan_sha256"]]) {
    if (begin[name] !== evidence.sha256(path)) throw new Refused(`${path} is not the one that the transcript begins with`);
  }
  const done = entries.filter((entry) => entry.kind === "done").map((entry) => entry.step);
  if (!isSame(done, evidence.steps.map((step) => step.id))) {
    throw new Refused("the steps that were done in transcript.jsonl are not those of script.md, in its order");
  }
  const answers = new Map();
  for (const { step, body } of entries.filter((entry) => entry.kind === "confirmed")) {
    answers.set(`${step}\n${words(body.asked)}`, words(body.answer));
  }
  for (const { id, asks } of evidence.steps) {
    const open = asks.find((asked) => !fits(asked, answers.get(`${id}\n${asked}`) ?? ""));
    if (open) throw new Refused(`transcript.jsonl has not the answer of the script, step ${id}, to: ${open.slice(0, SHOWN)}`);
  }
  const { plan } = evidence;
  const other = ["fleet", "custody", "ceremony", "kind"].find((name) => begin[name] !== plan[name]);
  if (other) throw new Refused(`transcript.jsonl has another ${other} than plan.toml`);
  evidence.checkPrinted();
  return `SHA-256 ${evidence.sha256("script.md")}; ${done.length} steps`;
}

/** A question of a script names the answer itself, at its end. */
const fits = (asked, answer) => asked.endsWith(`: type ${answer}`) || asked.endsWith(`(${answer})`);

function transcriptChain({ entries, begin }) {
  if (entries.at(-1).kind !== "end") {
    throw new Refused("transcript.jsonl has no end: it was cut off, or the ceremony is not over");
  }
  if (begin.schema !== "hsm-vault/ceremony-transcript/v1" || !["real", "rehearsal"].includes(begin.kind)) {
    throw new Refused(`transcript.jsonl is of a ${words(begin.kind).slice(0, 20)}`);
  }
  return `${entries.length} lines`;
}

async function signatures(evidence) {
  const { statement, forms } = evidence;
  const identity = unhex(evidence.replicas[0].identity_public, 33, "the first token's key");
  if (!(await holdsEs256(identity, evidence.file("transcript.jsonl"), evidence.file("transcript.sig")))) {
    throw new Refused("transcript.sig is not the first token's signature of transcript.jsonl");
  }
  if (!(await signers(statement.envelope, { keys: [{ alg: "ES256", public: identity }] })).length) {
    throw new Refused(`${forms.statement.file} is not signed by the first token's replica-identity`);
  }
  for (const [path, digest] of Object.entries(statement.files)) {
    if (evidence.sha256(path) !== digest) throw new Refused(`${path} is not the file that the statement names`);
  }
  const unnamed = forms.needed.find((path) => !Object.hasOwn(statement.files, path));
  if (unnamed) throw new Refused(`${forms.statement.file} does not name ${unnamed}`);
  if (statement.fleet !== evidence.fleet.fleet || statement.ceremony !== evidence.begin.ceremony) {
    throw new Refused(`${forms.statement.file} is of fleet ${statement.fleet}, ${statement.ceremony}`);
  }
  const people = await whole(evidence);
  const silent = people.filter((one) => one.state === SILENT).map((one) => one.person.name);
  if (silent.length) throw new CannotTell(`all signatures that are there hold; ${silent.join(", ")} did not sign`);
  return `${Object.keys(statement.files).length} files, ${people.length} participants`;
}

/** Return the testimonies when each that is there holds. One that does not outweighs one that cannot be told. */
async function whole(evidence) {
  const people = await testimonies(evidence);
  const [bad, untold] = [BAD, UNTOLD].map((state) => people.find((one) => one.state === state));
  if (bad) throw new Refused(bad.why);
  if (untold) throw new CannotTell(untold.why);
  return people;
}

async function custodianThreshold(evidence) {
  if (evidence.done("custody").custody_sha256 !== evidence.sha256("custody.json")) {
    throw new Refused("custody.json is not the one of the ceremony");
  }
  const { plan, custody } = evidence;
  const names = plan.custodians.map((person) => person.name);
  const isTheirs = isSame(custody.shares.map((share) => share.custodian), names);
  if (custody.fleet !== plan.fleet || custody.threshold !== plan.threshold || !isTheirs) {
    throw new Refused("custody.json is of other custodians, another threshold or another fleet than the plan");
  }
  const people = await whole(evidence);
  const agree = people.filter(({ person, state }) => person.role === "custodian" && state === AGREES).length;
  const said = `${agree} of ${names.length} custodians agree`;
  if (agree < plan.threshold) throw new Refused(`${said}, and ${plan.threshold} are needed`);
  return `${said}, ${plan.threshold} are needed`;
}

function keyAttributes(evidence) {
  const { replicas, fleet, forms } = evidence;
  const expected = Object.hasOwn(forms.objects, fleet.custody) ? forms.objects[fleet.custody] : {};
  evidence.only("tokens", replicas.map(({ replica }) => `tokens/${replica}.json`));
  for (const { replica } of replicas) {
    checkObjects(evidence.token(replica), expected);
    const path = `tokens/${replica}.json`;
    if (evidence.done(`inventory-${replica}`).record_sha256 !== evidence.sha256(path)) {
      throw new Refused(`${path} is not the record that the ceremony made`);
    }
  }
  return `${replicas.length} tokens, three keys each`;
}

function inRole({ replica, objects }, role) {
  const found = objects.filter((object) => object.role === role);
  if (found.length !== 1) {
    throw new Refused(`tokens/${replica}.json: token ${replica} holds ${found.length} objects in the role ${role}`);
  }
  return found[0].attributes;
}

function checkObjects(record, expected) {
  const where = `tokens/${record.replica}.json: `;
  for (const [role, wanted] of Object.entries(expected)) {
    const attributes = inRole(record, role);
    const wrong = Object.keys(wanted).find((name) => attributes[name] !== wanted[name]);
    if (wrong) throw new Refused(`${where}${role} in token ${record.replica} has ${wrong} = ${attributes[wrong]}`);
  }
  const strange = record.objects.find(({ role }) => !Object.hasOwn(expected, role));
  if (strange) throw new Refused(`${where}token ${record.replica} holds an object ${strange.role || "of no role"}`);
}

function keyBinding(evidence) {
  const { fleet, begin, replicas } = evidence;
  if (fleet.fleet !== begin.fleet || fleet.custody !== begin.custody) {
    throw new Refused("fleet.json is of another fleet or custody than the ceremony");
  }
  for (const { replica, identity_public, link_public } of replicas) {
    const whose = `the keys of replica ${replica}`;
    if (!isSame(evidence.done(`keys-${replica}`), { identity_public, link_public })) {
      throw new Refused(`${whose} in fleet.json are not those that the ceremony made`);
    }
    const recorded = evidence.token(replica).public_keys;
    if (!isSame(recorded, { "replica-identity": identity_public, "replica-link": link_public })) {
      throw new Refused(`${whose} are not those of tokens/${replica}.json`);
    }
    if (evidence.done(`carry-${replica}`).same_root !== true || evidence.done(`check-${replica}`).opens !== true) {
      throw new Refused(`transcript.jsonl does not show that token ${replica} opens the fleet's keys`);
    }
  }
  const made = evidence.done("fleet-keys");
  const other = ["kem_public", "opaque_public", "seal_check", "id_check"].find((name) => made[name] !== fleet[name]);
  if (other) throw new Refused(`${other} in fleet.json is not the one that the ceremony made`);
  if (!isSame(replicas.map((one) => one.replica), evidence.plan.tokens)) {
    throw new Refused("fleet.json has other replicas than the plan has tokens");
  }
  if (fleet.fleet !== evidence.plan.fleet || fleet.custody !== evidence.plan.custody) {
    throw new Refused("fleet.json is of another fleet or custody than the plan");
  }
  return `${replicas.length} replicas and the fleet's four keys`;
}

async function softwareDigest(evidence) {
  const { software, begin } = evidence;
  if (begin.software_sha256 !== evidence.sha256("software.json")) {
    throw new Refused("software.json is not the one that the transcript begins with");
  }
  const lines = Object.entries(software.files).map(([path, digest]) => `${digest}  ${path}\n`);
  const digest = hex(await sha256(utf8(lines.sort().join(""))));
  if (digest !== software.files_sha256) throw new Refused("software.json: files_sha256 is not the digest of its files");
  throw new CannotTell(
    `the record says version ${software.version}, files ${digest}; this page has no wheel to compare: ${USE_AUDIT} --wheel`,
  );
}

function attestationChain(evidence) {
  const found = evidence.in("attestations").length;
  if (found) throw new CannotTell(`${found} attestations are there; this page reads none: ${USE_AUDIT} --attestation-root`);
  if (evidence.fleet.assurance.key_custody === "vendor-rooted") {
    throw new Refused("fleet.json claims that makers vouch for its keys, and there is no attestation");
  }
  throw new CannotTell("no device gave an attestation: key custody is self-asserted, on the word of who ran the ceremony");
}

function sealed(evidence) {
  const { fleet, replicas } = evidence;
  if (fleet.custody !== "sealed") {
    const { threshold, custodians } = evidence.plan;
    throw new CannotTell(
      `the fleet is maintained: any ${threshold} of ${custodians.length} custodians together can add a token, and can ` +
        "therefore do anything with the fleet's keys",
    );
  }
  for (const { replica } of replicas) {
    if (inRole(evidence.token(replica), "fleet-root").CKA_EXTRACTABLE !== false) {
      throw new Refused(`tokens/${replica}.json: the root is extractable`);
    }
    if (!isSame(evidence.done(`seal-${replica}`), { officer_refused: true, root_extractable: false })) {
      throw new Refused(`transcript.jsonl does not show that token ${replica} was sealed`);
    }
  }
  return `${replicas.length} tokens`;
}

function manifest(evidence) {
  if (!evidence.has("manifest.json")) {
    throw new CannotTell("manifest.json is not here yet; the operator adds it when the manifest is published");
  }
  const { fleet, statement, manifest: published } = evidence;
  const entry = published.fleets.find((one) => one.fleet === fleet.fleet);
  if (!entry) throw new Refused(`manifest.json: it has no fleet ${fleet.fleet}`);
  if (!statement || entry.evidence_sha256 !== evidence.statementDigest) {
    throw new Refused("manifest.json names another statement, or none");
  }
  if (!isSame({ ...entry, evidence_sha256: null }, fleet)) {
    throw new Refused("the entry of the fleet in manifest.json is not fleet.json");
  }
  return `${published.namespace}, epoch ${published.epoch}, SHA-256 ${evidence.sha256("manifest.json")}`;
}

/** Whether the log has it is for who brings a root of trust from elsewhere; of what manifest the bundle is, shows here. */
function logInclusion(evidence) {
  if (!evidence.has("bundle.json")) {
    throw new CannotTell("bundle.json is not here yet; the operator adds it when the manifest is published");
  }
  const [first] = textOf(evidence.file("bundle.json"), "bundle.json").split("\n");
  let payload;
  try {
    payload = JSON.parse(first).payload;
  } catch {
    throw new Refused("bundle.json: it is no bundle");
  }
  const bytes = evidence.file("manifest.json");
  if (payload !== btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))) {
    throw new Refused("bundle.json is of another manifest than manifest.json");
  }
  throw new CannotTell(
    `the bundle is of this manifest; this page does not look into the log, since it has no root of trust that you ` +
      `chose: ${USE_AUDIT} --root-of-trust, or the log's own page`,
  );
}

async function exceptions(evidence) {
  const { entries, begin } = evidence;
  const found = entries
    .filter((entry) => entry.kind === "exception")
    .map(({ step, body }) => `step ${step}: ${words(body.what).slice(0, SHOWN)} (${words(body.reason).slice(0, SHOWN)})`);
  const people = await whole(evidence);
  for (const { person, state, objection } of people) {
    if (state === OBJECTS) found.push(`${person.name} (${person.role}) objects: ${objection.slice(0, SHOWN)}`);
  }
  const breaks = entries.filter((entry) => entry.kind === "resumed").length;
  if (breaks) found.push(`the ceremony was interrupted ${breaks} times`);
  if (begin.kind !== "real") found.push("it was a rehearsal, on throw-away tokens: nothing of it is for real use");
  if (found.length) throw new CannotTell(found.join("; "));
  return "none";
}
