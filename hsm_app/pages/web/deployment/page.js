// Shows a deployment's evidence and what this browser finds when it checks it. All of it goes into the page as text.
import { CannotTell, Refused, strictJson, textOf } from "./bytes.js";
import { named, showBefore, summary, which } from "./before.js";
import { askedFor, fetchChain } from "./chain.js";
import { audit, verdictOn } from "./checks.js";
import { maybe } from "./evidence.js";
import { minute, peopleOf, showHead } from "./head.js";
import { NO_ROOT, ownRoot, showOutcomes } from "./own_root.js";
import { OBJECTS } from "./people.js";
import { WITH_OWN_ROOT, showCeremony, showCheck, showFiles, showPeople, showTokens } from "./sections.js";
import { words } from "./shapes.js";
import { at, banner, counted, element, fetchFile } from "./show.js";
import { FAIL, NOT_PROVEN, PASS } from "./verdict.js";

/** What a reader has to know although no check fails: what does not hold is in the banner, and at its check. */
function showTrouble(shown) {
  const found = shown.flatMap(({ evidence, people }, place) => {
    const where = place ? `In ${which(place)}: ` : "";
    return troubles(evidence, people).map(([what, said]) =>
      element("li", "", element("strong", "", where + what), ...(said ? [element("p", "quote", said)] : [])));
  });
  at("troubles").replaceChildren(...found);
  at("trouble").hidden = !found.length;
}

/** Return [what happened, what people say of it] for each objection, exception and interruption. */
function troubles(evidence, people) {
  const objecting = people.filter(({ state }) => state === OBJECTS);
  const found = objecting.map(({ person, objection }) => [`${person.name} (${person.role}) objects:`, objection]);
  for (const { step, kind, body, time } of maybe(() => evidence.entries) ?? []) {
    if (kind === "exception") {
      const said = `${words(body.what)} — the people in the room: ${words(body.reason) || "nothing"}`;
      found.push([`Exception in step ${step}:`, said]);
    } else if (kind === "resumed") found.push([`Interrupted, and resumed at ${minute(time)}.`, ""]);
  }
  return found;
}

function showOwnSteps(chain) {
  const site = location.href.replace(/(index\.html)?([?#].*)?$/, "");
  const places = chain.map(({ base }) => site + base).join(" --before ");
  at("command").textContent =
    `hsm-vault audit ${places} --root-of-trust root-of-trust.json --wheel hsm_vault.whl --explain`;
  const [evidence] = chain;
  at("statement-digest").textContent = evidence.statementDigest ?? "there is no statement";
  for (const [id, path] of [["script-digest", "script.md"], ["plan-digest", "plan.toml"]]) {
    at(id).textContent = `${path} ${evidence.digests.get(path) ?? "is missing"}`;
  }
}

/** The worst of all outcomes; the banner names the checks that it comes from. */
function announce(shown) {
  const failed = shown.flatMap(({ verdicts }, place) =>
    named(verdicts, FAIL).map((name) => ({ name: place ? `${name} of ${which(place)}` : name, ...verdicts[name] })));
  const isOpen = shown.some(({ verdicts }) => named(verdicts, NOT_PROVEN).length);
  if (failed.length) {
    const [first, ...more] = failed;
    const others = more.length ? ` Also: ${more.map(({ name }) => name).join(", ")}.` : "";
    banner(FAIL, "This evidence does not hold", `${first.name}: ${first.why}.${others}`);
  } else if (isOpen) {
    const each = shown.map(({ verdicts }, place) => (place ? `Of ${which(place)}: ` : "") + summary(verdicts));
    const more = at("trouble").hidden ? [] : ["What did not go by the script stands below."];
    banner(NOT_PROVEN, "Nothing failed, but not everything is proven", [...each, ...more].join(" "));
  } else {
    const count = shown.reduce((sum, { verdicts }) => sum + named(verdicts, PASS).length, 0);
    banner(PASS, "Every check passed", `${counted(count, "check")}, made by this browser.`);
  }
}

async function readForms() {
  if (!globalThis.crypto?.subtle) {
    throw new CannotTell("This browser checks signatures only on pages that come over HTTPS");
  }
  const bytes = await fetchFile("page.json");
  if (!bytes) throw new Refused("page.json is missing: the page was not copied whole");
  return strictJson(textOf(bytes, "page.json"), "page.json");
}

async function show() {
  const forms = await readForms(), asked = askedFor(location.search);
  at("older").hidden = !asked;
  at("newest").href = location.pathname;
  const chain = await fetchChain(fetchFile, forms, asked);
  showOwnSteps(chain);
  const shown = [];
  for (const evidence of chain) {
    shown.push({ evidence, verdicts: await audit(evidence, NO_ROOT), people: await peopleOf(evidence) });
  }
  const [{ evidence, verdicts, people }, ...before] = shown;
  showHead(evidence, people);
  showTrouble(shown);
  for (const check of forms.checks) showCheck(check, verdicts[check.name]);
  at("checking").hidden = false;
  showBefore(before);
  showPeople(people);
  showCeremony(evidence);
  showTokens(evidence);
  showFiles(evidence);
  at("sections").hidden = false;
  for (const link of at("sections").children) link.hidden = document.querySelector(link.hash).hidden;
  announce(shown);
  return shown;
}

/** Look into the log by what the reader gave; what else was found stays as it is. */
async function lookAgain(shown, files) {
  const own = await ownRoot(files);
  for (const { evidence, verdicts } of shown) {
    verdicts[WITH_OWN_ROOT] = await verdictOn(WITH_OWN_ROOT, evidence, own);
  }
  const [{ evidence, verdicts }, ...before] = shown;
  showOutcomes(shown.map((one, place) => [
    place ? `${WITH_OWN_ROOT} of ${which(place)}` : WITH_OWN_ROOT, one.verdicts[WITH_OWN_ROOT],
  ]), own);
  showCheck(evidence.forms.checks.find(({ name }) => name === WITH_OWN_ROOT), verdicts[WITH_OWN_ROOT]);
  showBefore(before);
  announce(shown);
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
  const files = [...target.files];
  running = running.then(async (shown) => {
    await lookAgain(shown, files);
    return shown;
  });
  running.catch(giveUp);
});
