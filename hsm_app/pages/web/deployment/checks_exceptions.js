// The check of what went otherwise than the script: exceptions, objections, interruptions, and whether all are told.
import { CannotTell, Refused } from "./bytes.js";
import { OBJECTS, whole } from "./people.js";
import { words } from "./shapes.js";

export const SHOWN = 300; // characters of a reason
const AFTER_ANOTHER_ANSWER = ["exception", "paused", "resumed"];

export async function exceptions(evidence) {
  const { entries, begin } = evidence;
  checkTold(entries);
  const short = (value) => words(value).slice(0, SHOWN);
  const found = entries
    .filter((entry) => entry.kind === "exception")
    .map(({ step, body }) => `step ${step}: ${short(body.what)} (${short(body.reason)})`);
  const people = await whole(evidence);
  for (const { person, state, objection } of people) {
    if (state === OBJECTS) found.push(`${person.name} (${person.role}) objects: ${short(objection)}`);
  }
  const breaks = entries.filter((entry) => entry.kind === "resumed").length;
  if (breaks) found.push(`the ceremony was interrupted ${breaks} times`);
  if (begin.kind !== "real") found.push("it was a rehearsal, on throw-away tokens: nothing of it is for real use");
  if (found.length) throw new CannotTell(found.join("; "));
  return "none";
}

/** A question of a script names the answer itself, at its end. */
export const fits = (asked, answer) => asked.endsWith(`: type ${answer}`) || asked.endsWith(`(${answer})`);

/** Whether question and answer of a record are text: null is no answer, whatever a script asks people to type. */
export const areTexts = ({ asked, answer }) => typeof asked === "string" && typeof answer === "string";

/** Refused where another answer than the script's, or a step left undone, is not told as that. */
function checkTold(entries) {
  let underWay = "";
  entries.slice(1).forEach((entry, before) => {
    checkNext(entries[before], entry.kind);
    if (entry.kind === "started" && underWay) {
      throw untold(entry, `step ${underWay} is not done, and nothing was resumed`);
    }
    if (entry.kind === "done" && underWay !== entry.step) throw untold(entry, "what is done was not under way");
    if (entry.kind === "started") underWay = entry.step;
    else if (["done", "resumed"].includes(entry.kind)) underWay = "";
  });
}

function checkNext(entry, following) {
  const isAnswer = entry.kind === "confirmed";
  const isRight = isAnswer && areTexts(entry.body) && fits(entry.body.asked, entry.body.answer);
  if (isAnswer && !isRight && !AFTER_ANOTHER_ANSWER.includes(following)) {
    throw untold(entry, "the answer is not the script's, and no exception follows");
  }
  if (entry.kind === "paused" && following !== "resumed") {
    throw untold(entry, "after this pause nobody resumed the ceremony");
  }
}

const untold = (entry, what) => new Refused(`transcript.jsonl: line ${entry.n + 1}: ${what}`);
