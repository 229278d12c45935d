// The checks of what the ceremony made: tokens, keys, software, attestations, manifest.
import { CannotTell, Refused, hex, sha256, utf8 } from "./bytes.js";
import { checkFleetGoesOn, checkManifestGoesOn } from "./checks_successor.js";
import { isSame } from "./shapes.js";

const USE_AUDIT = "use hsm-vault audit";
const COMMITMENTS = ["kem_public", "opaque_public", "seal_check", "id_check"];

export function keyAttributes(evidence) {
  const { made, fleet, forms } = evidence;
  const expected = forms.objects[fleet.custody];
  evidence.only("tokens", made.map(({ replica }) => `tokens/${replica}.json`));
  for (const { replica } of made) {
    checkObjects(evidence.token(replica), expected);
    const path = `tokens/${replica}.json`;
    if (evidence.done(`inventory-${replica}`).record_sha256 !== evidence.sha256(path)) {
      throw new Refused(`${path} is not the record that the ceremony made`);
    }
  }
  if (evidence.isReplacement) return "the new token, three keys; the records of the others are in the evidence before";
  return `${made.length} tokens, three keys each`;
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

export function keyBinding(evidence) {
  const { fleet, replicas, plan } = evidence;
  if (fleet.fleet !== plan.fleet || fleet.custody !== plan.custody) {
    throw new Refused("fleet.json is of another fleet or custody than the plan");
  }
  if (!isSame(replicas.map((one) => one.replica), plan.replicas)) {
    throw new Refused("fleet.json has other replicas than the plan has tokens");
  }
  for (const replica of evidence.made) checkMade(evidence, replica);
  if (evidence.isReplacement) return checkFleetGoesOn(evidence);
  const keys = evidence.done("fleet-keys");
  const other = COMMITMENTS.find((name) => keys[name] !== fleet[name]);
  if (other) throw new Refused(`${other} in fleet.json is not the one that the ceremony made`);
  return `${replicas.length} replicas and the fleet's four keys`;
}

/** Refused unless a replica's keys are those that the ceremony made in its token, which opens the fleet's keys. */
function checkMade(evidence, { replica, identity_public, link_public }) {
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

export async function softwareDigest(evidence) {
  const { software, begin } = evidence;
  if (begin.software_sha256 !== evidence.sha256("software.json")) {
    throw new Refused("software.json is not the one that the transcript begins with");
  }
  const lines = Object.entries(software.files).map(([path, digest]) => `${digest}  ${path}\n`);
  const digest = hex(await sha256(utf8(lines.sort().join(""))));
  if (digest !== software.files_sha256) throw new Refused("software.json: files_sha256 is not the digest of its files");
  const record = `the record says version ${software.version}, files ${digest}`;
  throw new CannotTell(`${record}; this page has no wheel to compare: ${USE_AUDIT} --wheel`);
}

export function attestationChain(evidence) {
  const found = evidence.in("attestations").length;
  if (found) {
    throw new CannotTell(`${found} attestations are there; this page reads none: ${USE_AUDIT} --attestation-root`);
  }
  if (evidence.fleet.assurance.key_custody === "vendor-rooted") {
    throw new Refused("fleet.json claims that makers vouch for its keys, and there is no attestation");
  }
  const onWhoseWord = "key custody is self-asserted, on the word of who ran the ceremony";
  throw new CannotTell(`no device gave an attestation: ${onWhoseWord}`);
}

export function sealed(evidence) {
  const { fleet, replicas } = evidence;
  if (fleet.custody !== "sealed") {
    const { threshold, custodians } = evidence.plan;
    const who = `any ${threshold} of ${custodians.length} custodians together`;
    const what = "can add a token, and can therefore do anything with the fleet's keys";
    throw new CannotTell(`the fleet is maintained: ${who} ${what}`);
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

export function manifest(evidence) {
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
  checkManifestGoesOn(evidence);
  return `${published.namespace}, epoch ${published.epoch}, SHA-256 ${evidence.sha256("manifest.json")}`;
}
