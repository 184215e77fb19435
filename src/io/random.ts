/** Random octets and fractions from the system's generator. */
import { randomBytes } from "node:crypto";
import type { RandomSource } from "../base/random.ts";

/** Octets that are drawn at once, for a call of the system's generator costs more than what it gives. */
const POOL_OCTETS = 1024;

export function createSystemRandom(): RandomSource {
  let pool = randomBytes(0);
  let used = 0;
  /** Each octet is handed out once, and stays only with who has it. */
  function publicBytes(length: number): Uint8Array {
    if (length > POOL_OCTETS) return octets(length);
    if (used + length > pool.length) {
      pool = randomBytes(POOL_OCTETS);
      used = 0;
    }
    const given = pool.subarray(used, used + length);
    used += length;
    const copy = new Uint8Array(given);
    given.fill(0);
    return copy;
  }
  return {
    publicBytes,
    secretBytes: octets,
    fraction: () => Buffer.from(publicBytes(6)).readUIntBE(0, 6) / 2 ** 48,
  };
}

/** A copy of its own, so that wiping it leaves nothing behind in a shared pool. */
function octets(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const random = randomBytes(length);
  bytes.set(random);
  random.fill(0);
  return bytes;
}
