import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { IpAddress } from "../../../src/base/ip-address.ts";
import { formatSelector, formatSelectors, parseSelector } from "../../../src/policy/selector-text.ts";
import {
  ANY_PORT,
  containsSelector,
  intersectSelector,
  narrow,
  narrowFirst,
  OPAQUE_PORT,
  pairsOverlap,
  type SelectorPair,
  sameSelector,
  selectorFromWire,
  selectorsFromWire,
  selectorToWire,
  withinSelectors,
} from "../../../src/policy/traffic-selector.ts";
import { matches, packetArbitrary, pairArbitrary, pairMatches, selectorArbitrary } from "./arbitraries.ts";

const read = (text: string) => parseSelector(text)!;
const list = (text: string) => text.split(" ").map(read);
const pair = (local: string, remote: string): SelectorPair => ({ local: list(local), remote: list(remote) });

describe("intersection and containment", () => {
  test("a packet matches the intersection exactly when it matches both selectors", () => {
    fc.assert(
      fc.property(selectorArbitrary, selectorArbitrary, packetArbitrary, (a, b, packet) => {
        const both = intersectSelector(a, b);
        const isIn = (one: typeof a) => matches(one, packet.local, packet.protocol, packet.localPort);
        expect(both !== undefined && isIn(both)).toBe(isIn(a) && isIn(b));
      }),
      { numRuns: 2000 },
    );
  });

  test("what a selector contains it intersects wholly", () => {
    fc.assert(
      fc.property(selectorArbitrary, selectorArbitrary, (a, b) => {
        const both = intersectSelector(a, b);
        expect(containsSelector(a, b)).toBe(both !== undefined && sameSelector(both, b));
      }),
      { numRuns: 2000 },
    );
  });

  test("pairs overlap exactly when some packet is in both", () => {
    fc.assert(
      fc.property(pairArbitrary, pairArbitrary, packetArbitrary, (a, b, packet) => {
        if (pairMatches(a, packet) && pairMatches(b, packet)) expect(pairsOverlap(a, b)).toBe(true);
      }),
    );
  });

  test("[SPD-02] ANY holds OPAQUE, a range of ports does not", () => {
    const any = read("10.0.0.0/8[tcp]");
    const opaque = read("10.1.0.0/16[tcp/opaque]");
    const range = read("10.0.0.0/8[tcp/0-65534]");
    expect(containsSelector(any, opaque)).toBe(true);
    expect(containsSelector(opaque, any)).toBe(false);
    expect(intersectSelector(any, opaque)?.ports).toEqual(OPAQUE_PORT);
    expect(intersectSelector(range, opaque)).toBeUndefined();
  });

  test.each([
    ["10.0.0.0/24 10.0.1.0/24", "10.0.0.0/23", true],
    ["10.0.0.0/24 10.0.2.0/24", "10.0.0.0/22", false],
    ["10.0.1.0/24 10.0.0.0/24", "10.0.0.128-10.0.1.127", true],
    ["10.0.0.0/24 10.0.1.0/24[tcp]", "10.0.0.0/23", false],
    ["10.0.0.0/24 10.0.1.0/24[tcp]", "10.0.0.0/23[tcp]", true],
    ["0.0.0.0/0", "255.255.255.255", true],
    ["10.0.0.0/24", "::/0", false],
  ])("the union of %s covers %s: %s", (outer, inner, expected) => {
    expect(withinSelectors(list(inner), list(outer))).toBe(expected);
  });
});

describe("narrowing", () => {
  test("[CHILD-03] the answer is a subset of offer and policy and holds all that both allow", () => {
    fc.assert(
      fc.property(pairArbitrary, pairArbitrary, packetArbitrary, (configured, offered, packet) => {
        const answer = narrow(configured, offered);
        const isAllowed = pairMatches(configured, packet) && pairMatches(offered, packet);
        expect(answer !== undefined && pairMatches(answer, packet)).toBe(isAllowed);
        if (answer === undefined) return;
        expect(withinSelectors(answer.local, offered.local)).toBe(true);
        expect(withinSelectors(answer.remote, configured.remote)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  test("[CHILD-03] the packet's own selector in front of an offer stays within the answer", () => {
    const answer = narrow(
      pair("10.2.0.0/16", "10.1.0.0/16"),
      pair("10.2.0.7[tcp/443] 10.0.0.0/8", "10.1.0.9[tcp/5000] 10.0.0.0/8"),
    );
    expect(formatSelectors(answer!.local)).toBe("10.2.0.0/16");
    expect(withinSelectors(list("10.2.0.7[tcp/443]"), answer!.local)).toBe(true);
    expect(withinSelectors(list("10.1.0.9[tcp/5000]"), answer!.remote)).toBe(true);
  });

  test("[CHILD-04] nothing acceptable on one side is no answer", () => {
    expect(narrow(pair("10.2.0.0/16", "10.1.0.0/16"), pair("10.2.0.0/16", "10.3.0.0/16"))).toBeUndefined();
    expect(
      narrow(pair("10.2.0.0/16[tcp]", "10.1.0.0/16"), pair("10.2.0.0/16[udp]", "10.1.0.0/16")),
    ).toBeUndefined();
  });

  test("selectors that another one holds are left out", () => {
    const answer = narrow(
      pair("10.0.0.0/8", "0.0.0.0/0"),
      pair("10.1.0.0/16 10.0.0.0/8 10.1.2.0/24", "10.9.0.0/16"),
    );
    expect(formatSelectors(answer!.local)).toBe("10.0.0.0/8");
  });

  test("no more selectors are answered than an SA has room for", () => {
    const many = Array.from({ length: 40 }, (_, i) => `10.${i}.0.0/24`).join(" ");
    expect(narrow(pair("10.0.0.0/8", "10.0.0.0/8"), pair(many, many))!.local).toHaveLength(32);
  });

  test("of several policies the one with the first selector answers, and more is possible", () => {
    const policies = [pair("10.2.0.0/16", "10.1.0.0/16"), pair("10.3.0.0/16", "10.1.0.0/16")];
    const chosen = narrowFirst(policies, pair("10.3.0.5 10.2.0.0/15", "10.1.0.1 10.1.0.0/16"));
    expect(chosen?.index).toBe(1);
    expect(formatSelectors(chosen!.selectors.local)).toBe("10.3.0.0/16");
    expect(chosen?.isMorePossible).toBe(true);
    expect(narrowFirst(policies, pair("10.2.0.0/16", "10.1.0.0/16"))).toMatchObject({
      index: 0,
      isMorePossible: false,
    });
    expect(narrowFirst(policies, pair("10.4.0.0/16", "10.1.0.0/16"))).toBeUndefined();
  });
});

describe("the wire form", () => {
  test("reads back what it writes", () => {
    fc.assert(
      fc.property(selectorArbitrary, (selector) => {
        expect(selectorFromWire(selectorToWire(selector))).toEqual(selector);
      }),
    );
  });

  const wire = selectorToWire(read("10.1.0.0/16[tcp/80-90]"));

  test("[CHILD-06] addresses or ports that start above their end are refused", () => {
    const reversed = { ...wire, startAddress: wire.endAddress, endAddress: wire.startAddress };
    expect(() => selectorFromWire(reversed)).toThrow(expect.objectContaining({ code: "WIRE_BAD_VALUE" }));
    expect(() => selectorFromWire({ ...wire, startPort: 91 })).toThrow(
      expect.objectContaining({ code: "WIRE_BAD_VALUE" }),
    );
    expect(selectorFromWire({ ...wire, startPort: 90 })?.ports).toEqual({ start: 90, end: 90 });
  });

  test("[CHILD-06] addresses of the wrong length are refused, unknown types take no part", () => {
    const long = new Uint8Array(16);
    expect(() => selectorFromWire({ ...wire, startAddress: long })).toThrow(
      expect.objectContaining({ code: "WIRE_BAD_LENGTH" }),
    );
    expect(() => selectorFromWire({ ...wire, type: 8 })).toThrow(
      expect.objectContaining({ code: "WIRE_BAD_LENGTH" }),
    );
    expect(selectorFromWire({ ...wire, type: 9 })).toBeUndefined();
    expect(selectorsFromWire([{ ...wire, type: 9 }, wire])).toHaveLength(1);
  });

  test("[CHILD-06] ports 65535 to 0 are OPAQUE, any other reversal is refused", () => {
    expect(selectorFromWire({ ...wire, startPort: 65535, endPort: 0 })?.ports).toEqual(OPAQUE_PORT);
    expect(() => selectorFromWire({ ...wire, startPort: 65535, endPort: 1 })).toThrow();
    expect(() => selectorFromWire({ ...wire, startPort: 65534, endPort: 0 })).toThrow();
  });

  test("[CHILD-06] ICMP type and code sit in the port fields", () => {
    const echo = selectorToWire(read("10.1.0.0/16[icmp/8]"));
    expect([echo.startPort, echo.endPort]).toEqual([0x0800, 0x08ff]);
    const needed = selectorToWire(read("10.1.0.0/16[icmp/3/4]"));
    expect([needed.startPort, needed.endPort]).toEqual([0x0304, 0x0304]);
  });
});

describe("the text form", () => {
  test("reads back what it writes", () => {
    fc.assert(
      fc.property(selectorArbitrary, (selector) => {
        expect(parseSelector(formatSelector(selector))).toEqual(selector);
      }),
      { numRuns: 1000 },
    );
  });

  test.each([
    "10.1.0.0/16",
    "10.1.0.0/16[tcp/443]",
    "10.1.0.1[udp/1024-65535]",
    "10.1.0.1-10.1.0.9[tcp]",
    "fd00::/8[icmpv6/128]",
    "10.1.0.0/16[icmp/3/4]",
    "10.1.0.0/16[icmp/3-4]",
    "10.1.0.0/16[tcp/opaque]",
    "10.1.0.0/16[any/opaque]",
    "10.1.0.0/16[99]",
  ])("%s is written as it was read", (text) => {
    expect(formatSelector(read(text))).toBe(text);
  });

  test.each([
    "",
    "10.1.0.0/33",
    "10.1.0.1/16",
    "10.1.0.0/16[",
    "10.1.0.0/16[tcp/]",
    "10.1.0.0/16[tcp/65536]",
    "10.1.0.0/16[tcp/90-80]",
    "10.1.0.0/16[256]",
    "10.1.0.0/16[tcp/80]x",
    "10.1.0.9-10.1.0.1",
    "10.1.0.1-fd00::1",
    "10.1.0.0/16[icmp/256]",
    "10.1.0.0/16[icmp/3/256]",
    "10.1.0.0/16[toString]",
  ])("%s is no selector", (text) => {
    expect(parseSelector(text)).toBeUndefined();
  });

  test("any protocol and all ports need no brackets", () => {
    expect(read("10.1.0.0/16")).toEqual({
      addresses: {
        start: IpAddress(Uint8Array.of(10, 1, 0, 0)),
        end: IpAddress(Uint8Array.of(10, 1, 255, 255)),
      },
      protocol: 0,
      ports: ANY_PORT,
    });
  });
});
