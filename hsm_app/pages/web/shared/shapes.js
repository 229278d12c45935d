// The shape of JSON documents: exactly these members, and values of the form that they should have.
import { Refused, strictJson, textOf } from "./bytes.js";

/** Read bytes, no more than `most` of them, as strict JSON. */
export function json(bytes, what, most = Infinity) {
  if (bytes.length > most) throw new Refused(`${what} has ${bytes.length} bytes, more than ${most}`);
  return strictJson(textOf(bytes, what), what);
}

export function members(value, names, what) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw new Refused(`${what} is no object`);
  const strange = Object.keys(value).find((name) => !names.includes(name));
  if (strange !== undefined) throw new Refused(`${what} has the unknown member ${strange.slice(0, 40)}`);
  const missing = names.find((name) => !Object.hasOwn(value, name));
  if (missing !== undefined) throw new Refused(`${what} lacks the member ${missing}`);
  return value;
}

/** An object whose members have names that nobody knows beforehand. */
export const anyMembers = (value, what) => members(value, Object.keys(value ?? {}), what);

export function list(value, what, least = 0, most = Infinity) {
  if (!Array.isArray(value)) throw new Refused(`${what} is no list`);
  if (value.length < least || value.length > most) throw new Refused(`${what} has too few items, or too many`);
  return value;
}

export function text(value, form, what) {
  if (typeof value !== "string" || !form.test(value)) throw new Refused(`${what} is not of its form`);
  return value;
}

export function whole(value, what, least = -Infinity, most = Infinity) {
  if (!Number.isSafeInteger(value)) throw new Refused(`${what} is no whole number`);
  if (value < least || value > most) throw new Refused(`${what} is too small, or too large`);
  return value;
}

export function oneOf(value, choices, what) {
  if (!choices.includes(value)) throw new Refused(`${what} is none of ${choices.join(", ")}`);
  return value;
}

/** A time in whole seconds, UTC, as documents have it; return POSIX seconds. */
export function time(value, what) {
  const at = Date.parse(text(value, /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$/, what));
  const isThere = at >= 0 && new Date(at).toISOString() === value.replace("Z", ".000Z");
  if (!isThere) throw new Refused(`${what} is not a time that exists`);
  return at / 1000;
}

/** A value of any kind as words for people; a record may hold an object where a text belongs. */
export const words = (value) => (typeof value === "string" ? value : (JSON.stringify(value) ?? "nothing"));

/** Say whether two JSON values are the same, in whatever order their members stand. */
export function isSame(a, b) {
  if (a === null || b === null || typeof a !== "object" || typeof b !== "object") return a === b;
  const names = Object.keys(a);
  return (
    Array.isArray(a) === Array.isArray(b) &&
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && isSame(a[name], b[name]))
  );
}

/** Refused when a value stands twice. */
export function distinct(values, what) {
  const twice = values.find((value, at) => values.indexOf(value) < at);
  if (twice !== undefined) throw new Refused(`${what} ${String(twice).slice(0, 80)} is there twice`);
}

export const CUSTODIES = ["sealed", "maintained"]; // of a fleet
export const WORD = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$/;
export const SHA256 = /^[0-9a-f]{64}$/;
export const NAMESPACE = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/;
export const NAME = /^[\p{L}\p{N}_](?:[\p{L}\p{N}_ .,'()-]{0,98}[\p{L}\p{N}_.)])?$/u;
