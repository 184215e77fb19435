/** A random source that a seed replays. */
import { createHash } from "node:crypto";
import type { RandomSource } from "../../../src/base/random.ts";

export function seededRandom(seed: string): RandomSource {
  let counter = 0;
  const bytes = (length: number): Uint8Array => {
    const output = new Uint8Array(length);
    for (let at = 0; at < length; at += 32) {
      const block = createHash("sha256").update(`${seed} ${counter++}`).digest();
      output.set(block.subarray(0, Math.min(32, length - at)), at);
    }
    return output;
  };
  return { publicBytes: bytes, secretBytes: bytes, fraction: () => bytes(1)[0]! / 256 };
}

/** Gives these octets in turn, the last ones for ever, and counts how often it was asked. */
export function scriptedRandom(...answers: readonly Uint8Array[]): RandomSource & { asked(): number } {
  let count = 0;
  const next = (length: number): Uint8Array => {
    const answer = answers[Math.min(count++, answers.length - 1)]!;
    if (answer.length !== length) throw new Error(`asked for ${length} octets, scripted ${answer.length}`);
    return Uint8Array.from(answer);
  };
  return { publicBytes: next, secretBytes: next, fraction: () => 0, asked: () => count };
}
