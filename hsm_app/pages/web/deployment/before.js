// The evidence before the one that the page is about: where a token was replaced, back to the day the fleet was made.
import { viewOf } from "./chain.js";
import { ceremonyOf, isRehearsal, spanOf, tally } from "./head.js";
import { CLASS, at, checkList, counted, element } from "./show.js";
import { FAIL, NOT_PROVEN, PASS } from "./verdict.js";

/** Say for people which evidence of a chain is meant. */
export const which = (place) => (place === 1 ? "the evidence before it" : `the evidence ${place} steps before it`);

export const named = (verdicts, outcome) => Object.keys(verdicts).filter((name) => verdicts[name].outcome === outcome);

/** The worst outcome of one evidence's checks. */
const overall = (verdicts) => [FAIL, NOT_PROVEN].find((outcome) => named(verdicts, outcome).length) ?? PASS;

/** Return what one evidence comes to, in a line. */
export function summary(verdicts) {
  const [failed, open, passed] = [FAIL, NOT_PROVEN, PASS].map((outcome) => named(verdicts, outcome));
  const of = `${passed.length} of ${counted(Object.keys(verdicts).length, "check")} passed.`;
  const lists = [["Failed", failed], ["Not proven", open]].filter(([, names]) => names.length);
  return [of, ...lists.map(([what, names]) => `${what}: ${names.join(", ")}.`)].join(" ");
}

function card({ evidence, verdicts, people }, wasOpen) {
  const outcome = overall(verdicts);
  const title = ceremonyOf(evidence) ?? "Evidence whose transcript does not read";
  const checks = element("details", "", element("summary", "", "Each check"));
  checks.append(checkList(element("ul", "checks wide"), verdicts));
  checks.open = wasOpen ?? outcome === FAIL;
  const link = element("a", "soft", "Its ceremony, people, tokens and files");
  const made = element(
    "li", `card ${CLASS[outcome]}`,
    element("div", "head", element("h3", "", title), element("span", "soft", spanOf(evidence) ?? "")),
    element("p", `tally ${CLASS[outcome]}`, `${outcome}: ${summary(verdicts)}`),
    element("p", "soft", people.length ? `Participants: ${tally(people)}` : "Who took part cannot be read."),
    checks,
  );
  if (isRehearsal(evidence)) made.querySelector(".head").append(element("span", "badge bad", "Rehearsal"));
  made.dataset.before = evidence.base;
  if (evidence.statementDigest) {
    link.href = viewOf(evidence.statementDigest);
    made.append(element("p", "value soft", `statement ${evidence.statementDigest}`), link);
  }
  return made;
}

/** Show the evidence before, in place of what was shown of it; what a reader opened stays open. */
export function showBefore(shown) {
  const open = [...at("chain").children].map((one) => one.querySelector("details").open);
  at("chain").replaceChildren(...shown.map((one, place) => card(one, open[place])));
  at("before").hidden = !shown.length;
}
