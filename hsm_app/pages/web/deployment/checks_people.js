// The checks of the ceremony itself: script, transcript, signatures, custodians.
import { CannotTell, Refused, unhex } from "./bytes.js";
import { SHOWN, areTexts, fits } from "./checks_exceptions.js";
import { checkCustodiansGoOn, checkPredecessor, checkShares } from "./checks_successor.js";
import { signers } from "./dsse.js";
import { holdsEs256 } from "./keys.js";
import { AGREES, SILENT, whole } from "./people.js";
import { isSame, words } from "./shapes.js";

export function scriptDigest(evidence) {
  const { begin, entries } = evidence;
  for (const [path, name] of [["script.md", "script_sha256"], ["plan.toml", "plan_sha256"]]) {
    if (begin[name] === evidence.sha256(path)) continue;
    throw new Refused(`${path} is not the one that the transcript begins with`);
  }
  const done = entries.filter((entry) => entry.kind === "done").map((entry) => entry.step);
  if (!isSame(done, evidence.steps.map((step) => step.id))) {
    throw new Refused("the steps that were done in transcript.jsonl are not those of script.md, in its order");
  }
  const answers = new Map();
  for (const { step, body } of entries.filter((entry) => entry.kind === "confirmed")) {
    if (areTexts(body)) answers.set(`${step}\n${body.asked}`, body.answer);
  }
  for (const { id, asks } of evidence.steps) {
    const open = asks.find((asked) => !fits(asked, answers.get(`${id}\n${asked}`) ?? ""));
    if (!open) continue;
    throw new Refused(`transcript.jsonl has not the answer of the script, step ${id}, to: ${open.slice(0, SHOWN)}`);
  }
  const { plan } = evidence;
  const other = ["fleet", "custody", "ceremony", "kind"].find((name) => begin[name] !== plan[name]);
  if (other) throw new Refused(`transcript.jsonl has another ${other} than plan.toml`);
  evidence.checkPrinted();
  return `SHA-256 ${evidence.sha256("script.md")}; ${done.length} steps`;
}

export function transcriptChain({ entries, begin }) {
  if (entries.at(-1).kind !== "end") {
    throw new Refused("transcript.jsonl has no end: it was cut off, or the ceremony is not over");
  }
  if (begin.schema !== "hsm-vault/ceremony-transcript/v1" || !["real", "rehearsal"].includes(begin.kind)) {
    throw new Refused(`transcript.jsonl is of a ${words(begin.kind).slice(0, 20)}`);
  }
  return `${entries.length} lines`;
}

export async function signatures(evidence) {
  const { statement, forms } = evidence;
  for (const [path, digest] of Object.entries(statement.files)) {
    if (evidence.sha256(path) !== digest) throw new Refused(`${path} is not the file that the statement names`);
  }
  const unnamed = forms.needed.find((path) => !Object.hasOwn(statement.files, path));
  if (unnamed) throw new Refused(`${forms.statement.file} does not name ${unnamed}`);
  const isPart = (path) => forms.needed.includes(path) || forms.directories.includes(path.split("/")[0]);
  const odd = Object.keys(statement.files).find((path) => !isPart(path));
  if (odd) throw new Refused(`${odd} is no part of evidence: nobody would look at it`);
  await checkToken(evidence);
  checkPredecessor(evidence);
  if (statement.fleet !== evidence.fleet.fleet || statement.ceremony !== evidence.plan.ceremony) {
    throw new Refused(`${forms.statement.file} is of fleet ${statement.fleet}, ${statement.ceremony}`);
  }
  const people = await whole(evidence);
  const silent = people.filter((one) => one.state === SILENT).map((one) => one.person.name);
  if (silent.length) throw new CannotTell(`all signatures that are there hold; ${silent.join(", ")} did not sign`);
  return `${Object.keys(statement.files).length} files, ${people.length} participants`;
}

/** Refused unless the token that the ceremony is about signed transcript and statement. */
async function checkToken(evidence) {
  const { statement, forms, made, signingToken } = evidence;
  const identity = unhex(made[0].identity_public, 33, "the token's key");
  if (!(await holdsEs256(identity, evidence.file("transcript.jsonl"), evidence.file("transcript.sig")))) {
    throw new Refused(`transcript.sig is not the ${signingToken}'s signature of transcript.jsonl`);
  }
  if (!(await signers(statement.envelope, { keys: [{ alg: "ES256", public: identity }] })).length) {
    throw new Refused(`${forms.statement.file} is not signed by the ${signingToken}'s replica-identity`);
  }
}

export async function custodianThreshold(evidence) {
  const { plan, custody, isReplacement } = evidence;
  if (isReplacement) checkShares(evidence);
  else if (evidence.done("custody").custody_sha256 !== evidence.sha256("custody.json")) {
    throw new Refused("custody.json is not the one of the ceremony");
  }
  const names = plan.custodians.map((person) => person.name);
  const isTheirs = isSame(custody.shares.map((share) => share.custodian), names);
  if (custody.fleet !== plan.fleet || custody.threshold !== plan.threshold || !isTheirs) {
    throw new Refused("custody.json is of other custodians, another threshold or another fleet than the plan");
  }
  const people = await whole(evidence);
  const agree = people.filter(({ person, state }) => person.role === "custodian" && state === AGREES);
  const said = `${agree.length} of ${names.length} custodians agree`;
  if (agree.length < plan.threshold) throw new Refused(`${said}, and ${plan.threshold} are needed`);
  if (isReplacement) checkCustodiansGoOn(evidence, agree.map(({ person }) => person));
  return `${said}, ${plan.threshold} are needed`;
}
