/** Inputs that once failed or that reached something new in a decoder. */
import { expect, test } from "vitest";
import { readCorpus } from "./corpus.ts";
import { runAllDecoders } from "./decoders.ts";

const corpus = readCorpus();

test("there is a corpus, and its inputs differ in what they reach", () => {
  expect(corpus.length).toBeGreaterThan(30);
  expect(new Set(corpus.map(({ bytes }) => runAllDecoders(bytes))).size).toBeGreaterThan(corpus.length * 0.9);
});

test.each(corpus.map(({ name, bytes }) => [name, bytes] as const))("%s does no harm", (_name, bytes) => {
  expect(() => runAllDecoders(bytes)).not.toThrow();
  // Every prefix and every single damaged octet of it as well.
  for (let at = 0; at < Math.min(bytes.length, 400); at++) {
    runAllDecoders(bytes.subarray(0, at));
    const damaged = Uint8Array.from(bytes);
    damaged[at]! ^= 1 << (at & 7);
    runAllDecoders(damaged);
  }
});
