// plan.toml and script.md: what people agreed on beforehand.
//
// Of TOML only this is read: comments, [[participant]], [[token]], and a name with a whole number, a list of them or a
// plain string on one line. Every reader of TOML reads such a file the same way. A plan that is written with more of TOML is
// not guessed at: whatever needs it is then not proven. What was read has to stand in script.md too, as it was printed.
import { CannotTell, Refused, textOf } from "./bytes.js";
import { CUSTODIES, NAME, distinct, list, oneOf, text, whole } from "./shapes.js";

const NAME_IS = /([a-z0-9_]+) *= */;
const VALUE = /(?:((?:0|[1-9][0-9]{0,5})|\[[0-9, ]*\])|"([^"\\\x00-\x1f\x7f]*)"|'([^'\x00-\x1f\x7f]*)')/;
const PAIR = new RegExp(`^${NAME_IS.source}${VALUE.source}[ \\t]*(?:#.*)?$`);
const NOTHING = /^[ \t]*(?:#.*)?$/;
const TABLE = /^\[\[(participant|token)\]\][ \t]*(?:#.*)?$/;
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f]/;
const NAMES = {
  "": ["ceremony", "kind", "fleet", "custody", "threshold", "replicas", "replica", "fleet_directory", "lost"],
  participant: ["name", "role", "key"],
  token: ["module", "softhsm2_conf"],
};
const LIMIT = 64 * 1024; // bytes
// One line, of signs that show: none that Unicode calls other or a separator, but the blank.
const PRINTABLE = /^(?:[^\p{C}\p{Z}]| ){1,1000}$/u;
export const FLEET = /^[a-z0-9][a-z0-9-]{0,27}$/;
export const REPLACEMENT = "replace-token";
const OF_A_NEW_FLEET = ["genesis", "new-fleet"];
const OF_A_FLEET = [REPLACEMENT, "destroy-fleet"];
const IGNORED = "roles"; // by a ceremony that is about tokens, whatever it is
export const ROLES = ["administrator", "custodian", "operator", "auditor", "witness"];

function readTables(bytes) {
  const tables = { "": [{}], participant: [], token: [] };
  let into = tables[""][0], names = NAMES[""];
  if (bytes.length > LIMIT) throw new Refused(`it has ${bytes.length} bytes, more than ${LIMIT}`);
  for (const [at, line] of textOf(bytes, "the plan").split(/\r?\n/).entries()) {
    const table = TABLE.exec(line)?.[1], pair = PAIR.exec(line);
    if (CONTROL.test(line) || !(table || pair || NOTHING.test(line))) {
      throw new CannotTell(`line ${at + 1} is written in a way that this page does not read`);
    }
    if (table) {
      tables[table].push((into = {}));
      names = NAMES[table];
    } else if (pair) {
      const [, name, numbers, ...strings] = pair;
      if (name === IGNORED && into === tables[""][0]) throw new CannotTell(`line ${at + 1} has ${name}`);
      if (!names.includes(name)) throw new Refused(`line ${at + 1} has the unknown member ${name}`);
      if (Object.hasOwn(into, name)) throw new Refused(`line ${at + 1} has ${name} a second time`);
      into[name] = strings.find((one) => one !== undefined) ?? wholes(numbers, at + 1);
    }
  }
  return tables;
}

/** Read a whole number, or a list of them as JSON has it, which TOML reads the same way. */
function wholes(written, line) {
  try {
    return JSON.parse(written);
  } catch {
    throw new CannotTell(`line ${line} is written in a way that this page does not read`);
  }
}

/** Return {ceremony, kind, fleet, custody, threshold, replica, replicas, lost, people, custodians}.
 * `replica` is the number of the one whose token is replaced, 0 in other ceremonies. `replicas` are the numbers of all,
 * and `lost` those whose tokens could not be reached. */
export function parsePlan(bytes) {
  const { "": [top], participant, token } = readTables(bytes);
  const kind = oneOf(top.kind, ["real", "rehearsal"], "kind");
  const size = oneOf(tokensOf(kind, top, token), [3, 5, 7, 9], "the number of tokens");
  const people = participant.map((one) => ({
    name: text(one.name, NAME, "the name of a participant"),
    role: oneOf(one.role, ROLES, "the role of a participant"),
    key: text(one.key, PRINTABLE, "the key of a participant"),
  }));
  const plan = {
    ceremony: oneOf(top.ceremony, [...OF_A_NEW_FLEET, ...OF_A_FLEET], "ceremony"),
    kind,
    fleet: text(top.fleet, FLEET, "fleet"),
    custody: oneOf(top.custody, CUSTODIES, "custody"),
    threshold: whole(top.threshold, "threshold", 2, 16),
    replicas: Array.from({ length: size }, (_, at) => at + 1),
    people,
    custodians: people.filter((person) => person.role === "custodian"),
  };
  checkPeople(plan);
  return { ...plan, ...ofAFleet(top, plan) };
}

/** Return how many tokens there are: a rehearsal makes its own, and a real ceremony has a table for each. */
function tokensOf(kind, top, tables) {
  if (kind === "rehearsal" ? tables.length : Object.hasOwn(top, "replicas")) {
    throw new Refused("token tables are for real ceremonies, and replicas is for rehearsals");
  }
  for (const { module, softhsm2_conf: configuration } of tables) {
    text(module, PRINTABLE, "the module of a token");
    if (configuration !== undefined) text(configuration, PRINTABLE, "softhsm2_conf");
  }
  return kind === "rehearsal" ? top.replicas : tables.length;
}

function checkPeople({ people, custodians, threshold }) {
  distinct(people.map((person) => person.name), "the participant");
  distinct(people.map((person) => person.key.trim().split(/ +/, 2).join(" ")), "the key");
  if (!(threshold <= custodians.length && custodians.length <= 16)) {
    throw new Refused(`threshold ${threshold} of ${custodians.length} custodians`);
  }
  if (!people.some((person) => person.role === "administrator")) throw new Refused("nobody is administrator");
}

/** Return {replica, lost}: which of a fleet's tokens is replaced, and which others could not be reached. */
function ofAFleet(top, { ceremony, custody, replicas }) {
  const lost = list(top.lost ?? [], "lost").map((number) => whole(number, "lost", 1, replicas.length)).sort();
  if (OF_A_FLEET.includes(ceremony)) text(top.fleet_directory, PRINTABLE, "fleet_directory");
  else if (lost.length) throw new Refused("lost is for ceremonies about a fleet that exists");
  distinct(lost, "in lost, the replica");
  const replica = ceremony === REPLACEMENT ? whole(top.replica, "replica", 1, replicas.length) : 0;
  if (replica && custody === "sealed") throw new Refused("nobody can add a token to a sealed fleet");
  if (lost.includes(replica)) throw new Refused(`replica ${replica} is named as lost`);
  if (lost.length + Boolean(replica) >= replicas.length) throw new Refused("lost names all tokens");
  return { replica, lost };
}

const HEADING = /^## ([0-9]+)\. ([^\n]*) {2}\(([a-z0-9-]+); ([^()\n]*)\)$/;
const TO_CONFIRM = "- [ ] ";

/** Return the script's steps: {number, title, id, roles, asks}. */
export function parseScript(bytes) {
  const steps = [];
  for (const line of new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes).split("\n")) {
    const heading = HEADING.exec(line);
    if (heading) {
      const [, number, title, id, roles] = heading;
      steps.push({ number, title, id, roles, asks: [] });
    } else if (line.startsWith(TO_CONFIRM) && steps.length) steps.at(-1).asks.push(line.slice(TO_CONFIRM.length));
  }
  return steps;
}

/** CannotTell unless the script that people had printed names the same fleet, custody and participants as the plan, and
 * the same replica where a token is replaced. */
export function checkPrinted(plan, bytes) {
  const { ceremony, kind, fleet, custody, threshold, custodians, replica, replicas, lost, people } = plan;
  const away = lost.length ? ` Not here: ${lost.map((number) => `${fleet}-${number}`).join(", ")}.` : "";
  const facts =
    `\n\nCeremony: ${ceremony} (${kind}). Fleet: ${fleet}. Custody: ${custody}. Threshold: ${threshold} of ` +
    `${custodians.length} custodians. Tokens: ${replicas.length - lost.length}.${away}\n\n`;
  const task = replica ? [`\n\nGive replica ${replica} of fleet ${fleet} a fresh token.\n\n`] : [];
  const rows = people.map(({ name, role, key }) => `| ${name} | ${role} | \`${key}\` |\n`).join("");
  const table = `\n\n## Participants\n\n| name | role | key of the statement afterwards |\n|---|---|---|\n${rows}\n`;
  const printed = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  if (![facts, ...task, table].every((part) => printed.split(part).length === 2)) {
    throw new CannotTell("script.md does not show fleet, custody and participants as plan.toml has them");
  }
}
