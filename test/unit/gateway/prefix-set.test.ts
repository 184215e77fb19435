import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { contains, containsRange, type Prefix, prefixRange } from "../../../src/base/address-range.ts";
import { IpAddress } from "../../../src/base/ip-address.ts";
import { prefixSet, rangeSet } from "../../../src/gateway/prefix-set.ts";

/** Few distinct values, so that prefixes often lie within each other, or touch. */
const addressArbitrary = fc
  .record({ length: fc.constantFrom(4, 16), first: fc.constantFrom(0, 10, 255), last: fc.nat({ max: 9 }) })
  .map(({ length, first, last }) => {
    const octets = new Uint8Array(length);
    octets[0] = first;
    octets[length - 1] = last === 9 ? 255 : last;
    if (first === 255) octets.fill(255, 1, length - 1);
    return IpAddress(octets);
  });

const prefixArbitrary: fc.Arbitrary<Prefix> = fc
  .tuple(addressArbitrary, fc.nat({ max: 8 }), fc.boolean())
  .map(([address, bits, isNarrow]) => {
    const length = isNarrow ? address.length * 8 - bits : bits;
    return { address: prefixRange({ address, bits: length }).start, bits: length };
  });

describe("sets of prefixes", () => {
  test("hold what some wider prefix holds, as comparing with each of them says", () => {
    fc.assert(
      fc.property(fc.array(prefixArbitrary, { maxLength: 6 }), prefixArbitrary, (prefixes, prefix) => {
        const expected = prefixes.some(
          (outer) => outer.bits < prefix.bits && containsRange(prefixRange(outer), prefixRange(prefix)),
        );
        expect(prefixSet(prefixes).holdsWider(prefix)).toBe(expected);
      }),
      { numRuns: 1000 },
    );
  });

  test("ranges hold the addresses that one of them holds", () => {
    fc.assert(
      fc.property(fc.array(prefixArbitrary, { maxLength: 6 }), addressArbitrary, (prefixes, address) => {
        const ranges = prefixes.map(prefixRange);
        expect(rangeSet(ranges)(address)).toBe(ranges.some((range) => contains(range, address)));
      }),
      { numRuns: 1000 },
    );
  });
});
