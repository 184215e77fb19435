/** Ranges of addresses and the prefixes that make them up. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  type AddressRange,
  containsRange,
  formatAddressRange,
  intersectRange,
  parsePrefix,
  prefixRange,
  rangeToPrefixes,
} from "../../../src/base/address-range.ts";
import { compareIpAddress, IpAddress, nextIpAddress, parseIpAddress } from "../../../src/base/ip-address.ts";

const range = (start: string, end: string): AddressRange => ({
  start: parseIpAddress(start)!,
  end: parseIpAddress(end)!,
});

test.each(["10.1.0.1/16", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/08", "x/8"])(
  "refuses %j",
  (text) => {
    expect(parsePrefix(text)).toBeUndefined();
  },
);

test("a prefix spans from its address to the last one below it", () => {
  expect(prefixRange(parsePrefix("10.1.0.0/16")!)).toEqual(range("10.1.0.0", "10.1.255.255"));
  expect(prefixRange(parsePrefix("0.0.0.0/0")!)).toEqual(range("0.0.0.0", "255.255.255.255"));
  expect(prefixRange(parsePrefix("2001:db8::/33")!)).toEqual(
    range("2001:db8::", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"),
  );
});

test("a range that is no prefix is named by its ends", () => {
  expect(formatAddressRange(range("10.0.0.1", "10.0.0.6"))).toBe("10.0.0.1-10.0.0.6");
  expect(formatAddressRange(range("10.0.0.0", "10.0.0.255"))).toBe("10.0.0.0/24");
  expect(formatAddressRange(range("::1", "::1"))).toBe("::1");
});

const anyRange = fc
  .tuple(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 4, maxLength: 4 }))
  .map(([a, b]) => [IpAddress(a), IpAddress(b)].sort(compareIpAddress))
  .map(([start, end]): AddressRange => ({ start: start!, end: end! }));

test("prefixes cover a range without gap or overlap", () => {
  fc.assert(
    fc.property(anyRange, (whole) => {
      let next: IpAddress | undefined = whole.start;
      for (const prefix of rangeToPrefixes(whole)) {
        const part = prefixRange(prefix);
        expect(part.start).toEqual(next);
        next = nextIpAddress(part.end);
      }
      expect(next).toEqual(nextIpAddress(whole.end));
    }),
  );
});

test("an intersection lies in both, and is missing only when nothing is shared", () => {
  fc.assert(
    fc.property(anyRange, anyRange, (a, b) => {
      const shared = intersectRange(a, b);
      if (shared !== undefined) expect(containsRange(a, shared) && containsRange(b, shared)).toBe(true);
      else expect(compareIpAddress(a.end, b.start) < 0 || compareIpAddress(b.end, a.start) < 0).toBe(true);
    }),
  );
});
