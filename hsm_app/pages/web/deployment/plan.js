// plan.toml and script.md: what people agreed on beforehand.
//
// Of TOML only this is read: comments, [[participant]], [[token]], and a name with a whole number or with a plain
// string on one line. Every reader of TOML reads such a file the same way. A plan that is written with more of TOML is
// not guessed at: whatever needs it is then not proven. What was read has to stand in script.md too, as it was printed.
import { CannotTell, Refused, textOf } from "./bytes.js";
import { NAME, distinct, text } from "./shapes.js";

const NAME_IS = /([a-z0-9_]+) *= */;
const VALUE = /(?:(0|[1-9][0-9]{0,5})|"([^"\\\x00-\x1f\x7f]*)"|'([^'\x00-\x1f\x7f]*)')/;
const PAIR = new RegExp(`^${NAME_IS.source}${VALUE.source}[ \\t]*(?:#.*)?$`);
const NOTHING = /^[ \t]*(?:#.*)?$/;
const TABLE = /^\[\[(participant|token)\]\][ \t]*(?:#.*)?$/;
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f]/;
const NAMES = {
  "": ["ceremony", "kind", "fleet", "custody", "threshold", "replicas"],
  participant: ["name", "role", "key"],
  token: ["module", "softhsm2_conf"],
};
const FLEET = /^[a-z0-9][a-z0-9-]{0,27}$/;
const ROLES = ["administrator", "custodian", "operator", "auditor", "witness"];

function readTables(bytes) {
  const tables = { "": [{}], participant: [], token: [] };
  let into = tables[""][0], names = NAMES[""];
  for (const [at, raw] of textOf(bytes, "the plan").split("\n").entries()) {
    const line = raw.replace(/\r$/, "");
    const table = TABLE.exec(line)?.[1], pair = PAIR.exec(line);
    if (CONTROL.test(line) || !(table || pair || NOTHING.test(line))) {
      throw new CannotTell(`line ${at + 1} is written in a way that this page does not read`);
    }
    if (table) {
      tables[table].push((into = {}));
      names = NAMES[table];
    } else if (pair) {
      const [, name, number, ...strings] = pair;
      if (!names.includes(name)) throw new CannotTell(`line ${at + 1} has ${name}, which this page does not know`);
      if (Object.hasOwn(into, name)) throw new Refused(`line ${at + 1} has ${name} a second time`);
      into[name] = number === undefined ? strings.find((one) => one !== undefined) : Number(number);
    }
  }
  return tables;
}

function oneOf(value, choices, what) {
  if (!choices.includes(value)) throw new Refused(`${what} is none of ${choices.join(", ")}`);
  return value;
}

/** Return {ceremony, kind, fleet, custody, threshold, tokens, people, custodians}. */
export function parsePlan(bytes) {
  const { "": [top], participant, token } = readTables(bytes);
  const kind = oneOf(top.kind, ["real", "rehearsal"], "kind");
  const tokens = kind === "rehearsal" ? top.replicas : token.length;
  const people = participant.map((one) => ({
    name: text(one.name, NAME, "the name of a participant"),
    role: oneOf(one.role, ROLES, "the role of a participant"),
    key: text(one.key, /^[^\n]{1,1000}$/, "the key of a participant"),
  }));
  const custodians = people.filter((person) => person.role === "custodian");
  const plan = {
    ceremony: oneOf(top.ceremony, ["genesis", "new-fleet"], "ceremony"),
    kind,
    fleet: text(top.fleet, FLEET, "fleet"),
    custody: oneOf(top.custody, ["sealed", "maintained"], "custody"),
    threshold: top.threshold,
    tokens: Array.from({ length: oneOf(tokens, [3, 5, 7, 9], "the number of tokens") }, (_, at) => at + 1),
    people,
    custodians,
  };
  distinct(people.map((person) => person.name), "the participant");
  distinct(people.map((person) => person.key.split(/ +/, 2).join(" ")), "the key");
  if (!(plan.threshold >= 2 && plan.threshold <= custodians.length && custodians.length <= 16)) {
    throw new Refused(`threshold ${plan.threshold} of ${custodians.length} custodians`);
  }
  if (!people.some((person) => person.role === "administrator")) throw new Refused("nobody is administrator");
  return plan;
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

/** CannotTell unless the script that people had printed names the same fleet, custody and participants as the plan. */
export function checkPrinted(plan, bytes) {
  const { ceremony, kind, fleet, custody, threshold, custodians, tokens, people } = plan;
  const facts =
    `\n\nCeremony: ${ceremony} (${kind}). Fleet: ${fleet}. Custody: ${custody}. ` +
    `Threshold: ${threshold} of ${custodians.length} custodians. Tokens: ${tokens.length}.\n\n`;
  const rows = people.map(({ name, role, key }) => `| ${name} | ${role} | \`${key}\` |\n`).join("");
  const table = `\n\n## Participants\n\n| name | role | key of the statement afterwards |\n|---|---|---|\n${rows}\n`;
  const printed = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  if (![facts, table].every((part) => printed.split(part).length === 2)) {
    throw new CannotTell("script.md does not show fleet, custody and participants as plan.toml has them");
  }
}
