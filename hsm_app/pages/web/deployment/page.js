// Shows a deployment's evidence and what this browser finds when it checks it. All of it goes into the page as text.
import { CannotTell, Refused, strictJson, textOf } from "./bytes.js";
import { audit, verdictOn } from "./checks.js";
import { fetchEvidence } from "./evidence.js";
import { NO_ROOT, ownRoot, showOutcome } from "./own_root.js";
import { AGREES, BAD, OBJECTS, SILENT, UNTOLD, testimonies } from "./people.js";
import {
  WITH_OWN_ROOT, maybe, showCeremony, showCheck, showFiles, showPeople, showTokens,
} from "./sections.js";
import { words } from "./shapes.js";
import { at, banner, counted, element, facts, fetchFile } from "./show.js";
import { FAIL, NOT_PROVEN, PASS } from "./verdict.js";

const CEREMONIES = {
  genesis: "Genesis: the fleet's first keys",
  "new-fleet": "A new fleet that takes over from an older one",
};
const minute = (time) => `${time.slice(0, 16).replace("T", " ")} UTC`;

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

/** How many participants agree, object, and so on. */
function tally(people) {
  const count = (state) => people.filter((one) => one.state === state).length;
  const agree = `${count(AGREES)} of ${people.length} agree`;
  const more = [OBJECTS, BAD, SILENT, UNTOLD].filter(count).map((state) => `${state}: ${count(state)}`);
  return [agree, ...more].join("; ");
}

function showHead(evidence, people) {
  const parts = ["entries", "fleet", "plan", "manifest"];
  const [entries, fleet, plan, manifest] = parts.map((part) => maybe(() => evidence[part]));
  const begin = entries?.[0].body ?? {};
  at("rehearsal").hidden = begin.kind !== "rehearsal" && plan?.kind !== "rehearsal";
  const name = fleet?.fleet ?? plan?.fleet;
  if (name) {
    at("fleet").textContent = `Fleet ${name}`;
    document.title = `${at("rehearsal").hidden ? "" : "REHEARSAL: "}How the keys of ${name} were made`;
  }
  const custody = fleet?.custody ?? begin.custody;
  const level = ([axis, of]) => `${axis.replaceAll("_", " ")} ${words(of)}`;
  const levels = Object.entries(fleet?.assurance ?? {}).map(level);
  const rows = [
    entries && ["When", `${minute(entries[0].time)} to ${minute(entries.at(-1).time)}`],
    entries && ["Ceremony", CEREMONIES[begin.ceremony] ?? words(begin.ceremony)],
    entries && ["Kind", kindMeaning(begin.kind)],
    custody && ["Custody", custodyMeaning(custody, plan)],
    people.length && ["Participants", tally(people)],
    fleet && ["Tokens", String(evidence.replicas.length)],
    levels.length && ["Assurance", levels.join("; ")],
    manifest && ["Published in", `${manifest.namespace}, epoch ${manifest.epoch}`],
  ];
  facts(rows.filter(Boolean));
  at("about").hidden = !rows.some(Boolean);
}

/** What a reader has to know although no check fails: what does not hold is in the banner, and at its check. */
function showTrouble(evidence, people) {
  const entries = maybe(() => evidence.entries) ?? [];
  const objecting = people.filter(({ state }) => state === OBJECTS);
  const found = objecting.map(({ person, objection }) => {
    const who = element("strong", "", `${person.name} (${person.role}) objects:`);
    return element("li", "", who, element("p", "quote", objection));
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

function showOwnSteps(evidence) {
  const site = location.href.replace(/(index\.html)?([?#].*)?$/, "");
  const own = "--root-of-trust root-of-trust.json --wheel hsm_vault.whl --explain";
  at("command").textContent = `hsm-vault audit ${site}evidence/ ${own}`;
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
  if (!globalThis.crypto?.subtle) {
    throw new CannotTell("This browser checks signatures only on pages that come over HTTPS");
  }
  const bytes = await fetchFile("page.json");
  if (!bytes) throw new Refused("page.json is missing: the page was not copied whole");
  const forms = strictJson(textOf(bytes, "page.json"), "page.json");
  const evidence = await fetchEvidence(fetchFile, forms);
  showOwnSteps(evidence);
  const verdicts = await audit(evidence, NO_ROOT);
  let people = [];
  try {
    people = await testimonies(evidence);
  } catch (error) {
    if (!(error instanceof Refused || error instanceof CannotTell)) throw error; // the checks say why there are none
  }
  showHead(evidence, people);
  showTrouble(evidence, people);
  for (const check of forms.checks) showCheck(check, verdicts[check.name]);
  at("checking").hidden = false;
  showPeople(people);
  showCeremony(evidence);
  showTokens(evidence);
  showFiles(evidence);
  at("sections").hidden = false;
  for (const link of at("sections").children) link.hidden = document.querySelector(link.hash).hidden;
  announce(verdicts);
  return { evidence, verdicts };
}

/** Look into the log by what the reader gave; what else was found stays as it is. */
async function lookAgain({ evidence, verdicts }, file) {
  const own = await ownRoot(file);
  verdicts[WITH_OWN_ROOT] = await verdictOn(WITH_OWN_ROOT, evidence, own);
  showOutcome(WITH_OWN_ROOT, verdicts[WITH_OWN_ROOT], own);
  showCheck(evidence.forms.checks.find(({ name }) => name === WITH_OWN_ROOT), verdicts[WITH_OWN_ROOT]);
  announce(verdicts);
}

function giveUp(error) {
  const isDoubt = error instanceof CannotTell;
  const title = isDoubt ? "Nothing could be checked" : "The evidence could not be checked";
  const todo = isDoubt ? " Use hsm-vault audit." : "";
  banner(isDoubt ? NOT_PROVEN : FAIL, title, `${error.message}.${todo}`);
}

let running = show();
running.catch(giveUp);

/** One look after the other, so that what is shown last is what was asked for last. */
at("own-root").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  running = running.then(async (shown) => {
    await lookAgain(shown, file);
    return shown;
  });
  running.catch(giveUp);
});
