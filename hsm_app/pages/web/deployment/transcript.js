// The transcript: JSON lines in one encoding, each with the hash of the line before (`hsm_app.ceremony.transcript`).
import { Refused, hex, inAscii, sha256, textOf, utf8 } from "./bytes.js";
import { SHA256, anyMembers, members, oneOf, text, time, whole } from "./shapes.js";

const LIMIT = 32 * 1024 * 1024; // bytes
const LINE_LIMIT = 64 * 1024; // bytes
const DEEPEST = 100; // far beyond what is written, and below what any parser gives up on
const KINDS = ["begin", "started", "operation", "confirmed", "exception", "done", "paused", "resumed", "end"];
const STEP = /^[a-z0-9-]{0,40}$/;

const written = (value) => inAscii(JSON.stringify(value));

/** The one encoding: members sorted, no blanks, ASCII. Other numbers than whole ones are written in several ways. */
function canonical(value, which, depth = 0) {
  if (typeof value === "number") whole(value, `${which}: a number`);
  if (value === null || typeof value !== "object") return written(value);
  if (depth === DEEPEST) throw new Refused(`${which} is nested too deeply`);
  const inner = (one) => canonical(one, which, depth + 1);
  if (Array.isArray(value)) return `[${value.map(inner).join(",")}]`;
  const pairs = Object.keys(value).sort().map((name) => `${written(name)}:${inner(value[name])}`);
  return `{${pairs.join(",")}}`;
}

/** Return the entries, their chain walked. Refused names the line that does not hold. */
export async function parseTranscript(bytes) {
  if (bytes.length > LIMIT) throw new Refused("the transcript is longer than any");
  const lines = textOf(bytes, "the transcript").split("\n");
  if (lines.length < 2 || lines.pop() !== "") throw new Refused("the transcript is empty, or cut off within a line");
  const entries = [];
  let previous = "0".repeat(64);
  for (const [number, line] of lines.entries()) {
    const entry = parseLine(line, number);
    const which = `line ${number + 1} of the transcript`;
    if (entry.previous !== previous || entry.n !== number) {
      throw new Refused(`${which} does not follow the line before it`);
    }
    if (number && Date.parse(entry.time) < Date.parse(entries[number - 1].time)) {
      throw new Refused(`${which} is earlier than the line before it`);
    }
    entries.push(entry);
    previous = hex(await sha256(utf8(`${line}\n`)));
  }
  checkOrder(entries);
  return entries;
}

function parseLine(line, number) {
  const which = `line ${number + 1} of the transcript`;
  if (utf8(line).length > LINE_LIMIT) throw new Refused(`${which} is longer than any`);
  let entry;
  try {
    entry = JSON.parse(line);
  } catch {
    throw new Refused(`${which} is not JSON`);
  }
  members(entry, ["n", "time", "previous", "step", "kind", "body"], which);
  if (canonical(entry, which) !== line) throw new Refused(`${which} is not in the one encoding that it has`);
  text(entry.previous, SHA256, `${which}: previous`);
  text(entry.step, STEP, `${which}: step`);
  time(entry.time, `${which}: time`);
  oneOf(entry.kind, KINDS, `${which}: kind`);
  anyMembers(entry.body, `${which}: body`);
  return entry;
}

/** It begins once; a step is started before it is done, and done once; nothing follows the end. */
function checkOrder(entries) {
  const kinds = entries.map((entry) => entry.kind);
  if (kinds.lastIndexOf("begin") !== 0) throw new Refused("the transcript does not begin once, with its first line");
  if (kinds.slice(0, -1).includes("end")) throw new Refused("the transcript goes on after its end");
  const started = new Set(), done = new Set();
  for (const { n, step, kind } of entries) {
    if (kind === "started") started.add(step);
    if (step && done.has(step)) {
      throw new Refused(`line ${n + 1} of the transcript goes back to step ${step}, which was done`);
    }
    if (kind !== "done") continue;
    if (!started.has(step)) throw new Refused(`step ${step} is done and was never started`);
    done.add(step);
  }
}
