/** AH and fragments: whole datagrams are protected, fragments are made outside (RFC 4302 sections 3.3.4 and 3.4.1). */
import { describe, expect, test } from "vitest";
import { Integ } from "../../../src/wire/ike/registries.ts";
import { ipv4DontFragment, ipv4Identification } from "../../../src/wire/ip/ipv4.ts";
import { fragmentsOf } from "./fragments.ts";
import { AH_SUITE, type Gateway, makePair, type PairOptions, selectors, send } from "./gateway-fixture.ts";
import { exchange } from "./memory-packet-io.ts";
import { packet } from "./packets.ts";

const GMAC = { ...AH_SUITE, integ: Integ.AES_256_GMAC };
const HOSTS = {
  4: { source: "192.0.2.1", destination: "198.51.100.2" },
  6: { source: "2001:db8::1", destination: "2001:db8::2" },
} as const;
const LAN = { source: "10.1.0.5", destination: "10.2.0.9" };
const LAN_6 = { source: "fd01::5", destination: "fd02::9" };
const octets = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 13 + (i >> 8)) & 255);

function hosts(family: 4 | 6, options: PairOptions = {}) {
  const { source, destination } = HOSTS[family];
  const ends = { selectors: selectors(source, destination), a: source, b: destination };
  return makePair({
    ...ends,
    suite: AH_SUITE,
    handling: { mode: "transport" },
    encapsulation: "esp",
    ...options,
  });
}

function tunnel(family: 4 | 6, options: PairOptions = {}) {
  const { source, destination } = HOSTS[family];
  return makePair({ a: source, b: destination, suite: AH_SUITE, encapsulation: "esp", ...options });
}

const datagram = (family: 4 | 6, length: number, id = 77) =>
  packet({ ...HOSTS[family], payload: octets(length), dontFragment: false, id });

function carry(a: Gateway, b: Gateway, packets: readonly Uint8Array[]): Uint8Array[] {
  send(a, ...packets);
  while (a.turn() > 0);
  exchange(a.io, b.io);
  while (b.turn() > 0);
  return b.io.toHost[0]!.splice(0);
}

describe.each([4, 6] as const)("transport mode over IPv%s", (family) => {
  test.each([AH_SUITE, GMAC])(
    "[AH-11] fragments of the host arrive as the datagram that they make",
    (suite) => {
      const { a, b, spis } = hosts(family, { suite });
      const whole = datagram(family, 4000);
      const parts = fragmentsOf(whole, 77, 1400);
      for (const order of [parts, [...parts].reverse(), [parts[1]!, parts[0]!, parts[2]!]])
        expect(carry(a, b, order)).toEqual([whole]);
      expect(a.dataPlane.usage(spis.aInbound)!.outboundPackets).toBe(3);
      expect([a.allDrops(), b.allDrops()]).toEqual([{}, {}]);
    },
  );

  test("[AH-11] of any length, on any path, and many at once", () => {
    for (const path of [1280, 1300, 1500]) {
      const { a, b, spis } = hosts(family);
      a.dataPlane.setPathMtu(spis.aInbound, path);
      a.io.pathMtu = path;
      const wholes = [1250, 1290, 9150, 9300, 20_000, 65_300].map((length, k) =>
        datagram(family, length, 90 + k),
      );
      for (const [k, whole] of wholes.entries())
        expect(carry(a, b, fragmentsOf(whole, 90 + k, 1200)), `${whole.length}`).toEqual([whole]);
      const together = Array.from({ length: 4 }, (_, k) => datagram(family, 30_000, 200 + k));
      const arrived = carry(
        a,
        b,
        together.flatMap((whole, k) => fragmentsOf(whole, 200 + k, 1200)),
      );
      expect(arrived).toEqual(together);
      expect([a.allDrops(), b.allDrops()]).toEqual([{}, {}]);
    }
  });

  test("[AH-11] a fragment that is missing leaves nothing, and one that lies refuses its datagram", () => {
    const { a, b } = hosts(family);
    const parts = fragmentsOf(datagram(family, 4000), 77, 1400);
    expect(carry(a, b, parts.slice(1))).toEqual([]);
    expect(carry(a, b, [parts[1]!, ...fragmentsOf(datagram(family, 4000, 78), 78, 1000)])).toHaveLength(1);
    expect(a.drops("overlappingFragment")).toBeGreaterThan(0);
  });

  test("[AH-11] what the host's own system sends whole, and may be cut, is cut behind AH", () => {
    const { a, b } = hosts(family);
    const long = family === 4 ? datagram(4, 1465) : datagram(6, 1232);
    if (family === 6) a.dataPlane.setPathMtu(a.dataPlane.pairs()[0]!.inboundSpi, 1280);
    expect(carry(a, b, [long])).toEqual([long]);
    expect([a.allDrops(), b.allDrops()]).toEqual([{}, {}]);
  });
});

test("[AH-11] what says that it may not be cut is refused, and its sender told", () => {
  const { a, b } = hosts(4);
  expect(carry(a, b, [packet({ ...HOSTS[4], payload: octets(1465) })])).toEqual([]);
  expect(a.allDrops()).toEqual({ tooBig: 1 });
  expect(a.io.toHost[0]).toHaveLength(1);
});

test("[AH-03] [AH-11] fragments share an identification that the ICV covers, also where DF was set and there was none", () => {
  const { a, b } = hosts(4, { handling: { mode: "transport", df: "clear" } });
  send(a, packet({ ...HOSTS[4], payload: octets(1465), id: 0 }));
  while (a.turn() > 0);
  const headers = a.io.sent.map(({ header }) => header!);
  expect(headers).toHaveLength(2);
  expect(new Set(headers.map((header) => ipv4Identification(header, 0))).size).toBe(1);
  expect(ipv4Identification(headers[0]!, 0)).toBeGreaterThan(0);
  expect(headers.some((header) => ipv4DontFragment(header, 0))).toBe(false);
  exchange(a.io, b.io);
  while (b.turn() > 0);
  expect(b.io.toHost[0]).toHaveLength(1);
});

describe.each([4, 6] as const)("tunnel mode over IPv%s", (family) => {
  test("[AH-11] inner packets of 1280 octets pass every path, in outer fragments", () => {
    const { a, b, spis } = tunnel(family);
    a.dataPlane.setPathMtu(spis.aInbound, 1280);
    a.io.pathMtu = 1280;
    const least = packet({ ...LAN_6, payload: octets(1280 - 48) });
    expect(least.length).toBe(1280);
    expect(carry(a, b, [least])).toEqual([least]);
    expect([a.allDrops(), b.allDrops()]).toEqual([{}, {}]);
  });

  test("packets that may be cut are, in front of AH, and larger ones of IPv6 are refused", () => {
    const { a, b } = tunnel(family);
    const arrived = carry(a, b, [packet({ ...LAN, payload: octets(1450), dontFragment: false })]);
    expect(arrived).toHaveLength(2);
    expect(carry(a, b, [packet({ ...LAN_6, payload: octets(1440) })])).toEqual([]);
    expect(a.allDrops()).toEqual({ tooBig: 1 });
  });
});
