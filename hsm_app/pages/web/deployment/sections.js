// The parts of the page that list something: checks' meaning, people, steps, tokens, files.
import { maybe } from "./evidence.js";
import { AGREES, BAD, OBJECTS, SILENT, UNTOLD } from "./people.js";
import { at, checkRow, counted, element } from "./show.js";
import { steps } from "./timeline.js";

export const WITH_OWN_ROOT = "log-inclusion"; // the check that asks for the reader's root of trust
const STATES = {
  [AGREES]: "pass", [OBJECTS]: "fail", [BAD]: "fail", [SILENT]: "doubt", [UNTOLD]: "doubt",
};

export function showPeople(people) {
  at("statements").replaceChildren(...people.map(({ number, person, state, objection, why }) => {
    const said = {
      [AGREES]: "agrees: the script was followed, without deception, and the record is true",
      [OBJECTS]: "objects",
    }[state] ?? state;
    const made = element(
      "li", `card ${STATES[state]}`,
      element("div", "head", element("h3", "", person.name), element("span", "soft", person.role)),
      element("p", `tally ${STATES[state]}`, said),
    );
    if (objection !== null) made.append(element("p", "quote", objection));
    if (why) made.append(element("p", "soft", why));
    made.append(element("p", "value soft", person.key));
    made.dataset.person = number;
    made.dataset.state = state;
    return made;
  }));
  at("people").hidden = !people.length;
}

export function showCeremony(evidence) {
  const entries = maybe(() => evidence.entries);
  at("ceremony").hidden = !entries;
  if (!entries) return;
  const titles = new Map((maybe(() => evidence.steps) ?? []).map((step) => [step.id, step]));
  const items = steps(entries, titles);
  at("steps").replaceChildren(...items);
  at("span").textContent = `${counted(items.length, "step")}, ${counted(entries.length, "line")} of the transcript.`;
  at("unfold").onclick = () => {
    const folded = [...at("steps").querySelectorAll(".step")];
    const isOpen = folded.every((one) => one.open);
    for (const one of folded) one.open = !isOpen;
    at("unfold").textContent = isOpen ? "Open all steps" : "Close all steps";
  };
}

function object({ role, attributes }) {
  const named = (value) =>
    Object.keys(attributes).filter((name) => attributes[name] === value).map((name) => name.slice(4));
  const kind = [attributes.CKA_CLASS, attributes.CKA_KEY_TYPE].filter(Boolean).join(", ");
  return element(
    "details", "",
    element("summary", "", element("strong", "", role || "an object of no role"), ` ${kind}`),
    element("p", "soft", `true: ${named(true).join(", ").toLowerCase() || "nothing"}`),
    element("p", "soft", `false: ${named(false).join(", ").toLowerCase() || "nothing"}`),
  );
}

export function showTokens(evidence) {
  const numbers = evidence.in("tokens").map((path) => Number(/[0-9]+/.exec(path)?.[0]));
  const records = numbers.map((number) => maybe(() => evidence.token(number))).filter(Boolean);
  at("tokens").replaceChildren(...records.map(({ token, objects }) => element(
    "li", "card plainly",
    element("div", "head", element("h3", "", token.label), element("span", "soft", `serial ${token.serial || "none"}`)),
    element("p", "soft", `${token.manufacturer}, ${token.model}`),
    element("p", "soft", `hardware ${token.hardware}, firmware ${token.firmware}`),
    ...objects.map(object),
  )));
  at("devices").hidden = !records.length;
}

function standing(path, digest, named, beside) {
  if (digest === undefined) return ["fail", "missing"];
  if (digest === named[path]) return ["pass", "as signed"];
  if (Object.hasOwn(named, path)) return ["fail", "not the signed file"];
  return beside.includes(path) ? ["", "beside the statement"] : ["doubt", "named by nobody"];
}

export function showFiles(evidence) {
  const named = maybe(() => evidence.statement)?.files ?? {};
  const paths = [...new Set([...Object.keys(named), ...evidence.files.keys()])].sort();
  at("files").replaceChildren(...paths.map((path) => {
    const link = element("a", "", path);
    link.href = `${evidence.base}${path}`;
    link.download = path.replaceAll("/", "-");
    const digest = evidence.digests.get(path);
    const [state, said] = standing(path, digest, named, evidence.forms.beside);
    const size = digest === undefined ? "" : `${evidence.file(path).length} bytes`;
    const made = element(
      "li", "", link, element("span", "soft", size), element("span", `tally ${state}`, said),
      element("span", "value", digest ?? ""),
    );
    made.dataset.path = path;
    return made;
  }));
  at("downloads").hidden = !paths.length;
}

function meaning({ says, is_silent_on: silent }) {
  return element(
    "details", "meaning",
    element("summary", "", "What it means"),
    element("p", "soft", element("strong", "", "A PASS means: "), says),
    element("p", "soft", element("strong", "", "It does not prove: "), silent),
  );
}

/** Show a check's verdict, in place of the one before. */
export function showCheck(check, verdict) {
  const row = checkRow(check.name, verdict);
  if (check.name === WITH_OWN_ROOT) {
    const link = element("a", "meaning soft", "Give a root of trust of yours");
    link.href = "#own-root";
    row.append(link);
  }
  row.append(meaning(check));
  const before = at("checks").querySelector(`[data-check="${CSS.escape(check.name)}"]`);
  if (before) before.replaceWith(row);
  else at("checks").append(row);
}
