import { expect, test } from "vitest";
import { toHex } from "../../../src/base/bytes.ts";
import { createSystemRandom } from "../../../src/io/random.ts";

test("no octet is handed out twice, whatever lengths are asked for", () => {
  const random = createSystemRandom();
  const given = new Set<string>();
  let asked = 0;
  for (const length of [8, 32, 1000, 1024, 1025, 5000, 16])
    for (let i = 0; i < 40; i++) {
      for (const bytes of [random.publicBytes(length), random.secretBytes(length)]) {
        expect(bytes).toHaveLength(length);
        // Memory of its own, which wiping does not share.
        expect(bytes.buffer.byteLength).toBe(length);
        given.add(toHex(bytes.subarray(0, 8)));
        asked++;
      }
    }
  expect(given.size).toBe(asked);
});

test("fractions lie in [0, 1) and are spread", () => {
  const random = createSystemRandom();
  const drawn = Array.from({ length: 2000 }, () => random.fraction());
  expect(drawn.every((one) => one >= 0 && one < 1)).toBe(true);
  for (const tenth of Array.from({ length: 10 }, (_, i) => i / 10))
    expect(drawn.filter((one) => one >= tenth && one < tenth + 0.1).length).toBeGreaterThan(100);
});
