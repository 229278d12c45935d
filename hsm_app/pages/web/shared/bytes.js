// Bytes, texts and hashes, and the two ways in which a check can end other than well.

/** A check failed: `why` is for people. */
export class Refused extends Error {}

/** A text that a parser reads, but that two parsers could read differently. */
export class Ambiguous extends Refused {}

/** This browser, or what is at hand, cannot tell. It is not a failure, and never a success. */
export class CannotTell extends Error {}

export const utf8 = (text) => new TextEncoder().encode(text);

export function textOf(bytes, what) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Refused(`${what} is not UTF-8 text`);
  }
}

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function unhex(text, length, what) {
  if (typeof text !== "string" || text.length !== 2 * length || !/^[0-9a-f]*$/.test(text)) {
    throw new Refused(`${what} is not ${length} bytes in hexadecimal`);
  }
  return Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
}

const toBase64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));

/** RFC 4648 section 4, and one encoding of each value only. */
export function unbase64(text, what) {
  let bytes = new Uint8Array();
  try {
    bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    // An empty value is written as nothing, so the comparison below refuses this text.
  }
  if (toBase64(bytes) !== text) throw new Refused(`${what} is not canonical base64`);
  return bytes;
}

export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export const isEqual = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);

export async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** What Python's and other writers of ASCII make of it: the same text, with every other character escaped. */
export const inAscii = (json) =>
  json.replace(/[\x7f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);

const OUTSIDE_STRINGS = /("(?:[^"\\]|\\.)*")|[ \t\r\n]+/g;

/** Strict JSON: a text that two parsers could read differently (a name twice, other escapes, 1.0) is refused. */
export function strictJson(text, what) {
  let value, plain;
  try {
    value = JSON.parse(text);
    plain = JSON.stringify(value); // which gives up on what is nested too deeply
  } catch {
    throw new Refused(`${what} is not JSON`);
  }
  if (![plain, inAscii(plain)].includes(text.replace(OUTSIDE_STRINGS, "$1"))) {
    throw new Ambiguous(`${what} is not written in its plain form: it could be read in two ways`);
  }
  return value;
}
