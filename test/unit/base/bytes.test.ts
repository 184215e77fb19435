import fc from "fast-check";
import { expect, test } from "vitest";
import { fromHex, toHex } from "../../../src/base/bytes.ts";

test("hexadecimal has two digits for each octet and reads back, however long it is", () => {
  const octets = fc.oneof(
    fc.uint8Array({ maxLength: 70 }),
    fc.uint8Array({ minLength: 1020, maxLength: 2060 }),
  );
  fc.assert(
    fc.property(octets, (bytes) => {
      expect(toHex(bytes)).toBe(Buffer.from(bytes).toString("hex"));
      expect(fromHex(toHex(bytes))).toEqual(bytes);
    }),
    { numRuns: 60 },
  );
  // More than a call can take as arguments.
  expect(toHex(new Uint8Array(300_000).fill(0x5a))).toBe("5a".repeat(300_000));
});
