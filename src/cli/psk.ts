/** Makes pre-shared keys. */
import { randomBytes } from "node:crypto";

/** 256 bits: as much as the strongest PRF takes, and beyond any guessing (RFC 7296 section 5). */
const KEY_OCTETS = 32;

/** A fresh key in base64, to be used as it is printed, as text. */
export function makePreSharedKey(): string {
  const key = randomBytes(KEY_OCTETS);
  const text = key.toString("base64");
  key.fill(0);
  return text;
}
