// Shows a deployment's evidence and what this browser finds when it checks it. All of it goes into the page as text.
import { CannotTell, Refused, strictJson, textOf } from "./bytes.js";
import { audit } from "./checks.js";
import { fetchEvidence } from "./evidence.js";
import { AGREES, BAD, OBJECTS, SILENT, UNTOLD, testimonies } from "./people.js";
import { words } from "./shapes.js";
import { at, banner, checkList, counted, element, facts, fetchFile } from "./show.js";
import { steps } from "./timeline.js";
import { FAIL, NOT_PROVEN, PASS } from "./verdict.js";

const STATES = { [AGREES]: "pass", [OBJECTS]: "fail", [BAD]: "fail", [SILENT]: "doubt", [UNTOLD]: "doubt" };
const CEREMONIES = { genesis: "Genesis: the fleet's first keys", "new-fleet": "A new fleet that takes over from an older one" };
const minute = (time) => `${time.slice(0, 16).replace("T", " ")} UTC`;

/** Give what a part of the evidence says, or null where it does not read: the checks say why. */
function maybe(get) {
  try {
    return get();
  } catch (error) {
    if (error instanceof Refused || error instanceof CannotTell) return null;
    throw error;
  }
}

function custodyMeaning(custody, plan) {
  if (custody === "sealed") return "sealed: no root key can leave its token, and no token can be added, ever; not even by all custodians together";
  if (custody !== "maintained") return words(custody);
  const who = plan ? `any ${plan.threshold} of the ${plan.custodians.length} custodians` : "a threshold of the custodians";
  return `maintained: ${who} together can add a token, and can therefore do anything with the fleet's keys`;
}

function kindMeaning(kind) {
  if (kind === "real") return "real";
  return kind === "rehearsal" ? "REHEARSAL, on throw-away tokens: nothing of it may be used for real" : words(kind);
}

function showHead(evidence) {
  const [entries, fleet, plan, manifest] = ["entries", "fleet", "plan", "manifest"].map((of) => maybe(() => evidence[of]));
  const begin = entries?.[0].body ?? {};
  at("rehearsal").hidden = begin.kind !== "rehearsal" && plan?.kind !== "rehearsal";
  const name = fleet?.fleet ?? plan?.fleet;
  if (name) {
    at("fleet").textContent = `Fleet ${name}`;
    document.title = `${at("rehearsal").hidden ? "" : "REHEARSAL: "}How the keys of ${name} were made`;
  }
  const custody = fleet?.custody ?? begin.custody;
  const levels = Object.entries(fleet?.assurance ?? {}).map(([axis, level]) => `${axis.replaceAll("_", " ")} ${words(level)}`);
  const rows = [
    entries && ["When", `${minute(entries[0].time)} to ${minute(entries.at(-1).time)}`],
    entries && ["Ceremony", CEREMONIES[begin.ceremony] ?? words(begin.ceremony)],
    entries && ["Kind", kindMeaning(begin.kind)],
    custody && ["Custody", custodyMeaning(custody, plan)],
    fleet && ["Tokens", String(evidence.replicas.length)],
    levels.length && ["Assurance", levels.join("; ")],
    manifest && ["Published in", `${manifest.namespace}, epoch ${manifest.epoch}`],
  ];
  facts(rows.filter(Boolean));
  at("about").hidden = !rows.some(Boolean);
}

function showTrouble(evidence, people) {
  const entries = maybe(() => evidence.entries) ?? [];
  const found = people
    .filter(({ state }) => state === OBJECTS || state === BAD)
    .map(({ person, state, objection, why }) => {
      const who = state === OBJECTS ? `${person.name} (${person.role}) objects:` : `What is signed as ${person.name}'s does not hold:`;
      return element("li", "", element("strong", "", who), element("p", "quote", objection ?? why));
    });
  for (const { step, kind, body, time } of entries) {
    if (kind === "exception") {
      const said = `${words(body.what)} — the people in the room: ${words(body.reason) || "nothing"}`;
      found.push(element("li", "", element("strong", "", `Exception in step ${step}:`), element("p", "quote", said)));
    } else if (kind === "resumed") {
      found.push(element("li", "", element("strong", "", `Interrupted, and resumed at ${minute(time)}.`)));
    }
  }
  at("troubles").replaceChildren(...found);
  at("trouble").hidden = !found.length;
}

function showPeople(people) {
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

function showCeremony(evidence) {
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
  const named = (value) => Object.keys(attributes).filter((name) => attributes[name] === value).map((name) => name.slice(4));
  const kind = [attributes.CKA_CLASS, attributes.CKA_KEY_TYPE].filter(Boolean).join(", ");
  return element(
    "details", "",
    element("summary", "", element("strong", "", role || "an object of no role"), ` ${kind}`),
    element("p", "soft", `is: ${named(true).join(", ").toLowerCase() || "nothing"}`),
    element("p", "soft", `is not: ${named(false).join(", ").toLowerCase() || "nothing"}`),
  );
}

function showTokens(evidence) {
  const records = evidence.in("tokens").map((path) => maybe(() => evidence.token(Number(/[0-9]+/.exec(path)?.[0])))).filter(Boolean);
  at("tokens").replaceChildren(...records.map(({ token, objects }) => element(
    "li", "card plainly",
    element("div", "head", element("h3", "", token.label), element("span", "soft", `serial ${token.serial || "none"}`)),
    element("p", "soft", `${token.manufacturer}, ${token.model}; hardware ${token.hardware}, firmware ${token.firmware}`),
    ...objects.map(object),
  )));
  at("devices").hidden = !records.length;
}

function showFiles(evidence) {
  const named = maybe(() => evidence.statement)?.files ?? {};
  const beside = evidence.forms.beside;
  const paths = [...new Set([...Object.keys(named), ...evidence.files.keys()])].sort();
  at("files").replaceChildren(...paths.map((path) => {
    const link = element("a", "", path);
    link.href = `evidence/${path}`;
    link.download = path.replaceAll("/", "-");
    const digest = evidence.digests.get(path);
    const [state, said] =
      digest === undefined ? ["fail", "missing"]
      : Object.hasOwn(named, path) ? (digest === named[path] ? ["pass", "as signed"] : ["fail", "not the file that was signed"])
      : beside.includes(path) ? ["", "beside the statement"] : ["doubt", "named by nobody"];
    const size = digest === undefined ? "" : `${evidence.file(path).length} bytes`;
    const made = element(
      "li", "", link, element("span", "soft", size), element("span", `tally ${state}`, said), element("span", "value", digest ?? ""),
    );
    made.dataset.path = path;
    return made;
  }));
  at("downloads").hidden = !paths.length;
}

function showMeaning(forms) {
  for (const { name, says, is_silent_on: silent } of forms.checks) {
    const row = at("checks").querySelector(`[data-check="${CSS.escape(name)}"]`);
    row.append(element(
      "details", "meaning",
      element("summary", "", "What it means"),
      element("p", "soft", element("strong", "", "A PASS means: "), says),
      element("p", "soft", element("strong", "", "It does not prove: "), silent),
    ));
  }
}

function showOwnSteps(evidence) {
  const site = location.href.replace(/(index\.html)?([?#].*)?$/, "");
  at("command").textContent = `hsm-vault audit ${site}evidence/ --root-of-trust root-of-trust.json --wheel hsm_vault.whl --explain`;
  at("statement-digest").textContent = evidence.statementDigest ?? "there is no statement";
  for (const [id, path] of [["script-digest", "script.md"], ["plan-digest", "plan.toml"]]) {
    at(id).textContent = `${path} ${evidence.digests.get(path) ?? "is missing"}`;
  }
}

/** The worst of all outcomes; the banner names the checks that it comes from. */
function announce(verdicts) {
  const named = (outcome) => Object.keys(verdicts).filter((name) => verdicts[name].outcome === outcome);
  const [failed, open, passed] = [FAIL, NOT_PROVEN, PASS].map(named);
  if (failed.length) {
    const [first, ...more] = failed;
    const others = more.length ? ` Also: ${more.join(", ")}.` : "";
    banner(FAIL, "This evidence does not hold", `${first}: ${verdicts[first].why}.${others}`);
  } else if (open.length) {
    const tally = `${passed.length} of ${passed.length + open.length} checks passed. Not proven: ${open.join(", ")}.`;
    const more = at("trouble").hidden ? "" : " What did not go by the script stands below.";
    banner(NOT_PROVEN, "Nothing failed, but not everything is proven", tally + more);
  } else banner(PASS, "Every check passed", `${counted(passed.length, "check")}, made by this browser.`);
}

async function show() {
  if (!globalThis.crypto?.subtle) throw new CannotTell("This browser checks signatures only on pages that come over HTTPS");
  const bytes = await fetchFile("page.json");
  if (!bytes) throw new Refused("page.json is missing: the page was not copied whole");
  const forms = strictJson(textOf(bytes, "page.json"), "page.json");
  const evidence = await fetchEvidence(fetchFile, forms);
  showOwnSteps(evidence);
  const verdicts = await audit(evidence);
  let people = [];
  try {
    people = await testimonies(evidence);
  } catch (error) {
    if (!(error instanceof Refused || error instanceof CannotTell)) throw error; // the checks say why there are none
  }
  showHead(evidence);
  showTrouble(evidence, people);
  checkList(at("checks"), verdicts);
  showMeaning(forms);
  at("checking").hidden = false;
  showPeople(people);
  showCeremony(evidence);
  showTokens(evidence);
  showFiles(evidence);
  at("sections").hidden = false;
  for (const link of at("sections").children) link.hidden = document.querySelector(link.hash).hidden;
  announce(verdicts);
}

try {
  await show();
} catch (error) {
  const isDoubt = error instanceof CannotTell;
  banner(isDoubt ? NOT_PROVEN : FAIL, isDoubt ? "Nothing could be checked" : "The evidence could not be checked", `${error.message}.`);
}
