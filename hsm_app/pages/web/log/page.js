// Shows what `look.js` found. Everything from the log goes into the page as text, never as markup.
import { CannotTell, Refused, hex, strictJson, textOf } from "./bytes.js";
import { look, overall } from "./look.js";
import { CLASS, at, banner, checkList, counted, element, facts, fetchFile, moment } from "./show.js";
import { parseRoot } from "./trust.js";
import { FAIL, NOT_PROVEN, PASS } from "./verdict.js";

const SIGN = { added: "+", removed: "−", changed: "~" };
const TITLE = at("namespace").textContent;

const day = (text) => new Date(text).toISOString().slice(0, 10);
const short = (id) => `${id.slice(0, 8)}…${id.slice(-4)}`;

function valueRow(label, value) {
  return element("span", "row", element("span", "label", label), element("span", "value", value));
}

const isKey = ({ name }) => name.endsWith(" key") || name.includes(", key ");

function changeRow(change) {
  const { kind, name, before, after } = change;
  const title = element("span", isKey(change) ? "key" : "", name);
  const row = element("li", "", element("span", "sign", SIGN[kind]), title);
  if (kind !== "added" || !title.className) row.append(kind === "changed" ? "" : `: ${before ?? after}`);
  if (kind === "changed") row.append(valueRow("was", before), valueRow("now", after));
  else if (kind === "added" && title.className) row.append(valueRow("", after));
  return row;
}

function fleetChanges(epoch) {
  const blocks = [];
  for (const fleet of new Set(epoch.changes.map((change) => change.fleet))) {
    const of = epoch.changes.filter((change) => change.fleet === fleet);
    const isNew = of.every((change) => change.kind === "added");
    const isGone = of.every((change) => change.kind === "removed");
    const keys = of.filter(isKey).length;
    const said = isNew ? "is new" : isGone ? "is gone" : "changed";
    const counts = `${counted(keys, "key")}, ${counted(of.length - keys, "other value")}`;
    const head = element("p", "", element("strong", "", `Fleet ${fleet}`), ` ${said}: ${counts}`);
    const list = element("ul", "changes", ...of.map(changeRow));
    blocks.push(head, isNew || isGone ? element("details", "", element("summary", "", "All values"), list) : list);
  }
  return blocks.length ? blocks : [element("p", "soft", "No fleet changed; only the time of validity did.")];
}

function card(epoch) {
  const { manifest, verdicts, signed } = epoch;
  const outcomes = Object.values(verdicts).map((verdict) => verdict.outcome);
  const worst = [FAIL, NOT_PROVEN].find((outcome) => outcomes.includes(outcome)) ?? PASS;
  const passed = outcomes.filter((outcome) => outcome === PASS).length;
  const title = manifest ? `Epoch ${manifest.epoch}` : `Entry ${epoch.index}`;
  const tally = element("span", `tally ${CLASS[worst]}`, `${worst} · ${passed} of ${outcomes.length} checks`);
  const made = element("li", `card ${CLASS[worst]}`, element("div", "head", element("h3", "", title), tally));
  if (manifest) {
    const window = `valid ${day(manifest.not_before)} to ${day(manifest.not_after)}`;
    made.append(element("p", "soft", `Issued ${day(manifest.issued_at)}, ${window}`), ...fleetChanges(epoch));
  }
  const by = (who, ids) => `${who} ${ids.length ? ids.map(short).join(", ") : "not verified"}`;
  const counter = by("operator", signed.operators);
  made.append(element("p", "soft", `Signed by ${by("auditor", signed.auditors)}; counter-signed by ${counter}`));
  const list = checkList(element("ul", "checks"), verdicts);
  const details = element("details", "", element("summary", "", "Checks"), list);
  details.open = worst !== PASS;
  made.append(details);
  made.dataset.outcome = worst;
  return made;
}

function firstWhy(found, outcome, excused) {
  const named = [
    ...Object.entries(found.log).map(([check, verdict]) => ["", check, verdict]),
    ...found.epochs.flatMap(({ index, manifest, verdicts }) => {
      const where = manifest ? `epoch ${manifest.epoch}, ` : `entry ${index}, `;
      return Object.entries(verdicts).map(([check, verdict]) => [where, check, verdict]);
    }),
  ];
  const counts = ([, check, verdict]) => verdict.outcome === outcome && (outcome === FAIL || !excused.has(check));
  const [where, check, verdict] = named.find(counts);
  return `${where}${check}: ${verdict.why}.`;
}

/** Only a log that was read whole can be said to hold nothing. */
const isWhole = ({ proof, inclusion }) => [proof, inclusion].every((one) => one?.outcome === PASS);

function announce(outcome, found, excused) {
  const last = found.epochs.at(-1)?.manifest;
  const memory = excused.has("consistency")
    ? "This browser remembers the log from now on."
    : "History is as this browser saw it before.";
  const isFirst = [...excused].some((check) => found.log[check]?.outcome === NOT_PROVEN);
  const first = isFirst ? " that a first look can make" : "";
  if (outcome === FAIL) banner(FAIL, "Do not trust these keys", firstWhy(found, FAIL, excused));
  else if (!last && isWhole(found.log)) banner(NOT_PROVEN, "Nothing is logged yet", "The log holds no keys of this namespace.");
  else if (outcome === PASS) banner(PASS, `Every check passed${first}`, `Epoch ${last.epoch} is in force. ${memory}`);
  else banner(NOT_PROVEN, "Not everything could be checked", firstWhy(found, NOT_PROVEN, excused));
}

// What this browser saw before. Private windows may have no memory; then each look is a first one.
function remembered(place) {
  try {
    return JSON.parse(localStorage.getItem(place));
  } catch {
    return null;
  }
}

function remember(place, value) {
  try {
    localStorage.setItem(place, JSON.stringify(value));
  } catch {
    at("summary").append(" This browser keeps no memory of it.");
  }
}

/** A site that offers other roots of trust than before may be honest: only its reader can tell, by giving the file. */
function rootVerdict(root, known, isOwn) {
  if (isOwn) return { outcome: PASS, why: "given by you" };
  if (known === root.digest) return { outcome: PASS, why: "the one that this browser saw before" };
  if (known === null) return { outcome: NOT_PROVEN, why: "offered by this site: compare its SHA-256, below" };
  const todo = "compare its SHA-256, below, and give the file if it is right";
  return { outcome: NOT_PROVEN, why: `not the one that this browser saw before: ${todo}` };
}

/** Name the namespace that is looked at, in the heading and among the links. */
function head(namespace) {
  at("namespace").textContent = namespace;
  for (const link of at("namespaces").children) {
    if (link.textContent === namespace) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** `listed` is the namespace that the site says this root of trust is for; null for a reader's own. */
async function show(rootBytes, listed) {
  const isOwn = listed === null;
  const root = await parseRoot(rootBytes);
  if (!isOwn && root.namespace !== listed) throw new Refused(`its root of trust is for ${root.namespace}`);
  head(root.namespace);
  const logPlace = `hsm-vault-log ${root.origin}`, rootPlace = `hsm-vault-root ${root.namespace}`;
  at("root-digest").textContent = root.digest;
  const site = location.href.replace(/(index\.html)?([?#].*)?$/, "");
  at("command").textContent = `hsm-vault log verify ${site} --root-of-trust root-of-trust.json`;
  const seen = remembered(logPlace), known = remembered(rootPlace);
  const found = await look({ fetchFile, root, now: Date.now() / 1000, seen });
  found.log = { root: rootVerdict(root, known, isOwn), ...found.log };
  const excused = new Set([...(seen ? [] : ["consistency"]), ...(known === null ? ["root"] : [])]);
  const outcome = overall(found, excused);
  const { checkpoint } = found;
  facts([
    ["Name", root.origin],
    ...(checkpoint ? [["Entries", String(checkpoint.size)], ["Root", hex(checkpoint.root)]] : []),
    ...found.witnesses.map((one) => ["Witness", `${one.key}, ${moment(one.at)}`]),
    ["Root of trust", `version ${root.version}, until ${moment(root.expires)}`],
  ]);
  checkList(at("log-checks"), found.log);
  at("timeline").replaceChildren(...found.epochs.map(card).reverse());
  at("log").hidden = false;
  at("epochs").hidden = !found.epochs.length;
  announce(outcome, found, excused);
  if (outcome !== PASS) return;
  remember(logPlace, { size: checkpoint.size, root: hex(checkpoint.root) });
  remember(rootPlace, root.digest);
}

let running = Promise.resolve();

/** One look after the other, so that what is shown last is what was asked for last. */
function guarded(act) {
  running = running.then(() => attempted(act));
}

/** What an earlier look found goes first: it must not stand below the verdict on something else. */
function clear() {
  at("banner").className = "banner waiting";
  at("verdict").textContent = "Checking the log…";
  at("summary").textContent = "Your browser reads every entry and checks it.";
  for (const id of ["log", "epochs"]) at(id).hidden = true;
  for (const id of ["facts", "log-checks", "timeline", "command"]) at(id).replaceChildren();
  at("root-digest").textContent = "…";
  delete document.documentElement.dataset.verdict;
}

async function attempted(act) {
  clear();
  try {
    if (!globalThis.crypto?.subtle) {
      throw new CannotTell("This browser checks signatures only on pages that come over HTTPS");
    }
    await act();
  } catch (error) {
    const isDoubt = error instanceof CannotTell;
    const title = isDoubt ? "Nothing could be checked" : "The log could not be checked";
    banner(isDoubt ? NOT_PROVEN : FAIL, title, `${error.message}.`);
  }
}

async function listedNamespaces() {
  const bytes = await fetchFile("namespaces.json");
  if (!bytes?.length) return [];
  const listed = strictJson(textOf(bytes, "the list of namespaces"), "the list of namespaces");
  const isEntry = (one) => [one?.namespace, one?.root_of_trust].every((member) => typeof member === "string");
  if (!Array.isArray(listed) || !listed.every(isEntry)) throw new Refused("the list of namespaces does not read");
  return listed;
}

/** The namespace that the address names; empty for none. */
function wantedNamespace() {
  const text = location.hash.slice(1);
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function linkTo({ namespace }) {
  const link = element("a", "", namespace);
  link.href = `#${encodeURIComponent(namespace)}`;
  return link;
}

async function offered() {
  const listed = await listedNamespaces();
  if (!listed.length) throw new CannotTell("This site names no namespace: give a root of trust of your own below");
  const wanted = wantedNamespace();
  const chosen = wanted ? listed.find((one) => one.namespace === wanted) : listed[0];
  at("namespaces").replaceChildren(...(listed.length > 1 || !chosen ? listed.map(linkTo) : []));
  head(chosen?.namespace ?? TITLE); // a link's own words would stand there as if the site had said them
  // Another namespace's verdict must not answer for the one that a link asked for.
  if (!chosen) throw new CannotTell("This site names no namespace like this: choose one of those above");
  const bytes = await fetchFile(chosen.root_of_trust);
  if (!bytes) throw new Refused(`the root of trust ${chosen.root_of_trust} is missing`);
  await show(bytes, chosen.namespace);
}

at("own-root").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) guarded(async () => show(new Uint8Array(await file.arrayBuffer()), null));
});
addEventListener("hashchange", () => guarded(offered));
guarded(offered);
