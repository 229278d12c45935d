// The ceremony as a list of steps, off the transcript's entries and the script's titles.
import { words } from "./shapes.js";
import { counted, element } from "./show.js";

const clock = (time) => time.slice(11, 19);

/** Return steps and interruptions in the order in which they began: {step, entries}; step is "" between steps. */
export function blocks(entries) {
  const found = [], open = new Map();
  let last = null;
  for (const entry of entries.filter(({ kind }) => kind !== "begin" && kind !== "end")) {
    const isBreak = entry.step === "";
    let block = isBreak ? last : open.get(entry.step);
    if (!block || (isBreak && block.entries.at(-1).kind === "done")) {
      block = { step: entry.step, entries: [] };
      found.push(block);
      if (!isBreak) open.set(entry.step, block);
    }
    block.entries.push(entry);
    last = block;
  }
  return found;
}

/** A template or another small object without the punctuation of JSON. */
function plainly(value) {
  if (value === null || typeof value !== "object") return words(value);
  if (Array.isArray(value)) return value.map(plainly).join(", ");
  const member = ([name, one]) => `${name} ${typeof one === "object" ? `{ ${plainly(one)} }` : words(one)}`;
  return Object.entries(value).map(member).join(", ");
}

const pairs = (body) =>
  element("dl", "said", ...Object.entries(body).flatMap(([name, value]) => [
    element("dt", "", name.replaceAll("_", " ")),
    element("dd", "value", plainly(value)),
  ]));

function operation({ time, body }) {
  const { token, call, mechanism, ...more } = body;
  const known = [token, call, mechanism].filter((one) => one !== undefined).map(words);
  const head = element("summary", "", element("span", "when", clock(time)), ` ${known.join(" · ")}`);
  if (!Object.keys(more).length) return element("p", "call", ...head.childNodes);
  return element("details", "call", head, pairs(more));
}

function confirmed({ time, body }) {
  const answer = element("strong", "", words(body.answer));
  return element("li", "", element("span", "when", clock(time)), ` ${words(body.asked)} → `, answer);
}

function sheet({ time, body }) {
  return element(
    "div", "sheet",
    element("strong", "", `Exception sheet, ${clock(time)}`),
    element("p", "", words(body.what)),
    element("p", "", `What the people in the room say: ${words(body.reason) || "nothing"}`),
  );
}

const INTERRUPTIONS = { paused: "Paused", resumed: "Interrupted, and resumed" };

function interruption({ kind, time }) {
  return element("div", "sheet", element("strong", "", `${INTERRUPTIONS[kind]} at ${time.replace("T", " ")}`));
}

function badges(of) {
  const made = [];
  const badge = (entries, what, className = "") => {
    if (entries?.length) made.push(element("span", `badge ${className}`, counted(entries.length, what)));
  };
  badge(of.confirmed, "answer");
  badge(of.operation, "operation");
  badge(of.exception, "exception", "bad");
  badge(of.resumed, "interruption", "bad");
  if (!of.done) made.push(element("span", "badge bad", "not done"));
  return made;
}

/** Return the list's items. `titles` are the script's steps by id; a step that the script does not have says so. */
export function steps(entries, titles) {
  return blocks(entries).map(({ step, entries: own }) => {
    if (!step) return element("li", "", ...own.map(interruption));
    const of = grouped(own);
    const title = titles.get(step);
    const name = title ? `${title.number}. ${title.title}` : `${step} (no step of the script)`;
    const span = [own[0], own.at(-1)].map(({ time }) => clock(time)).join("–");
    const head = element("summary", "", element("span", "name", name), element("span", "when", span), ...badges(of));
    const made = element("details", "step", head);
    if (title) made.append(element("p", "soft", `Who: ${title.roles}`));
    made.append(...own.filter(({ kind }) => kind === "exception").map(sheet));
    made.append(...own.filter(({ kind }) => kind in INTERRUPTIONS).map(interruption));
    if (of.confirmed) made.append(element("ul", "answers", ...of.confirmed.map(confirmed)));
    if (of.operation) {
      const count = element("summary", "", `${counted(of.operation.length, "operation")} of the tokens`);
      made.append(element("details", "", count, ...of.operation.map(operation)));
    }
    const results = of.done?.[0].body ?? {};
    if (Object.keys(results).length) made.append(element("p", "soft", "Recorded:"), pairs(results));
    made.open = Boolean(of.exception || of.resumed || !of.done);
    const item = element("li", made.open ? "bad" : "", made);
    item.dataset.step = step;
    return item;
  });
}

function grouped(entries) {
  const of = {};
  for (const entry of entries) (of[entry.kind] ??= []).push(entry);
  return of;
}
