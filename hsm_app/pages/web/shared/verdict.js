// PASS, FAIL or NOT-PROVEN: how a check ends. NOT-PROVEN is no failure, and never counted as a pass.
import { CannotTell, Refused } from "./bytes.js";

export const PASS = "PASS";
export const FAIL = "FAIL";
export const NOT_PROVEN = "NOT-PROVEN";

/** Run a check that returns what to say when it passes. Only Refused and CannotTell are answers; the rest is a bug. */
export async function attempt(check) {
  try {
    return { outcome: PASS, why: await check() };
  } catch (error) {
    if (error instanceof Refused) return { outcome: FAIL, why: error.message };
    if (error instanceof CannotTell) return { outcome: NOT_PROVEN, why: error.message };
    throw error;
  }
}
