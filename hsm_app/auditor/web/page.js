// Shows what `look.js` found. Everything from the log goes into the page as text, never as markup.
import { CannotTell, Refused, hex } from "./bytes.js";
import { FAIL, NOT_PROVEN, PASS, look, overall } from "./look.js";
import { parseRoot } from "./trust.js";

const CLASS = { [PASS]: "pass", [FAIL]: "fail", [NOT_PROVEN]: "doubt" };
const SIGN = { added: "+", removed: "−", changed: "~" };
const at = (id) => document.getElementById(id);

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

const day = (text) => new Date(text).toISOString().slice(0, 10);
const moment = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ") + " UTC";
const short = (id) => `${id.slice(0, 8)}…${id.slice(-4)}`;
const counted = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;

async function fetchFile(path) {
  const answer = await fetch(path, { cache: "no-cache" });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Refused(`${path} cannot be read: ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

function checkList(list, verdicts) {
  list.replaceChildren(...Object.entries(verdicts).map(([check, { outcome, why }]) => {
    const row = element("li", "", element("span", `outcome ${CLASS[outcome]}`, outcome), element("span", "", check), element("span", "why", why));
    row.dataset.check = check;
    row.dataset.outcome = outcome;
    return row;
  }));
  return list;
}

const valueRow = (label, value) => element("span", "row", element("span", "label", label), element("span", "value", value));

function changeRow({ kind, name, before, after }) {
  const title = element("span", name.endsWith("key") || name.includes(", key ") ? "key" : "", name);
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
    const keys = of.filter((change) => / key|^key/.test(` ${change.name}`)).length;
    const said = isNew ? "is new" : isGone ? "is gone" : "changed";
    const head = element("p", "", element("strong", "", `Fleet ${fleet}`), ` ${said}: ${counted(keys, "key")}, ${counted(of.length - keys, "other value")}`);
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
  if (manifest) made.append(element("p", "soft", `Issued ${day(manifest.issued_at)}, valid ${day(manifest.not_before)} to ${day(manifest.not_after)}`), ...fleetChanges(epoch));
  const by = (who, ids) => `${who} ${ids.length ? ids.map(short).join(", ") : "not verified"}`;
  made.append(element("p", "soft", `Signed by ${by("auditor", signed.auditors)}; counter-signed by ${by("operator", signed.operators)}`));
  const details = element("details", "", element("summary", "", "Checks"), checkList(element("ul", "checks"), verdicts));
  details.open = worst !== PASS;
  made.append(details);
  made.dataset.outcome = worst;
  return made;
}

function facts(pairs) {
  at("facts").replaceChildren(...pairs.flatMap(([name, value]) => [element("dt", "", name), element("dd", /^[0-9a-f]{64}$/.test(value) ? "value" : "", value)]));
}

function banner(outcome, title, summary) {
  at("banner").className = `banner ${CLASS[outcome]}`;
  at("verdict").textContent = title;
  at("summary").textContent = summary;
  document.documentElement.dataset.verdict = outcome;
}

function firstWhy(found, outcome) {
  const named = [
    ...Object.entries(found.log).map(([check, verdict]) => ["", check, verdict]),
    ...found.epochs.flatMap((epoch) => Object.entries(epoch.verdicts).map(([check, verdict]) => [`epoch ${epoch.manifest?.epoch ?? "?"}, `, check, verdict])),
  ];
  // A first look is not consistent with anything, which never is the reason.
  const [where, check, verdict] = named.filter(([, check]) => outcome === FAIL || check !== "consistency").concat(named).find(([, , verdict]) => verdict.outcome === outcome);
  return `${where}${check}: ${verdict.why}.`;
}

function announce(outcome, found, isFirst) {
  const last = found.epochs.at(-1)?.manifest;
  if (outcome === FAIL) banner(FAIL, "Do not trust these keys", firstWhy(found, FAIL));
  else if (!last) banner(NOT_PROVEN, "Nothing is logged yet", "The log holds no keys of this namespace.");
  else if (outcome === NOT_PROVEN) banner(NOT_PROVEN, "Not everything could be checked", firstWhy(found, NOT_PROVEN));
  else banner(PASS, "Every check passed", `Epoch ${last.epoch} is in force. ${isFirst ? "This browser remembers the log from now on." : "History is as this browser saw it before."}`);
}

// What this browser saw before. Private windows may have no memory; then each look is a first one.
const placeOf = (root) => `hsm-vault-log ${root.origin}`;

function remembered(root) {
  try {
    return JSON.parse(localStorage.getItem(placeOf(root)));
  } catch {
    return null;
  }
}

function remember(root, checkpoint) {
  try {
    localStorage.setItem(placeOf(root), JSON.stringify({ size: checkpoint.size, root: hex(checkpoint.root) }));
  } catch {
    at("summary").append(" This browser keeps no memory of it.");
  }
}

async function show(rootBytes) {
  const root = await parseRoot(rootBytes);
  at("namespace").textContent = root.namespace;
  at("root-digest").textContent = root.digest;
  at("command").textContent = `hsm-vault log verify ${location.href.replace(/(index\.html)?([?#].*)?$/, "")} --root-of-trust root-of-trust.json`;
  const seen = remembered(root);
  const found = await look({ fetchFile, root, now: Date.now() / 1000, seen });
  const outcome = overall(found, !seen);
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
  announce(outcome, found, !seen);
  if (checkpoint && outcome === PASS) remember(root, checkpoint);
}

async function guarded(act) {
  try {
    if (!globalThis.crypto?.subtle) throw new CannotTell("This browser checks signatures only on pages that come over HTTPS");
    await act();
  } catch (error) {
    const isDoubt = error instanceof CannotTell;
    banner(isDoubt ? NOT_PROVEN : FAIL, isDoubt ? "Nothing could be checked" : "The log could not be checked", `${error.message}.`);
  }
}

async function offered() {
  const listed = JSON.parse(new TextDecoder().decode((await fetchFile("namespaces.json")) ?? new Uint8Array()) || "[]");
  if (!listed.length) throw new CannotTell("This site names no namespace: give a root of trust of your own below");
  const wanted = decodeURIComponent(location.hash.slice(1));
  const chosen = listed.find((one) => one.namespace === wanted) ?? listed[0];
  const links = listed.length < 2 ? [] : listed.map((one) => {
    const link = element("a", "", one.namespace);
    link.href = `#${encodeURIComponent(one.namespace)}`;
    if (one === chosen) link.setAttribute("aria-current", "page");
    return link;
  });
  at("namespaces").replaceChildren(...links);
  const bytes = await fetchFile(chosen.root_of_trust);
  if (!bytes) throw new Refused(`the root of trust ${chosen.root_of_trust} is missing`);
  await show(bytes);
}

at("own-root").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) guarded(async () => show(new Uint8Array(await file.arrayBuffer())));
});
addEventListener("hashchange", () => guarded(offered));
guarded(offered);
