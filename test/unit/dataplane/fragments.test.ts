/** Stateful fragment checking in both directions: later fragments go by the first one's ports (RFC 4301 section 7.3). */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat } from "../../../src/base/bytes.ts";
import type { DropReason } from "../../../src/dataplane/drop-reason.ts";
import {
  EARLY_FRAGMENT_AGE_MS,
  EARLY_FRAGMENT_OCTETS_MAX,
  EARLY_FRAGMENTS_MAX,
} from "../../../src/dataplane/early-fragments.ts";
import { FRAGMENT_AGE_MS, FRAGMENTED_PACKETS_MAX } from "../../../src/dataplane/fragment-table.ts";
import { Slot } from "../../../src/policy/sa-table.ts";
import { findBySpi, slotOffset } from "../../../src/policy/sad.ts";
import { createPacketFields, parseIpPacket } from "../../../src/wire/ip/ip-packet.ts";
import { extensionHeader } from "../wire/ip/packets.ts";
import { fragmentOf, fragmentsOf } from "./fragments.ts";
import {
  endpoint,
  type Gateway,
  installPair,
  makeGateway,
  makePair,
  selectors,
  send,
} from "./gateway-fixture.ts";
import { exchange } from "./memory-packet-io.ts";
import { type PacketOptions, packet } from "./packets.ts";
import { PlainSender } from "./plain-sender.ts";

const V4 = { source: "10.1.0.5", destination: "10.2.0.9" };
const V6 = { source: "fd01::5", destination: "fd02::9" };
const UDP = 17;
const TCP = 6;

/** Only UDP to port 2000 behind B is protected; nothing else passes. */
const NAMED = selectors("10.1.0.0/16, fd01::/32", "10.2.0.0/16[udp/2000], fd02::/32[udp/2000]");

function whole(options: Partial<PacketOptions> & typeof V4, length = 3000): Uint8Array {
  return packet({ protocol: UDP, ports: [1000, 2000], ...options, payload: new Uint8Array(length).fill(7) });
}

function turn(gateway: Gateway, at = 0): void {
  while (gateway.turn(at) > 0);
}

/** What B's host gets of packets that A's host sends. */
function carry(a: Gateway, b: Gateway, packets: readonly Uint8Array[], at = 0): Uint8Array[] {
  send(a, ...packets);
  turn(a, at);
  exchange(a.io, b.io);
  turn(b, at);
  return b.io.toHost[0]!.splice(0);
}

/** Packets that B's host gets of one that arrives. */
function arrive(b: Gateway, bytes: Uint8Array): number {
  b.io.arrive({ local: endpoint("198.51.100.2"), remote: endpoint("192.0.2.1"), tos: 0, bytes });
  turn(b);
  return b.io.toHost[0]!.splice(0).length;
}

describe("where a selector names a port", () => {
  test.each([
    ["IPv4", V4],
    ["IPv6", V6],
  ])("[SPD-13] %s: later fragments follow their first, through the same SA and both gateways", (_, flow) => {
    const { a, b } = makePair({ selectors: NAMED });
    const good = fragmentsOf(whole(flow), 7, 1200);
    const bad = fragmentsOf(whole({ ...flow, ports: [1000, 2001] }), 8, 1200);
    expect(good).toHaveLength(3);
    const mixed = good.flatMap((one, i) => [one, bad[i]!]);
    expect(carry(a, b, mixed)).toEqual(good);
    expect(a.allDrops()).toEqual({ noPolicy: 3 });
    expect(b.allDrops()).toEqual({});
  });

  test("[SPD-13] the way back follows likewise", () => {
    const { a, b } = makePair({ selectors: NAMED });
    const answer = fragmentsOf(
      whole({ source: "10.2.0.9", destination: "10.1.0.5", ports: [2000, 1000] }),
      7,
      800,
    );
    expect(carry(b, a, answer)).toEqual(answer);
  });

  test("[SPD-13] each of two SAs by port carries its own fragments", () => {
    const one = selectors("10.1.0.0/16", "10.2.0.0/16[udp/2000]");
    const other = selectors("10.1.0.0/16", "10.2.0.0/16[udp/3000]");
    const a = makeGateway({ seed: 1 });
    const b = makeGateway({ seed: 2 });
    const mirror = (pair: typeof one) => ({ local: pair.remote, remote: pair.local });
    a.setSpd([a.protect("net/one", one), a.protect("net/other", other)]);
    b.setSpd([b.protect("net/one", mirror(one)), b.protect("net/other", mirror(other))]);
    const spis = [
      installPair(a, b, { policy: "net/one", selectors: one }),
      installPair(a, b, { policy: "net/other", selectors: other }),
    ];
    const both = [
      ...fragmentsOf(whole(V4), 1, 1200),
      ...fragmentsOf(whole({ ...V4, ports: [1000, 3000] }), 2, 1200),
    ];
    expect(carry(a, b, both)).toEqual(both);
    for (const { bInbound } of spis) expect(b.dataPlane.usage(bInbound)?.inboundPackets).toBe(3);
  });

  test("[SPD-13] a later fragment goes by a first one that came under the same policy alone", () => {
    const { a, b, spis } = makePair({ selectors: NAMED });
    const other = selectors("10.1.0.0/16", "10.2.0.0/16[udp]");
    const mirror = (pair: typeof other) => ({ local: pair.remote, remote: pair.local });
    b.setSpd([b.protect("net/lan", mirror(NAMED)), b.protect("net/other", mirror(other))]);
    const second = installPair(a, b, { policy: "net/other", selectors: other });
    const first = fragmentOf(whole({ ...V4, ports: [1000, 22] }), 7, 0, 1200);
    const later = fragmentOf(whole(V4), 7, 1200, 2400);
    const [lan, wide] = [new PlainSender(spis.bInbound), new PlainSender(second.bInbound)];
    expect(arrive(b, wide.seal(first, {}))).toBe(1);
    expect(arrive(b, lan.seal(later, {}))).toBe(0);
    expect(b.allDrops()).toEqual({ fragmentHeld: 1 });
    expect(arrive(b, wide.seal(later, {}))).toBe(1);
  });

  test("through a rekey the fragments change to the new SA", () => {
    const { a, b, spis } = makePair({ selectors: NAMED });
    const parts = fragmentsOf(whole(V4), 7, 1200);
    expect(carry(a, b, [parts[0]!])).toHaveLength(1);
    const next = installPair(a, b, { selectors: NAMED });
    a.dataPlane.execute({ kind: "removeOutboundSa", inboundSpi: spis.aInbound });
    expect(carry(a, b, parts.slice(1))).toEqual(parts.slice(1));
    expect(b.dataPlane.usage(next.bInbound)?.inboundPackets).toBe(2);
  });

  test("fragments that are held for the SA follow too, and none of them twice", () => {
    const a = makeGateway({ seed: 1 });
    const b = makeGateway({ seed: 2 });
    a.setSpd([a.protect("net/lan", NAMED)]);
    b.setSpd([b.protect("net/lan", { local: NAMED.remote, remote: NAMED.local })]);
    const parts = fragmentsOf(whole(V4), 7, 1200);
    expect(carry(a, b, [...parts, parts[1]!])).toEqual([]);
    installPair(a, b, { selectors: NAMED });
    expect(carry(a, b, [], 10)).toEqual(parts);
    expect(a.allDrops()).toEqual({ overlappingFragment: 1 });
  });

  test("an extension header that only the first fragment holds hides no protocol", () => {
    const { a, b } = makePair({ selectors: NAMED });
    const plain = whole(V6);
    const extended = concat(plain.subarray(0, 40), extensionHeader(UDP, 16), plain.subarray(40));
    extended[6] = 60;
    new DataView(extended.buffer).setUint16(4, extended.length - 40);
    const parts = fragmentsOf(extended, 9, 1200);
    expect(carry(a, b, parts)).toEqual(parts);
    const bad = Uint8Array.from(extended);
    bad[40 + 16 + 3] = 1;
    expect(carry(a, b, fragmentsOf(bad, 10, 1200))).toEqual([]);
    expect(a.allDrops()).toEqual({ noPolicy: 3 });
  });
});

describe("what is refused", () => {
  const parts = fragmentsOf(whole(V4), 7, 1200);
  const tcp = whole({ ...V4, protocol: TCP, ports: [1000, 2000] });
  const tcpNamed = selectors("10.1.0.0/16", "10.2.0.0/16[tcp/2000]");

  test.each<[string, Uint8Array[], DropReason, number]>([
    ["a later fragment alone", [parts[1]!], "fragmentHeld", 0],
    ["the same fragment again", [parts[0]!, parts[1]!, parts[1]!], "overlappingFragment", 2],
    ["a second first", [parts[0]!, parts[0]!], "overlappingFragment", 1],
    [
      "a later one that overlaps the first",
      [parts[0]!, fragmentOf(whole(V4), 7, 8, 2000)],
      "overlappingFragment",
      1,
    ],
    ["a second last", [...parts, fragmentOf(whole(V4), 7, 2400, 3008)], "overlappingFragment", 3],
    [
      "what lies behind the last",
      [parts[0]!, parts[2]!, fragmentOf(whole(V4, 9000), 7, 4000, 4800)],
      "overlappingFragment",
      2,
    ],
    [
      "a last one in front of others",
      [parts[0]!, fragmentOf(whole(V4, 9000), 7, 4000, 4800), parts[2]!],
      "overlappingFragment",
      2,
    ],
    ["no whole eights", [fragmentOf(whole(V4), 7, 0, 1201)], "badFragment", 0],
    ["a first without ports", [fragmentOf(whole(V4), 7, 0, 0)], "badFragment", 0],
    ["another id", [parts[0]!, fragmentOf(whole(V4), 8, 1200, 2400)], "fragmentHeld", 1],
    [
      "another source",
      [parts[0]!, fragmentOf(whole({ ...V4, source: "10.1.0.6" }), 7, 1200, 2400)],
      "fragmentHeld",
      1,
    ],
    [
      "another protocol",
      [parts[0]!, fragmentOf(whole({ ...V4, protocol: 136 }), 7, 1200, 2400)],
      "fragmentHeld",
      1,
    ],
  ])("[SPD-13] %s", (_, packets, reason, delivered) => {
    const { a, b } = makePair({
      selectors: selectors("10.1.0.0/16", "10.2.0.0/16[udp/2000], 10.2.0.0/16[136/2000]"),
    });
    expect(carry(a, b, packets)).toHaveLength(delivered);
    expect(a.drops(reason)).toBe(packets.length - delivered);
    expect(b.allDrops()).toEqual({});
  });

  test("[SPD-13] TCP whose flags another fragment could bring", () => {
    const { a, b } = makePair({ selectors: tcpNamed });
    expect(carry(a, b, [fragmentOf(tcp, 7, 0, 8), fragmentOf(tcp, 7, 8, 800)])).toEqual([]);
    expect(carry(a, b, [fragmentOf(tcp, 8, 0, 16)])).toHaveLength(1);
    expect(a.allDrops()).toEqual({ tinyFragment: 2 });
  });

  test("[SPD-13] the receiver does not rely on the sender", () => {
    const { b, spis } = makePair({ selectors: NAMED });
    const sender = new PlainSender(spis.bInbound);
    const carried = (bytes: Uint8Array) => arrive(b, sender.seal(bytes, {}));
    const bad = fragmentsOf(whole({ ...V4, ports: [1000, 22] }), 9, 1200);
    expect([parts[1]!, parts[0]!, parts[1]!, parts[2]!].map(carried)).toEqual([0, 2, 0, 1]);
    expect([bad[1]!, bad[0]!, bad[2]!].map(carried)).toEqual([0, 0, 0]);
    expect(b.allDrops()).toEqual({ fragmentHeld: 2, overlappingFragment: 1, selectorMismatch: 3 });
  });

  test("a DISCARD that names a port is not stepped over by fragments that show none", () => {
    const { a, b } = makePair();
    const all = selectors("10.1.0.0/16", "10.2.0.0/16");
    const discard = {
      action: "discard",
      selectors: selectors("10.1.0.0/16", "10.2.0.0/16[udp/53]"),
    } as const;
    a.setSpd([discard, a.protect("net/lan", all)]);
    const dns = fragmentsOf(whole({ ...V4, ports: [1000, 53] }), 7, 1200);
    const other = fragmentsOf(whole(V4), 8, 1200);
    expect(carry(a, b, dns)).toEqual([]);
    expect(carry(a, b, [other[1]!])).toEqual([]);
    expect(carry(a, b, [other[0]!, other[2]!])).toEqual([other[0], other[2], other[1]]);
    expect(a.allDrops()).toEqual({ policyDiscard: 3, fragmentHeld: 1 });
  });
});

describe("fragments that come before their first", () => {
  const parts = fragmentsOf(whole(V4), 7, 1200);
  const [first, second, third] = parts as [Uint8Array, Uint8Array, Uint8Array];

  test.each([
    ["IPv4", V4],
    ["IPv6", V6],
  ])("[SPD-13] %s: wait for it, in one turn or several, and follow in their order", (_, flow) => {
    const [head, ...rest] = fragmentsOf(whole(flow), 7, 1200);
    const { a, b } = makePair({ selectors: NAMED });
    expect(carry(a, b, [...rest, head!])).toEqual([head, ...rest]);
    const again = makePair({ selectors: NAMED });
    const reversed = [...rest].reverse();
    for (const one of reversed) expect(carry(again.a, again.b, [one])).toEqual([]);
    expect(carry(again.a, again.b, [head!])).toEqual([head, ...reversed]);
    expect(again.a.allDrops()).toEqual({ fragmentHeld: 2 });
  });

  test("[SPD-13] wait at the receiver too, whatever SA of the policy brings their first", () => {
    const { a, b, spis } = makePair({ selectors: NAMED });
    const old = new PlainSender(spis.bInbound);
    for (const one of [second, third]) expect(arrive(b, old.seal(one, {}))).toBe(0);
    expect(b.allDrops()).toEqual({ fragmentHeld: 2 });
    // Who waits was refused nothing.
    expect(b.upcalls.filter(({ kind }) => kind === "audit")).toEqual([]);
    const next = installPair(a, b, { selectors: NAMED });
    expect(arrive(b, new PlainSender(next.bInbound).seal(first, {}))).toBe(3);
  });

  test("[SPD-13] of ports that nothing allows follow their first into the drop", () => {
    const { a, b } = makePair({ selectors: NAMED });
    const [head, ...rest] = fragmentsOf(whole({ ...V4, ports: [1000, 2001] }), 8, 1200);
    expect(carry(a, b, [...rest, head!])).toEqual([]);
    expect(a.allDrops()).toEqual({ fragmentHeld: 2, noPolicy: 3 });
  });

  test("no octet passes twice: one that waited and came again, and two that overlap", () => {
    const { a, b } = makePair({ selectors: NAMED });
    const other = fragmentOf(whole(V4), 7, 1600, 2800);
    expect(carry(a, b, [second, other, second, first, third])).toEqual([first, third, second]);
    expect(a.allDrops()).toEqual({ fragmentHeld: 3, overlappingFragment: 2 });
  });

  test("are dropped when another SA has got their slot", () => {
    const { a, b, spis } = makePair({ selectors: NAMED });
    expect(arrive(b, new PlainSender(spis.bInbound).seal(second, {}))).toBe(0);
    const next = installPair(a, b, { selectors: NAMED });
    const slot = findBySpi(b.table, spis.bInbound);
    b.table.u32[(slotOffset(b.table, slot) + Slot.SPI) >> 2] = 4711;
    expect(arrive(b, new PlainSender(next.bInbound).seal(first, {}))).toBe(1);
    expect(b.allDrops()).toEqual({ fragmentHeld: 1, fragmentBeforeFirst: 1 });
  });

  test("wait no longer than their time, and the lane wakes to say so", () => {
    const { a, b } = makePair({ selectors: NAMED });
    expect(carry(a, b, [second, third], 100)).toEqual([]);
    expect(a.lane.nextTimeout()).toBe(100 + EARLY_FRAGMENT_AGE_MS);
    turn(a, 100 + EARLY_FRAGMENT_AGE_MS - 1);
    expect(a.allDrops()).toEqual({ fragmentHeld: 2 });
    turn(a, 100 + EARLY_FRAGMENT_AGE_MS);
    expect(a.allDrops()).toEqual({ fragmentHeld: 2, fragmentBeforeFirst: 2 });
    expect(a.lane.nextTimeout()).toBeUndefined();
    expect(carry(a, b, [first], 100 + EARLY_FRAGMENT_AGE_MS)).toEqual([first]);
  });

  test("the oldest gives its place to a further one, and what is too long does not wait", () => {
    const { a, b } = makePair({ selectors: NAMED });
    const flood = Array.from({ length: EARLY_FRAGMENTS_MAX + 3 }, (_, i) =>
      fragmentOf(whole(V4), 100 + i, 1200, 2400),
    );
    expect(carry(a, b, flood)).toEqual([]);
    const long = fragmentOf(whole(V4, 9000), 99, 1200, 1200 + EARLY_FRAGMENT_OCTETS_MAX);
    expect(carry(a, b, [long])).toEqual([]);
    expect(a.allDrops()).toEqual({ fragmentHeld: flood.length, fragmentBeforeFirst: 4 });
    const heads = flood.map((_, i) => fragmentOf(whole(V4), 100 + i, 0, 1200));
    expect(carry(a, b, heads)).toHaveLength(flood.length + EARLY_FRAGMENTS_MAX);
  });

  test.each(["out", "in"] as const)(
    "on the way %s a flood under one policy takes no place of another's",
    (way) => {
      const other = selectors("10.1.0.0/16", "10.3.0.0/16[udp/2000]");
      const back = { local: other.remote, remote: other.local };
      const { a, b, spis } = makePair({ selectors: NAMED });
      const others = installPair(a, b, { selectors: other, policy: "net/other" });
      a.setSpd([a.protect("net/lan", NAMED), a.protect("net/other", other)]);
      b.setSpd([
        b.protect("net/lan", { local: NAMED.remote, remote: NAMED.local }),
        b.protect("net/other", back),
      ]);
      const flow = whole({ ...V4, destination: "10.3.0.9" }, 2400 - 8);
      const [head, tail] = fragmentsOf(flow, 7, 1200);
      const flood = Array.from({ length: 2 * EARLY_FRAGMENTS_MAX }, (_, i) =>
        fragmentOf(whole(V4), 100 + i, 1200, 2400),
      );
      const heads = flood.map((_, i) => fragmentOf(whole(V4), 100 + i, 0, 1200));
      if (way === "out") {
        expect(carry(a, b, [...flood.slice(0, 10), tail!, ...flood.slice(10)])).toEqual([]);
        expect(carry(a, b, [head!])).toEqual([head, tail]);
        expect(carry(a, b, heads)).toHaveLength(heads.length + EARLY_FRAGMENTS_MAX - 1);
        return;
      }
      const flooder = new PlainSender(spis.bInbound);
      const sender = new PlainSender(others.bInbound);
      expect(arrive(b, sender.seal(tail!, {}))).toBe(0);
      for (const one of flood) expect(arrive(b, flooder.seal(one, {}))).toBe(0);
      expect(arrive(b, sender.seal(head!, {}))).toBe(2);
      expect(b.drops("fragmentBeforeFirst")).toBe(flood.length - EARLY_FRAGMENTS_MAX + 1);
    },
  );

  test("without an SA they are held behind their first", () => {
    const a = makeGateway({ seed: 1 });
    const b = makeGateway({ seed: 2 });
    a.setSpd([a.protect("net/lan", NAMED)]);
    b.setSpd([b.protect("net/lan", { local: NAMED.remote, remote: NAMED.local })]);
    expect(carry(a, b, [third, first, second])).toEqual([]);
    installPair(a, b, { selectors: NAMED });
    expect(carry(a, b, [], 10)).toEqual([first, second, third]);
  });

  test("[SPD-13] in whatever order, each passes exactly once after its first", () => {
    const count = fc.integer({ min: 2, max: 12 });
    const cuts = count.chain((n) => fc.shuffledSubarray([...Array(n).keys()], { minLength: n }));
    fc.assert(
      fc.property(cuts, fc.boolean(), fc.array(fc.boolean()), (order, isV6, breaks) => {
        const { a, b } = makePair({ selectors: NAMED });
        const flow = whole(isV6 ? V6 : V4, order.length * 400 - 8);
        const all = fragmentsOf(flow, 7, 400);
        expect(all).toHaveLength(order.length);
        const got: Uint8Array[] = [];
        const batch: Uint8Array[] = [];
        for (const [i, index] of order.entries()) {
          batch.push(all[index]!);
          if (breaks[i] === true) got.push(...carry(a, b, batch.splice(0)));
        }
        got.push(...carry(a, b, batch));
        expect(got[0]).toEqual(all[0]);
        expect(
          got.map((one) => all.findIndex((other) => Buffer.compare(one, other) === 0)).sort((x, y) => x - y),
        ).toEqual([...all.keys()]);
      }),
      { numRuns: 60 },
    );
  });
});

describe("where no port matters", () => {
  test("[SPD-13] fragments pass in any order, doubled too, and nothing is kept of them", () => {
    const { a, b } = makePair();
    const parts = fragmentsOf(whole(V4), 7, 1200);
    const sent = [parts[2]!, parts[1]!, parts[1]!, parts[0]!];
    expect(carry(a, b, sent)).toEqual(sent);
  });

  test("[SPD-13] an entry for OPAQUE ports takes later fragments", () => {
    const opaque = selectors("10.1.0.0/16", "10.2.0.0/16[udp/opaque]");
    const { a, b } = makePair({ selectors: opaque });
    const parts = fragmentsOf(whole(V4), 7, 1200);
    expect(carry(a, b, [parts[1]!])).toEqual([parts[1]!]);
  });
});

describe("bounds", () => {
  test("an incomplete packet is forgotten after its time", () => {
    const { a, b } = makePair({ selectors: NAMED });
    const parts = fragmentsOf(whole(V4), 7, 1200);
    expect(carry(a, b, [parts[0]!], 0)).toHaveLength(1);
    expect(carry(a, b, [parts[1]!], FRAGMENT_AGE_MS - 1)).toHaveLength(1);
    expect(carry(a, b, [parts[2]!], FRAGMENT_AGE_MS)).toHaveLength(0);
    expect(carry(a, b, parts, FRAGMENT_AGE_MS)).toEqual(parts);
  });

  test("a complete packet gives its id free at once", () => {
    const { a, b } = makePair({ selectors: NAMED });
    for (let i = 0; i < 5; i++) {
      const parts = fragmentsOf(whole(V4, 2000 + 800 * i), 7, 1200);
      expect(carry(a, b, parts)).toEqual(parts);
    }
  });

  test("a flood of first fragments costs others their place, and no more memory", () => {
    const { a, b } = makePair({ selectors: NAMED });
    const flood = Array.from({ length: 4 * FRAGMENTED_PACKETS_MAX }, (_, i) =>
      fragmentOf(whole(V4), 100 + i, 0, 1200),
    );
    expect(carry(a, b, flood)).toHaveLength(flood.length);
    const rest = flood.map((_, i) => fragmentOf(whole(V4), 100 + i, 1200, 2400));
    expect(carry(a, b, rest).length).toBeLessThanOrEqual(FRAGMENTED_PACKETS_MAX);
    const last = fragmentsOf(whole(V4), 9, 1200);
    expect(carry(a, b, last)).toEqual(last);
  });
});

test("[SPD-13] whatever comes in whatever order, no octet passes twice, nor one of a packet whose ports are wrong", () => {
  const cut = fc.record({
    id: fc.integer({ min: 1, max: 2 }),
    isGood: fc.boolean(),
    // Without a first fragment nothing passes at all.
    start: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 19 })),
    length: fc.integer({ min: 0, max: 20 }),
    isV6: fc.boolean(),
  });
  const fields = createPacketFields();
  fc.assert(
    fc.property(fc.array(cut, { maxLength: 60 }), (cuts) => {
      const { a, b } = makePair({ selectors: NAMED });
      const packets = cuts.map(({ id, isGood, start, length, isV6 }) => {
        const payload = new Uint8Array(160 - 8).fill(isGood ? 1 : 2);
        const all = packet({ ...(isV6 ? V6 : V4), ports: [1000, isGood ? 2000 : 22], payload });
        return fragmentOf(all, isGood ? id : id + 10, start * 8, Math.min(160, (start + length) * 8));
      });
      const passed = new Set<string>();
      for (const bytes of carry(a, b, packets)) {
        expect(parseIpPacket(bytes, 0, bytes.length, fields)).toBe(true);
        expect(fields.fragmentId).toBeLessThan(10);
        // A packet in one piece is none of anybody's fragments, whatever its id, and may pass one that waited.
        if (fields.fragmentLength === 160) continue;
        for (let at = fields.fragmentOffset; at < fields.fragmentOffset + fields.fragmentLength; at++) {
          // A packet that is whole gives its id to the next.
          if (at === 0)
            for (const old of [...passed])
              if (old.startsWith(`${fields.family} ${fields.fragmentId} `)) passed.delete(old);
          const octet = `${fields.family} ${fields.fragmentId} ${at}`;
          expect(passed.has(octet)).toBe(false);
          passed.add(octet);
        }
      }
    }),
    { numRuns: 120 },
  );
});
