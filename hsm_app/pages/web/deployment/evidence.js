// The files of one deployment's evidence, each read when a check first needs it. Nothing in them is trusted.
import { CannotTell, Refused, hex, sha256 } from "./bytes.js";
import { parseCustody, parseSoftware, parseStatement, parseToken } from "./documents.js";
import { parseFleet, parseManifest } from "./fleet.js";
import { REPLACEMENT, checkPrinted, parsePlan, parseScript } from "./plan.js";
import { parseTranscript } from "./transcript.js";

/** Give what a part of the evidence says, or null where it does not read: the checks say why. */
export function maybe(get) {
  try {
    return get();
  } catch (error) {
    if (error instanceof Refused || error instanceof CannotTell) return null;
    throw error;
  }
}

/** Each member throws Refused or CannotTell when its file is missing or does not read.
 * `before` is what this site has as the evidence before it, null when it has none; that it is, is a check. */
export class Evidence {
  constructor(files, forms, base) {
    this.files = files;
    this.forms = forms;
    this.base = base;
    this.before = null;
    this.statementDigest = null;
    this.digests = new Map();
    this.read = new Map();
  }

  has(path) {
    return this.files.has(path);
  }

  file(path) {
    if (!this.has(path)) throw new Refused(`${path} is missing`);
    return this.files.get(path);
  }

  sha256(path) {
    this.file(path);
    return this.digests.get(path);
  }

  /** Parse a file once; a failure says which file it is about. */
  parsed(path, parse) {
    const bytes = this.file(path);
    if (!this.read.has(path)) this.read.set(path, settled(() => parse(bytes), path));
    const { value, error } = this.read.get(path);
    if (error) throw error;
    return value;
  }

  /** What takes a hash to read is read before the checks, so that they need not wait for each other. */
  async readAhead() {
    if (this.has("transcript.jsonl")) {
      const path = "transcript.jsonl";
      this.read.set(path, await settledLater(() => parseTranscript(this.file(path)), path));
    }
    if (this.has(this.forms.statement.file)) {
      const read = settled(() => this.statement, "");
      if (read.value) this.statementDigest = hex(await sha256(read.value.raw));
    }
  }

  get statement() {
    return this.parsed(this.forms.statement.file, (bytes) => parseStatement(bytes, this.forms.statement));
  }

  get plan() {
    return this.parsed("plan.toml", parsePlan);
  }

  /** CannotTell when the script that people had printed does not show the plan that was read. */
  checkPrinted() {
    checkPrinted(this.plan, this.file("script.md"));
  }

  get steps() {
    return this.parsed("script.md", parseScript);
  }

  get entries() {
    return this.parsed("transcript.jsonl", () => []);
  }

  get begin() {
    return this.entries[0].body;
  }

  done(step) {
    const found = this.entries.find((entry) => entry.kind === "done" && entry.step === step);
    if (!found) throw new Refused(`transcript.jsonl has no step ${step} that was done`);
    return found.body;
  }

  get fleet() {
    return this.parsed("fleet.json", parseFleet);
  }

  get replicas() {
    return this.fleet.groups.flatMap((group) => group.replicas);
  }

  /** Whether one token was replaced, in a fleet that was there before. */
  get isReplacement() {
    return this.plan.ceremony === REPLACEMENT;
  }

  /** The replicas whose tokens the ceremony made: all of a new fleet, one where a token was replaced. */
  get made() {
    if (!this.isReplacement) return this.replicas;
    const { replica: number } = this.plan;
    const made = this.replicas.filter(({ replica }) => replica === number);
    if (!made.length) throw new Refused(`fleet.json has no replica ${number}, whose token was replaced`);
    return made;
  }

  /** Whose signature is asked for, for people. */
  get signingToken() {
    return this.isReplacement ? "new token" : "first token";
  }

  get custody() {
    return this.parsed("custody.json", parseCustody);
  }

  get software() {
    return this.parsed("software.json", parseSoftware);
  }

  get manifest() {
    return this.parsed("manifest.json", parseManifest);
  }

  token(number) {
    const path = `tokens/${number}.json`;
    const record = this.parsed(path, parseToken);
    if (record.replica !== number) throw new Refused(`${path} is of token ${record.replica}`);
    return record;
  }

  in(directory) {
    return [...this.files.keys()].filter((path) => path.startsWith(`${directory}/`)).sort();
  }

  /** Refused when a directory holds a file that nobody would look at. */
  only(directory, expected) {
    const strange = this.in(directory).find((path) => !expected.includes(path));
    if (strange) throw new Refused(`${strange} is of nobody and nothing in the plan`);
  }
}

function named(error, path) {
  if (!(error instanceof Refused || error instanceof CannotTell)) throw error;
  if (path) error.message = `${path}: ${error.message}`;
  return { error };
}

function settled(act, path) {
  try {
    return { value: act() };
  } catch (error) {
    return named(error, path);
  }
}

/** Return {value} or {error}; an error says which file it is about. Bugs are thrown. */
export async function settledLater(act, path) {
  try {
    return { value: await act() };
  } catch (error) {
    return named(error, path);
  }
}
