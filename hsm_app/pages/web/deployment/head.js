// What evidence is about, in short: which fleet, when, which ceremony, who took part.
import { CannotTell, Refused } from "./bytes.js";
import { maybe } from "./evidence.js";
import { AGREES, BAD, OBJECTS, SILENT, UNTOLD, testimonies } from "./people.js";
import { words } from "./shapes.js";
import { at, facts } from "./show.js";

const CEREMONIES = {
  genesis: "Genesis: the fleet's first keys",
  "new-fleet": "A new fleet that takes over from an older one",
};
const REPLACED = {
  eyebrow: "How a token was replaced",
  lead:
    "A fleet of security devices keeps people's backup keys. One device was replaced by a fresh one, in front of " +
    "witnesses. This page shows that day from its record, with all evidence before it, back to the day the fleet's " +
    "keys were made; your browser checks the records.",
};
export const minute = (time) => `${time.slice(0, 16).replace("T", " ")} UTC`;

/** The ceremony as a title. */
export function ceremonyOf(evidence) {
  const [begin, plan] = ["begin", "plan"].map((part) => maybe(() => evidence[part]));
  if (plan?.replica) return `A token was replaced: replica ${plan.replica} got a fresh one`;
  return begin && (CEREMONIES[begin.ceremony] ?? words(begin.ceremony));
}

export function spanOf(evidence) {
  const entries = maybe(() => evidence.entries);
  return entries && `${minute(entries[0].time)} to ${minute(entries.at(-1).time)}`;
}

export function isRehearsal(evidence) {
  const [begin, plan] = ["begin", "plan"].map((part) => maybe(() => evidence[part]));
  return begin?.kind === "rehearsal" || plan?.kind === "rehearsal";
}

/** The participants with what each signed; none where that cannot be told: the checks say why. */
export async function peopleOf(evidence) {
  try {
    return await testimonies(evidence);
  } catch (error) {
    if (error instanceof Refused || error instanceof CannotTell) return [];
    throw error;
  }
}

/** How many participants agree, object, and so on. */
export function tally(people) {
  const count = (state) => people.filter((one) => one.state === state).length;
  const agree = `${count(AGREES)} of ${people.length} agree`;
  const more = [OBJECTS, BAD, SILENT, UNTOLD].filter(count).map((state) => `${state}: ${count(state)}`);
  return [agree, ...more].join("; ");
}

function custodyMeaning(custody, plan) {
  if (custody === "sealed") {
    return "sealed: by the record, no root can leave its token, and nobody can add a token, not even all custodians";
  }
  if (custody !== "maintained") return words(custody);
  const who = plan ? `any ${plan.threshold} of the ${plan.custodians.length}` : "a threshold of the";
  return `maintained: ${who} custodians together can add a token, and can therefore do anything with the fleet's keys`;
}

function kindMeaning(kind) {
  if (kind === "real") return "real";
  return kind === "rehearsal" ? "REHEARSAL, on throw-away tokens: nothing of it may be used for real" : words(kind);
}

function tokensOf(evidence) {
  const { length } = evidence.replicas;
  const isOne = maybe(() => evidence.isReplacement);
  return isOne ? `1 new of ${length}; the records of the others are in the evidence before` : String(length);
}

export function showHead(evidence, people) {
  const parts = ["begin", "fleet", "plan", "manifest"];
  const [begin, fleet, plan, manifest] = parts.map((part) => maybe(() => evidence[part]));
  at("rehearsal").hidden = !isRehearsal(evidence);
  showNames(fleet?.fleet ?? plan?.fleet, Boolean(plan?.replica));
  const custody = fleet?.custody ?? begin?.custody;
  const level = ([axis, of]) => `${axis.replaceAll("_", " ")} ${words(of)}`;
  const levels = Object.entries(fleet?.assurance ?? {}).map(level);
  const rows = [
    begin && ["When", spanOf(evidence)],
    begin && ["Ceremony", ceremonyOf(evidence)],
    begin && ["Kind", kindMeaning(begin.kind)],
    custody && ["Custody", custodyMeaning(custody, plan)],
    people.length && ["Participants", tally(people)],
    fleet && ["Tokens", tokensOf(evidence)],
    levels.length && ["Assurance", levels.join("; ")],
    manifest && ["Published in", `${manifest.namespace}, epoch ${manifest.epoch}`],
  ];
  facts(rows.filter(Boolean));
  at("about").hidden = !rows.some(Boolean);
}

function showNames(name, isReplacement) {
  if (isReplacement) for (const [id, said] of Object.entries(REPLACED)) at(id).textContent = said;
  if (!name) return;
  at("fleet").textContent = `Fleet ${name}`;
  const what = isReplacement ? `How a token of ${name} was replaced` : `How the keys of ${name} were made`;
  document.title = `${at("rehearsal").hidden ? "" : "REHEARSAL: "}${what}`;
}
