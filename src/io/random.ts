/** Random octets and fractions from the system's generator. */
import { randomBytes } from "node:crypto";
import type { RandomSource } from "../base/random.ts";

export function createSystemRandom(): RandomSource {
  return {
    publicBytes: octets,
    secretBytes: octets,
    fraction: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
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
