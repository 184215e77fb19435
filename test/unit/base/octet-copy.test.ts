import fc from "fast-check";
import { expect, test } from "vitest";
import { OctetCopy } from "../../../src/base/octet-copy.ts";

test("exactly the octets asked for are copied, whatever arenas came before", () => {
  const copy = new OctetCopy();
  const arena = fc.uint8Array({ minLength: 40, maxLength: 60 });
  const place = fc.integer({ min: 0, max: 20 });
  fc.assert(
    fc.property(arena, arena, place, place, place, fc.boolean(), (from, to, at, toAt, length, isView) => {
      const target = isView ? new Uint8Array(to.buffer, to.byteOffset + 2, to.length - 2) : to;
      const expected = target.slice();
      expected.set(from.slice(at, at + length), toAt);
      copy.run(from, at, target, toAt, length);
      expect(target).toEqual(expected);
      copy.run(from, at, target, toAt, length);
      expect(target).toEqual(expected);
    }),
  );
});
