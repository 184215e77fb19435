/** Packets longer than the path takes: fragments before encryption, outer fragments for the least of IPv6, and TCP's MSS. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ipv4FragmentOffset, ipv4HeaderLength, ipv4MoreFragments } from "../../../src/wire/ip/ipv4.ts";
import { type Gateway, makePair, type PairOptions, send } from "./gateway-fixture.ts";
import { exchange } from "./memory-packet-io.ts";
import { packet } from "./packets.ts";

const A_TO_B = { source: "10.1.0.5", destination: "10.2.0.9" };
const A_TO_B_V6 = { source: "fd01::5", destination: "fd02::9" };
const octets = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 13 + (i >> 8)) & 255);

/** Sends packets through both gateways; what B gives its host. */
function carried(a: Gateway, b: Gateway, ...packets: readonly Uint8Array[]): Uint8Array[] {
  send(a, ...packets);
  while (a.turn() > 0);
  exchange(a.io, b.io);
  while (b.turn() > 0);
  return b.io.toHost[0]!.splice(0);
}

function reassembled(parts: readonly Uint8Array[]): Uint8Array {
  const whole: number[] = [];
  for (const part of parts)
    part.subarray(ipv4HeaderLength(part, 0)).forEach((octet, i) => {
      whole[ipv4FragmentOffset(part, 0) + i] = octet;
    });
  return Uint8Array.from(whole);
}

describe("IPv4 without DF", () => {
  test("is cut before it is encrypted, and no ICMP is made", () => {
    const { a, b } = makePair();
    const whole = packet({ ...A_TO_B, payload: octets(3972), dontFragment: false, id: 77 });
    const parts = carried(a, b, whole);
    expect(parts.map(({ length }) => length)).toEqual([1436, 1436, 1168]);
    expect(parts.map((part) => ipv4MoreFragments(part, 0))).toEqual([true, true, false]);
    expect(reassembled(parts)).toEqual(whole.slice(20));
    expect(a.io.toHost[0]).toEqual([]);
    expect([a.allDrops(), b.allDrops()]).toEqual([{}, {}]);
    expect(a.dataPlane.usage(a.dataPlane.pairs()[0]!.inboundSpi)!.outboundPackets).toBe(3);
  });

  test("of any length, through any path, reassembles to the same octets, and every outer packet fits", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 8, max: 20_000 }),
        fc.integer({ min: 576, max: 1500 }),
        (length, path) => {
          const { a, b, spis } = makePair();
          a.dataPlane.setPathMtu(spis.aInbound, path);
          const whole = packet({ ...A_TO_B, payload: octets(length), dontFragment: false });
          send(a, whole);
          while (a.turn() > 0);
          for (const { bytes } of a.io.sent) expect(bytes.length + 28).toBeLessThanOrEqual(path);
          expect(reassembled(carried(a, b))).toEqual(whole.slice(20));
          expect(a.allDrops()).toEqual({});
        },
      ),
      { numRuns: 40 },
    );
  });

  test("many at once, also more than wait for the end of a turn, all pass", () => {
    const { a, b } = makePair();
    const many = Array.from({ length: 20 }, (_, id) =>
      packet({ ...A_TO_B, payload: octets(15_000), dontFragment: false, id }),
    );
    const parts = carried(a, b, ...many);
    expect(parts).toHaveLength(20 * 11);
    for (const [id, whole] of many.entries()) {
      const own = parts.filter((part) => part[5] === id);
      expect(reassembled(own)).toEqual(whole.slice(20));
    }
  });

  test("a fragment that is too long is cut again", () => {
    const { a, b } = makePair();
    const fragment = packet({
      ...A_TO_B,
      payload: octets(1472),
      dontFragment: false,
      fragmentOffset: 2960,
      moreFragments: true,
    });
    const parts = carried(a, b, fragment);
    expect(parts.map((part) => ipv4FragmentOffset(part, 0))).toEqual([2960, 2960 + 1416]);
    expect(parts.every((part) => ipv4MoreFragments(part, 0))).toBe(true);
  });

  test("an SA at its hard limit lets no further fragment leave", () => {
    const { a, b } = makePair({ lifetime: { hardPackets: 2 } });
    const parts = carried(a, b, packet({ ...A_TO_B, payload: octets(3972), dontFragment: false }));
    expect(parts).toHaveLength(2);
    expect(a.allDrops()).toEqual({ saExpired: 1 });
  });
});

describe("IPv6", () => {
  const least = packet({ ...A_TO_B_V6, payload: octets(1280 - 48) });
  const small = packet({ ...A_TO_B_V6, payload: octets(1000 - 48) });

  test("of 1280 octets or less leaves in outer fragments where the path carries less", () => {
    const { a, b, spis } = makePair();
    a.dataPlane.setPathMtu(spis.aInbound, 1300);
    send(a, least, small);
    a.turn();
    // Routers make them.
    const byLength = [...a.io.sent].sort((x, y) => x.bytes.length - y.bytes.length);
    expect(byLength.map(({ hasDf }) => hasDf)).toEqual([true, false]);
    const arrived = carried(a, b).sort((x, y) => y.length - x.length);
    expect(arrived).toEqual([least, small]);
    expect(a.allDrops()).toEqual({});
  });

  test.each(["udp", "esp"] as const)(
    "[SPD-10] over IPv6 its outer fragments are made here, and fit every path: %s",
    (encapsulation) => {
      const { a, b, spis } = makePair({ a: "2001:db8::1", b: "2001:db8::2", encapsulation });
      a.dataPlane.setPathMtu(spis.aInbound, 1280);
      a.io.pathMtu = 1280;
      const marked = packet({ ...A_TO_B_V6, payload: octets(1280 - 48), tos: 0xb8 });
      send(a, small, marked, marked);
      a.turn();
      expect(a.io.sent.map(({ socket }) => a.io.sockets[socket]!.role)).toEqual([
        encapsulation === "udp" ? "nat" : "esp",
        ...Array(4).fill("whole"),
      ]);
      const fragments = a.io.sent.filter(({ header }) => header !== undefined);
      for (const { header, tos, bytes } of fragments) {
        expect(header!.length).toBe(48);
        expect(header![40]).toBe(encapsulation === "udp" ? 17 : 50);
        expect(header!.length + bytes.length).toBeLessThanOrEqual(1280);
        expect(tos).toBe(0xb8);
      }
      const identifications = fragments.map(({ header }) => new DataView(header!.buffer).getUint32(44));
      expect(identifications[0]).toBe(identifications[1]);
      expect(identifications[2]).not.toBe(identifications[0]);
      const arrived = carried(a, b).sort((x, y) => x.length - y.length);
      expect(arrived).toEqual([small, marked, marked]);
      expect([a.allDrops(), b.allDrops()]).toEqual([{}, {}]);
    },
  );

  test("a fragment that the system refuses counts for its packet, once", () => {
    const { a, spis } = makePair({ a: "2001:db8::1", b: "2001:db8::2" });
    a.dataPlane.setPathMtu(spis.aInbound, 1280);
    a.io.isRefusingSends = true;
    send(a, least);
    a.turn();
    expect(a.allDrops()).toEqual({ sendFailed: 1 });
  });

  test("[SPD-10] of more gets Packet Too Big", () => {
    const { a, spis } = makePair();
    a.dataPlane.setPathMtu(spis.aInbound, 1300);
    send(a, packet({ ...A_TO_B_V6, payload: octets(1281 - 48) }));
    a.turn();
    expect(a.allDrops()).toEqual({ tooBig: 1 });
    expect(new DataView(a.io.toHost[0]![0]!.buffer).getUint32(44)).toBe(1280);
  });
});

describe("a configured mtu", () => {
  test("bounds inner packets below what the path takes, never above", () => {
    const offer = (handling: PairOptions["handling"], length: number) => {
      const { a } = makePair({ ...(handling === undefined ? {} : { handling }) });
      send(a, packet({ ...A_TO_B, payload: octets(length - 28) }));
      a.turn();
      return a.allDrops().tooBig ?? 0;
    };
    expect(offer({ innerMtu: 1300 }, 1300)).toBe(0);
    expect(offer({ innerMtu: 1300 }, 1301)).toBe(1);
    expect(offer({ innerMtu: 9000 }, 1438)).toBe(0);
    expect(offer({ innerMtu: 9000 }, 1439)).toBe(1);
  });
});

describe("TCP's MSS", () => {
  const syn = (from: { source: string; destination: string }, mss: number) => {
    const tcp = Uint8Array.of(
      0,
      1,
      0,
      2,
      0,
      0,
      0,
      1,
      0,
      0,
      0,
      0,
      0x60,
      2,
      1,
      1,
      0,
      0,
      0,
      0,
      2,
      4,
      mss >> 8,
      mss & 255,
    );
    const bytes = packet({ ...from, protocol: 6, payload: new Uint8Array(16) });
    bytes.set(tcp, bytes.length - 24);
    return bytes;
  };
  const mssOf = (bytes: Uint8Array) => (bytes[bytes.length - 2]! << 8) | bytes[bytes.length - 1]!;

  test("is lowered on the way out, and on the way in where the sender did not", () => {
    const { a, b } = makePair();
    expect(carried(a, b, syn(A_TO_B, 1460)).map(mssOf)).toEqual([1398]);
    expect(carried(a, b, syn(A_TO_B_V6, 1460)).map(mssOf)).toEqual([1378]);
    expect(carried(a, b, syn(A_TO_B, 1000)).map(mssOf)).toEqual([1000]);
    const lazy = makePair();
    lazy.b.dataPlane.setPathMtu(lazy.spis.bInbound, 1300);
    expect(carried(lazy.a, lazy.b, syn(A_TO_B, 1460)).map(mssOf)).toEqual([1198]);
  });

  test("is left alone where the configuration says so, or lowered to what it says", () => {
    const off = makePair({ handling: { mss: "off" } });
    expect(carried(off.a, off.b, syn(A_TO_B, 1460)).map(mssOf)).toEqual([1460]);
    const less = makePair({ handling: { mss: 1200 } });
    expect(carried(less.a, less.b, syn(A_TO_B, 1460)).map(mssOf)).toEqual([1200]);
  });
});
