/** Fragments and transport mode: put together before protection, cut again outside (RFC 4301 section 7, RFC 4303 section 3.3.4). */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FRAGMENT_AGE_MS } from "../../../src/dataplane/fragment-table.ts";
import { REASSEMBLED_PER_POLICY_MAX } from "../../../src/dataplane/reassembly.ts";
import { ipv4Identification, ipv4MoreFragments } from "../../../src/wire/ip/ipv4.ts";
import { fragmentOf, fragmentsOf } from "./fragments.ts";
import { type Gateway, makePair, type PairOptions, selectors, send } from "./gateway-fixture.ts";
import { exchange } from "./memory-packet-io.ts";
import { packet } from "./packets.ts";

const HOSTS = {
  4: { source: "192.0.2.1", destination: "198.51.100.2" },
  6: { source: "2001:db8::1", destination: "2001:db8::2" },
} as const;

const octets = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 13 + (i >> 8)) & 255);

function hosts(family: 4 | 6, options: PairOptions = {}) {
  const { source, destination } = HOSTS[family];
  return makePair({
    selectors: selectors(source, destination),
    a: source,
    b: destination,
    handling: { mode: "transport" },
    encapsulation: "esp",
    ...options,
  });
}

function datagram(family: 4 | 6, length: number): Uint8Array {
  return packet({ ...HOSTS[family], payload: octets(length), dontFragment: false, id: 77 });
}

function carry(a: Gateway, b: Gateway, packets: readonly Uint8Array[]): Uint8Array[] {
  send(a, ...packets);
  while (a.turn() > 0);
  exchange(a.io, b.io);
  while (b.turn() > 0);
  return b.io.toHost[0]!.splice(0);
}

describe.each([4, 6] as const)("fragments of the host over IPv%s", (family) => {
  test.each(["esp", "udp"] as const)(
    "[ESP-14] arrive as the datagram that they make: %s",
    (encapsulation) => {
      const { a, b, spis } = hosts(family, { encapsulation });
      const whole = datagram(family, 4000);
      const parts = fragmentsOf(whole, 77, 1400);
      const before = a.io.pathMtu;
      // The system cuts what it sends by UDP over IPv4.
      if (encapsulation === "udp" && family === 4) a.io.pathMtu = 65_535;
      for (const order of [parts, [...parts].reverse(), [parts[1]!, parts[0]!, parts[2]!]]) {
        const [arrived, ...others] = carry(a, b, order);
        expect(others).toEqual([]);
        const from = encapsulation === "udp" ? (family === 4 ? 12 : 8) : 0;
        expect(arrived!.subarray(from)).toEqual(whole.subarray(from));
      }
      a.io.pathMtu = before;
      expect(a.dataPlane.usage(spis.aInbound)!.outboundPackets).toBe(3);
      expect([a.allDrops(), b.allDrops()]).toEqual([{}, {}]);
    },
  );

  test("of any length and size pass any path, in outer fragments that fit it", () => {
    const property = fc.property(
      fc.integer({ min: 1500, max: 30_000 }),
      fc.integer({ min: 70, max: 180 }),
      fc.integer({ min: 1280, max: 1500 }),
      (length, units, path) => {
        const { a, b, spis } = hosts(family);
        a.dataPlane.setPathMtu(spis.aInbound, path);
        a.io.pathMtu = path;
        const whole = datagram(family, length);
        expect(carry(a, b, fragmentsOf(whole, 77, 8 * units))).toEqual([whole]);
        expect([a.allDrops(), b.allDrops()]).toEqual([{}, {}]);
      },
    );
    fc.assert(property, { numRuns: 8 });
  });

  test("the longest datagram, and one that would be longer than any", () => {
    const { a, b } = hosts(family);
    const header = family === 4 ? 28 : 48;
    // ESP needs some of what an IP header can say.
    const longest = datagram(family, 65_400 - header);
    expect(carry(a, b, fragmentsOf(longest, 77, 1400))).toEqual([longest]);
    const beyond = fragmentOf(longest, 8, 64_800, longest.length);
    const at = family === 4 ? 6 : 42;
    const view = new DataView(beyond.buffer);
    view.setUint16(at, view.getUint16(at) + (family === 4 ? 80 : 640));
    expect(carry(a, b, [...fragmentsOf(longest, 8, 1400).slice(0, -1), beyond])).toEqual([]);
    expect(a.allDrops()).toEqual({ badFragment: 1 });
  });

  test("[ESP-14] overlapping ones refuse the whole datagram, whatever follows (RFC 5722)", () => {
    const { a, b } = hosts(family);
    const whole = datagram(family, 4000);
    const parts = fragmentsOf(whole, 77, 1400);
    const overlapping = fragmentOf(whole, 77, 1392, 2792);
    expect(carry(a, b, [parts[0]!, overlapping, parts[1]!, parts[2]!])).toEqual([]);
    expect(a.allDrops()).toEqual({ overlappingFragment: 4 });
    // Another one is another matter.
    expect(carry(a, b, fragmentsOf(whole, 78, 1400))).toHaveLength(1);
  });

  test("of no possible length are refused", () => {
    const { a, b } = hosts(family);
    const odd = fragmentOf(datagram(family, 4000), 77, 0, 1404);
    expect(carry(a, b, [odd])).toEqual([]);
    expect(a.allDrops()).toEqual({ badFragment: 1 });
  });

  test("those whose datagram never becomes whole are given up after a while, and counted", () => {
    const { a, b } = hosts(family);
    const parts = fragmentsOf(datagram(family, 4000), 77, 1400);
    expect(carry(a, b, parts.slice(0, 2))).toEqual([]);
    expect(a.allDrops()).toEqual({});
    const due = a.lane.nextTimeout();
    expect(due).toBeGreaterThanOrEqual(FRAGMENT_AGE_MS);
    a.turn(due!);
    expect(a.allDrops()).toEqual({ reassemblyTimedOut: 2 });
    expect(a.lane.nextTimeout()).toBeUndefined();
    expect(carry(a, b, parts.slice(2))).toEqual([]);
  });

  test("datagrams of one policy have a share: the oldest gives way to a further one", () => {
    const { a, b } = hosts(family);
    const whole = datagram(family, 3000);
    const firsts = Array.from(
      { length: REASSEMBLED_PER_POLICY_MAX + 1 },
      (_, id) => fragmentsOf(whole, id + 1, 1600)[0]!,
    );
    expect(carry(a, b, firsts)).toEqual([]);
    expect(a.allDrops()).toEqual({ reassemblyFull: 1 });
    expect(carry(a, b, [fragmentsOf(whole, 1, 1600)[1]!, fragmentsOf(whole, 3, 1600)[1]!])).toHaveLength(1);
  });
});

test("a datagram without DF that is too long for the path is protected whole and cut outside", () => {
  const { a, b } = hosts(4);
  const whole = datagram(4, 1460);
  send(a, whole);
  a.turn();
  expect(a.io.sent.map(({ header }) => ipv4MoreFragments(header!, 0))).toEqual([true, false]);
  expect(a.io.sent.map(({ header }) => ipv4Identification(header!, 0))).toEqual([77, 77]);
  expect(carry(a, b, [])).toEqual([whole]);
});

test("an IPv6 packet that every link carries passes a path that has no room for ESP around it", () => {
  const { a, b, spis } = hosts(6);
  a.dataPlane.setPathMtu(spis.aInbound, 1280);
  a.io.pathMtu = 1280;
  const least = packet({ ...HOSTS[6], payload: octets(1280 - 48) });
  expect(carry(a, b, [least])).toEqual([least]);
  const more = packet({ ...HOSTS[6], payload: octets(1281 - 48) });
  expect(carry(a, b, [more])).toEqual([]);
  expect(a.allDrops()).toEqual({ tooBig: 1 });
});
