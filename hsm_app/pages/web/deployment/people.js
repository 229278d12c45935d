// What each participant of the plan says about the ceremony, and whether it is theirs.
import { CannotTell, Refused, hex, textOf } from "./bytes.js";
import { parseEnvelope, signers } from "./dsse.js";
import { ROLES } from "./plan.js";
import { NAME, SHA256, distinct, json, members, oneOf, text } from "./shapes.js";
import { checkSsh, parseKey } from "./sshsig.js";

export const AGREES = "agrees", OBJECTS = "objects", SILENT = "did not sign";
export const BAD = "does not hold", UNTOLD = "not checked";
const MEMBERS = ["schema", "name", "role", "script_sha256", "transcript_sha256", "says", "objection"];
const SCHEMA = "hsm-vault/ceremony-testimony/v1";
const LIMIT = 16 * 1024; // bytes
// Several lines of plain text: no control, line-separator, direction or surrogate character.
const OBJECTION =
  /^[^\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]{1,2000}$/u;

/** The files in which participant `number` may have signed. */
export const pathsOf = (number) => ["json", "json.sig", "dsse.json"].map((end) => `testimonies/${number}.${end}`);

/** A participant's key in one form, in whatever form the plan has it. */
export function keyOf(person) {
  const key = parseKey(person.key);
  return `${key.alg}:${hex(key.public)}`;
}

/** Return {number, person, state, objection, why} for each participant. CannotTell, Refused without a plan. */
export async function testimonies(evidence) {
  const { people } = evidence.plan;
  evidence.only("testimonies", people.flatMap((_, at) => pathsOf(at + 1)));
  const all = await Promise.all(people.map((person, at) => said(evidence, at + 1, person)));
  const signed = all.filter(({ state }) => state === AGREES || state === OBJECTS);
  distinct(signed.map(({ person }) => keyOf(person)), "plan.toml: the key"); // or one hand would sign for two
  return all;
}

/** Return the testimonies when each that is there holds. One that does not outweighs one that cannot be told. */
export async function whole(evidence) {
  const people = await testimonies(evidence);
  const [bad, untold] = [BAD, UNTOLD].map((state) => people.find((one) => one.state === state));
  if (bad) throw new Refused(bad.why);
  if (untold) throw new CannotTell(untold.why);
  return people;
}

async function said(evidence, number, person) {
  try {
    return { number, person, objection: null, why: "", ...(await testimony(evidence, number, person)) };
  } catch (error) {
    const isDoubt = error instanceof CannotTell;
    if (!isDoubt && !(error instanceof Refused)) throw error;
    return { number, person, objection: null, state: isDoubt ? UNTOLD : BAD, why: error.message };
  }
}

async function testimony(evidence, number, person) {
  const [document, signature, envelope] = pathsOf(number);
  const bySsh = evidence.has(document) || evidence.has(signature);
  if (evidence.has(envelope)) {
    // Or an objection could hide behind an agreement.
    if (bySsh) throw new Refused(`${person.name} signed twice: ${document} and ${envelope}`);
    return naming(envelope, async () => {
      const line = textOf(evidence.file(envelope), "the envelope").replace(/\n$/, "");
      const sealed = parseEnvelope(line, evidence.forms.testimony.payloadType);
      const key = parseKey(person.key);
      if (!(await signers(sealed, { keys: [key] })).length) throw new Refused(`${person.name} did not sign`);
      return statementOf(evidence, person, sealed.payload);
    });
  }
  if (!bySsh) return { state: SILENT };
  const [raw, armoured] = [evidence.file(document), evidence.file(signature)];
  return naming(document, async () => {
    await checkSsh(armoured, raw, evidence.forms.testimony.namespace, parseKey(person.key));
    return statementOf(evidence, person, raw);
  });
}

async function naming(path, act) {
  try {
    return await act();
  } catch (error) {
    if (error instanceof Refused || error instanceof CannotTell) error.message = `${path}: ${error.message}`;
    throw error;
  }
}

/** Read a testimony; whose it is, and about what, is not asked. */
export function parseTestimony(raw, { agrees, objects }) {
  const said = members(json(raw, "the testimony", LIMIT), MEMBERS, "the testimony");
  oneOf(said.schema, [SCHEMA], "schema");
  if ((oneOf(said.says, [agrees, objects], "says") === agrees) !== (said.objection === null)) {
    throw new Refused("an objection is for those who do not agree, and they give one");
  }
  if (said.objection !== null) text(said.objection, OBJECTION, "the objection");
  text(said.name, NAME, "name");
  oneOf(said.role, ROLES, "role");
  for (const name of ["script_sha256", "transcript_sha256"]) text(said[name], SHA256, name);
  return said;
}

function statementOf(evidence, person, raw) {
  const document = parseTestimony(raw, evidence.forms.testimony);
  const { says, objection } = document;
  if (document.name !== person.name || document.role !== person.role) {
    throw new Refused(`the testimony is not that of ${person.name}, ${person.role}`);
  }
  const about = [document.script_sha256, document.transcript_sha256];
  if (about[0] !== evidence.sha256("script.md") || about[1] !== evidence.sha256("transcript.jsonl")) {
    throw new Refused(`${person.name} testifies about another script or transcript`);
  }
  return { state: says === evidence.forms.testimony.agrees ? AGREES : OBJECTS, objection };
}
