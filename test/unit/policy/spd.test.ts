import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parsePrefix, prefixRange } from "../../../src/base/address-range.ts";
import { parseIpAddress } from "../../../src/base/ip-address.ts";
import {
  KEY_PORT_ANY,
  KEY_PORT_OPAQUE,
  KEY_PROTOCOL_ANY,
  Key,
  matchesLocal,
  matchesRemote,
  type PacketKey,
} from "../../../src/policy/selector-record.ts";
import { parseSelector } from "../../../src/policy/selector-text.ts";
import {
  type CompiledSpd,
  compileSpd,
  firstPossibleEntry,
  lookupSpd,
  NO_POLICY,
  SPD_BYPASS,
  SPD_DISCARD,
  SPD_PROTECT,
  type SpdEntry,
  UNDECIDED,
} from "../../../src/policy/spd.ts";
import { orderSpd, type ProtectPolicy } from "../../../src/policy/spd-order.ts";
import { intersectSelector, type SelectorPair } from "../../../src/policy/traffic-selector.ts";
import { keyOf, type Packet, packetArbitrary, pairArbitrary, pairMatches } from "./arbitraries.ts";
import { drawing, keyWithin, SPD_SETS, worstWork } from "./spd-sets.ts";

const read = (text: string) => parseSelector(text)!;
const pair = (local: string, remote: string): SelectorPair => ({
  local: local.split(" ").map(read),
  remote: remote.split(" ").map(read),
});

function packet(local: string, remote: string, more: Partial<Packet> = {}): Packet {
  return {
    family: local.includes(":") ? 6 : 4,
    protocol: 6,
    local: parseIpAddress(local)!,
    remote: parseIpAddress(remote)!,
    localPort: 40000,
    remotePort: 443,
    ...more,
  };
}

function protect(index: number, selectors: SelectorPair): SpdEntry {
  return { action: "protect", selectors, policy: { name: `p${index}`, index } };
}

describe("lookup", () => {
  test("[SPD-01] the first entry that matches decides, as in a plain search of the list", () => {
    fc.assert(
      fc.property(
        fc.array(pairArbitrary, { maxLength: 8 }),
        fc.array(packetArbitrary, { minLength: 1, maxLength: 20 }),
        (pairs, packets) => {
          const compiled = compileSpd(pairs.map((selectors, i) => protect(i, selectors)));
          for (const one of packets) {
            const expected = pairs.findIndex((selectors) => pairMatches(selectors, one));
            expect(lookupSpd(compiled, keyOf(one))).toBe(expected);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("[SPD-01] PROTECT, BYPASS and DISCARD come out in the order of the list", () => {
    const compiled = compileSpd([
      { action: "bypass", selectors: pair("10.1.0.0/16", "10.1.0.0/16") },
      { action: "discard", selectors: pair("0.0.0.0/0", "10.99.0.0/16") },
      protect(5, pair("10.1.0.0/16", "10.0.0.0/8")),
    ]);
    const entryOf = (remote: string) => lookupSpd(compiled, keyOf(packet("10.1.0.1", remote)));
    expect(compiled.action[entryOf("10.1.2.3")]).toBe(SPD_BYPASS);
    expect(compiled.action[entryOf("10.99.2.3")]).toBe(SPD_DISCARD);
    expect(compiled.action[entryOf("10.2.2.3")]).toBe(SPD_PROTECT);
    expect(compiled.policy[entryOf("10.2.2.3")]).toBe(5);
    expect(compiled.policy[entryOf("10.99.2.3")]).toBe(NO_POLICY);
    expect(entryOf("11.0.0.1")).toBe(-1);
  });

  test("[SPD-02] protocol, ports, ICMP type and code and OPAQUE select", () => {
    const compiled = compileSpd([
      protect(0, pair("10.1.0.0/16[tcp/1000-40000]", "10.2.0.0/16[tcp/443]")),
      protect(1, pair("10.1.0.0/16[icmp/8]", "10.2.0.0/16[icmp/8]")),
      protect(2, pair("10.1.0.0/16[icmp/3/4]", "10.2.0.0/16")),
      protect(3, pair("10.1.0.0/16[udp/opaque]", "10.2.0.0/16")),
      protect(4, pair("fd01::/16", "fd02::/16[17]")),
    ]);
    const entryOf = (more: Partial<Packet>) =>
      lookupSpd(compiled, keyOf(packet("10.1.0.1", "10.2.0.1", more)));
    expect(entryOf({})).toBe(0);
    expect(entryOf({ localPort: 40001 })).toBe(-1);
    expect(entryOf({ localPort: 999 })).toBe(-1);
    expect(entryOf({ remotePort: 444 })).toBe(-1);
    expect(entryOf({ protocol: 17 })).toBe(-1);
    expect(entryOf({ protocol: 1, localPort: 0x0800, remotePort: 0x0800 })).toBe(1);
    expect(entryOf({ protocol: 1, localPort: 0x0304, remotePort: 0x0304 })).toBe(2);
    expect(entryOf({ protocol: 1, localPort: 0x0303, remotePort: 0x0303 })).toBe(-1);
    expect(entryOf({ protocol: 17, localPort: undefined, remotePort: undefined })).toBe(3);
    expect(lookupSpd(compiled, keyOf(packet("fd01::1", "fd02::1", { protocol: 17 })))).toBe(4);
  });

  test("[SPD-13] a packet without ports matches ANY and OPAQUE only", () => {
    const hidden = { localPort: undefined, remotePort: undefined };
    const entryOf = (remote: string) =>
      lookupSpd(
        compileSpd([protect(0, pair("10.1.0.0/16", remote))]),
        keyOf(packet("10.1.0.1", "10.2.0.1", hidden)),
      );
    expect(entryOf("10.2.0.0/16[tcp]")).toBe(0);
    expect(entryOf("10.2.0.0/16[tcp/opaque]")).toBe(0);
    expect(entryOf("10.2.0.0/16[tcp/0-65534]")).toBe(-1);
    expect(entryOf("10.2.0.0/16[tcp/443]")).toBe(-1);
  });

  test("works after a structured clone", () => {
    const compiled = structuredClone(
      compileSpd([protect(7, pair("10.1.0.0/16 fd01::/16", "10.2.0.0/16 fd02::/16"))]),
    );
    expect(lookupSpd(compiled, keyOf(packet("10.1.0.1", "10.2.0.1")))).toBe(0);
    expect(lookupSpd(compiled, keyOf(packet("fd01::1", "fd02::1")))).toBe(0);
    expect(lookupSpd(compiled, keyOf(packet("10.1.0.1", "10.3.0.1")))).toBe(-1);
  });

  test("the last addresses of both families belong to the last interval", () => {
    const compiled = compileSpd([protect(0, pair("0.0.0.0/0 ::/0", "255.255.255.255 ffff::/16"))]);
    expect(lookupSpd(compiled, keyOf(packet("10.1.0.1", "255.255.255.255")))).toBe(0);
    expect(lookupSpd(compiled, keyOf(packet("10.1.0.1", "255.255.255.254")))).toBe(-1);
    expect(lookupSpd(compiled, keyOf(packet("fd01::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")))).toBe(0);
  });

  test("[SPD-01] sets that are hard to search give what a plain search of the list gives", () => {
    const draw = drawing(7);
    for (const [name, set] of Object.entries(SPD_SETS))
      for (const count of [1, 2, 10, 333]) {
        const list = set(count);
        const compiled = compileSpd(list);
        for (let i = 0; i < 400; i++) {
          const key = keyWithin(list[draw(count)]!, draw);
          if (draw(3) === 0) key[Key.REMOTE_ADDRESS] = key[Key.REMOTE_ADDRESS]! + draw(3) - 1;
          if (draw(5) === 0) key[Key.REMOTE_PORT] = KEY_PORT_OPAQUE;
          expect(lookupSpd(compiled, key), `${name}, ${count} entries`).toBe(firstMatch(compiled, key));
        }
      }
  });

  test("[SPD-01] an entry of many selectors on both sides does not hide those after it", () => {
    const hosts = (prefix: string, count: number) =>
      Array.from({ length: count }, (_, i) => `${prefix}.${3 * i}`).join(" ");
    const compiled = compileSpd([
      protect(0, pair(hosts("10.1.0", 40), hosts("10.2.0", 40))),
      protect(1, pair("10.1.0.0/24", "10.2.0.0/24")),
    ]);
    const entryOf = (local: number, remote: number) =>
      lookupSpd(compiled, keyOf(packet(`10.1.0.${local}`, `10.2.0.${remote}`)));
    expect([entryOf(0, 0), entryOf(117, 117), entryOf(3, 60)]).toEqual([0, 0, 0]);
    expect([entryOf(1, 0), entryOf(0, 1), entryOf(118, 117), entryOf(120, 3)]).toEqual([1, 1, 1, 1]);
  });

  test("[SPD-13] the first entry that a fragment without ports could belong to, as in a plain search", () => {
    fc.assert(
      fc.property(
        fc.array(pairArbitrary, { maxLength: 8 }),
        fc.array(packetArbitrary, { minLength: 1, maxLength: 10 }),
        fc.boolean(),
        (pairs, packets, isProtocolHidden) => {
          const compiled = compileSpd(pairs.map((selectors, i) => protect(i, selectors)));
          for (const one of packets) {
            const key = keyOf(one);
            key[Key.LOCAL_PORT] = key[Key.REMOTE_PORT] = KEY_PORT_ANY;
            if (isProtocolHidden) key[Key.PROTOCOL] = KEY_PROTOCOL_ANY;
            const protocols = isProtocolHidden ? [1, 6, 17, 99] : [one.protocol];
            const ports = [undefined, 0, 1, 79, 80, 81, 443, 65534, 65535];
            const firsts = protocols.flatMap((protocol) =>
              ports.flatMap((localPort) =>
                ports.map((remotePort) =>
                  lookupSpd(compiled, keyOf({ ...one, protocol, localPort, remotePort })),
                ),
              ),
            );
            const matching = firsts.filter((entry) => entry >= 0);
            const expected = matching.length === 0 ? -1 : Math.min(...matching);
            expect([expected, UNDECIDED]).toContain(firstPossibleEntry(compiled, key));
          }
        },
      ),
      { numRuns: 200 },
    );
    const list = SPD_SETS["a port each, one network"]!(1000);
    const key = keyWithin(list[0]!, drawing(1));
    key[Key.REMOTE_PORT] = KEY_PORT_ANY;
    expect(firstPossibleEntry(compileSpd(list), key)).toBe(UNDECIDED);
    expect(firstPossibleEntry(compileSpd(list.slice(0, 20)), key)).toBe(0);
  });

  test("10,000 entries cost a few steps more than 10, whatever they are", () => {
    const most: Record<string, unknown> = {};
    for (const [name, set] of Object.entries(SPD_SETS)) {
      const few = worstWork(compileSpd(set(10)));
      const many = worstWork(compileSpd(set(10_000)));
      // Searching a list would look at a thousand times as many; a tree has its depth, the logarithm, for each field.
      if (many.steps > 3 * few.steps + 10 || many.candidates > 2 || many.words > 400_000) most[name] = many;
    }
    expect(most).toEqual({});
  });

  test("threads share a compiled SPD instead of copying it", () => {
    const compiled = compileSpd(SPD_SETS["both families"]!(20));
    const copy = structuredClone(compiled);
    expect(copy.ipv4.nodes.buffer).toBeInstanceOf(SharedArrayBuffer);
    for (const arrays of [compiled, compiled.selectors, compiled.ipv4, compiled.ipv6])
      for (const array of Object.values(arrays))
        if (ArrayBuffer.isView(array)) expect(array.buffer).toBeInstanceOf(SharedArrayBuffer);
    compiled.action[3] = SPD_DISCARD;
    expect(copy.action[3]).toBe(SPD_DISCARD);
  });
});

function firstMatch({ action, sides, selectors }: CompiledSpd, key: PacketKey): number {
  return Array.from(action, (_, entry) => entry).findIndex(
    (entry) =>
      matchesLocal(selectors, sides[4 * entry]!, sides[4 * entry + 1]!, key) &&
      matchesRemote(selectors, sides[4 * entry + 2]!, sides[4 * entry + 3]!, key),
  );
}

/** By trying all: a packet has one family and one protocol, and both sides of an entry ask for one. */
function somePacketMatches(a: SelectorPair, b: SelectorPair): boolean {
  const sides = (one: SelectorPair, other: SelectorPair, side: "local" | "remote") =>
    one[side].flatMap((x) => other[side].map((y) => intersectSelector(x, y))).filter((x) => x !== undefined);
  return sides(a, b, "local").some((local) =>
    sides(a, b, "remote").some(
      (remote) =>
        local.addresses.start.length === remote.addresses.start.length &&
        (local.protocol === 0 || remote.protocol === 0 || local.protocol === remote.protocol),
    ),
  );
}

describe("order", () => {
  const place = (line: number) => ({ file: "tungate.yaml", line });
  const child = (line: number, remote: string, priority = 0, local = "10.1.0.0/16"): ProtectPolicy => ({
    policy: { name: `c${line}`, index: line },
    selectors: pair(local, remote),
    priority,
    place: place(line),
  });
  const names = (children: readonly ProtectPolicy[]) =>
    orderSpd([], children).entries.map((entry) => entry.policy?.name ?? entry.action);

  test("[SPD-01] networks of the interface's own addresses are carried though link-local, others are not", () => {
    const inner = [prefixRange(parsePrefix("169.254.21.4/30")!)];
    const any = child(1, "0.0.0.0/0", 0, "0.0.0.0/0");
    const compiled = compileSpd(orderSpd([], [any], inner).entries);
    const decided = (to: string) =>
      orderSpd([], [any], inner).entries[lookupSpd(compiled, keyOf(packet("10.1.0.1", to)))]?.action;
    expect(decided("169.254.21.5")).toBe("protect");
    expect(decided("169.254.21.9")).toBe("discard");
    expect(decided("224.0.0.5")).toBe("discard");
    expect(decided("10.2.0.1")).toBe("protect");
    const narrow = orderSpd([], [child(1, "10.2.0.0/16")], inner).entries;
    expect(narrow.map(({ action }) => action)).toEqual(["discard", "protect"]);
  });

  test("policies come first, then children by priority, then the most specific", () => {
    const bypass: SpdEntry = { action: "bypass", selectors: pair("10.1.0.0/16", "10.1.0.0/16") };
    const { entries, overlaps } = orderSpd(
      [bypass],
      [child(1, "10.2.0.0/16", 0), child(2, "0.0.0.0/0", 5), child(3, "10.3.0.0/24", 0)],
    );
    expect(entries.map((entry) => entry.policy?.name ?? entry.action)).toEqual([
      "bypass",
      "discard",
      "c2",
      "c3",
      "c1",
    ]);
    expect(overlaps).toEqual([]);
  });

  test("children that overlap with equal priority are named, those of unequal priority are not", () => {
    const { overlaps } = orderSpd(
      [],
      [child(4, "10.2.0.0/16"), child(9, "10.2.3.0/24"), child(12, "10.3.0.0/16")],
    );
    expect(overlaps.map(({ first, second }) => [first.place.line, second.place.line])).toEqual([[4, 9]]);
    expect(orderSpd([], [child(4, "10.2.0.0/16"), child(9, "10.2.3.0/24", 1)]).overlaps).toEqual([]);
    expect(
      orderSpd([], [child(4, "10.2.0.0/16"), child(9, "10.2.0.0/16", 0, "10.9.0.0/16")]).overlaps,
    ).toEqual([]);
    expect(orderSpd([], [child(4, "10.2.0.0/16[tcp/80]"), child(9, "10.2.0.0/16[tcp/81]")]).overlaps).toEqual(
      [],
    );
  });

  test("the overlaps are those that comparing every pair finds", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ selectors: pairArbitrary, priority: fc.nat({ max: 1 }) }), { maxLength: 7 }),
        (drawn) => {
          const children = drawn.map((one, i) => ({ ...child(i, "10.0.0.0/8"), ...one }));
          const expected = children.flatMap((first, i) =>
            children
              .slice(i + 1)
              .filter(
                (second) =>
                  first.priority === second.priority && somePacketMatches(first.selectors, second.selectors),
              )
              .map((second) => ({ first, second })),
          );
          expect(orderSpd([], children).overlaps).toEqual(expected);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("10,000 children on one network are compared without comparing every pair", () => {
    const ports = SPD_SETS["a port each, one network"]!(10_000).map(({ selectors }, line) => ({
      ...child(line, "10.0.0.0/8"),
      selectors,
    }));
    expect(orderSpd([], ports).overlaps).toEqual([]);
    const same = { ...child(77_777, "10.0.0.0/8"), selectors: ports[4321]!.selectors };
    const { overlaps } = orderSpd([], [...ports, same]);
    expect(overlaps.map(({ first, second }) => [first.place.line, second.place.line])).toEqual([
      [4321, 77_777],
    ]);
  });

  test("link-local and multicast are discarded unless a child names nothing else", () => {
    const { entries } = orderSpd(
      [],
      [child(1, "0.0.0.0/0 ::/0", 0, "0.0.0.0/0 ::/0"), child(2, "239.1.0.0/16", 1)],
    );
    const compiled = compileSpd(entries);
    const actionTo = (remote: string, local = "10.1.0.1") => {
      const entry = lookupSpd(compiled, keyOf(packet(local, remote)));
      return entry < 0 ? -1 : compiled.action[entry];
    };
    expect(actionTo("224.0.0.251")).toBe(SPD_DISCARD);
    expect(actionTo("239.1.2.3")).toBe(SPD_PROTECT);
    expect(actionTo("169.254.169.254")).toBe(SPD_DISCARD);
    expect(actionTo("255.255.255.255")).toBe(SPD_DISCARD);
    expect(actionTo("ff02::fb", "fd01::1")).toBe(SPD_DISCARD);
    expect(actionTo("fe80::1", "fd01::1")).toBe(SPD_DISCARD);
    expect(actionTo("223.255.255.255")).toBe(SPD_PROTECT);
    expect(names([child(2, "239.1.0.0/16")])).toEqual(["c2", "discard"]);
  });
});
