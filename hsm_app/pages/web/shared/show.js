// What both pages show in one way. Everything that was fetched goes into the page as text, never as markup.
import { Refused } from "./bytes.js";
import { FAIL, NOT_PROVEN, PASS } from "./verdict.js";

export const CLASS = { [PASS]: "pass", [FAIL]: "fail", [NOT_PROVEN]: "doubt" };
export const at = (id) => document.getElementById(id);

export function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

export const moment = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ") + " UTC";
export const counted = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;

/** Nothing is taken from the browser's cache: servers whose files all have one time would say that nothing changed. */
export async function fetchFile(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Refused(`${path} cannot be read: ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

export function checkRow(check, { outcome, why }) {
  const said = element("span", `outcome ${CLASS[outcome]}`, outcome);
  const row = element("li", "", said, element("span", "", check), element("span", "why", why));
  row.dataset.check = check;
  row.dataset.outcome = outcome;
  return row;
}

export function checkList(list, verdicts) {
  list.replaceChildren(...Object.entries(verdicts).map(([check, verdict]) => checkRow(check, verdict)));
  return list;
}

export function facts(pairs) {
  const kind = (value) => (/^[0-9a-f]{64}$/.test(value) ? "value" : "");
  const rows = pairs.flatMap(([name, value]) => [element("dt", "", name), element("dd", kind(value), value)]);
  at("facts").replaceChildren(...rows);
}

export function banner(outcome, title, summary) {
  at("banner").className = `banner ${CLASS[outcome]}`;
  at("verdict").textContent = title;
  at("summary").textContent = summary;
  document.documentElement.dataset.verdict = outcome;
}
