/** A seeded random source for simulations; never for anything else. */
import type { RandomSource } from "../../src/base/random.ts";

export interface SeededRandom extends RandomSource {
  /** A whole number in [0, below). */
  below(below: number): number;
  chance(probability: number): boolean;
}

/** Mulberry32: small, quick and the same everywhere. */
export function seededRandom(seed: number): SeededRandom {
  let state = (seed * 0x9e3779b9 + 0x6d2b79f5) >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
  const bytes = (length: number) => Uint8Array.from({ length }, () => Math.floor(next() * 256));
  return {
    publicBytes: bytes,
    secretBytes: bytes,
    fraction: next,
    below: (below) => Math.floor(next() * below),
    chance: (probability) => next() < probability,
  };
}
