/** AH through two lanes: tunnel and transport, both families, both kinds of number, and whatever a wire may change (RFC 4302). */
import { describe, expect, test } from "vitest";
import { identificationAfter } from "../../../src/dataplane/ah-outbound.ts";
import { laneOfSpi } from "../../../src/policy/lane-of-spi.ts";
import { Slot } from "../../../src/policy/sa-table.ts";
import { findBySpi, slotOffset } from "../../../src/policy/sad.ts";
import { Encr, Integ } from "../../../src/wire/ike/registries.ts";
import { ipv4Packet } from "../wire/ip/packets.ts";
import {
  type Gateway,
  type GatewayOptions,
  installPair,
  makePair,
  type PairOptions,
  selectors,
  send,
} from "./gateway-fixture.ts";
import type { Datagram } from "./memory-packet-io.ts";
import { packet } from "./packets.ts";

const SHA_256 = {
  encr: Encr.NULL,
  encrKeyBits: 0,
  integ: Integ.HMAC_SHA2_256_128,
  esn: false,
  protocol: "ah",
} as const;
const SHA_1 = { ...SHA_256, integ: Integ.HMAC_SHA1_96 };
const GMAC = { ...SHA_256, integ: Integ.AES_128_GMAC };
const TRANSPORT = { mode: "transport" } as const;
const HOSTS = { source: "192.0.2.1", destination: "198.51.100.2" };
const HOSTS_6 = { source: "2001:db8::1", destination: "2001:db8::2" };
const LAN = { source: "10.1.0.5", destination: "10.2.0.9" };
const LAN_6 = { source: "fd01::5", destination: "fd02::9" };

function tunnel(options: PairOptions & GatewayOptions = {}) {
  return makePair({ suite: SHA_256, encapsulation: "esp", ...options });
}

function hosts(options: PairOptions & GatewayOptions = {}) {
  return tunnel({ selectors: selectors(HOSTS.source, HOSTS.destination), handling: TRANSPORT, ...options });
}

function sealed(a: Gateway, ...packets: Uint8Array[]): Datagram[] {
  send(a, ...packets);
  a.turn();
  return a.io.sent.splice(0).map(({ local, remote, ...rest }) => ({ ...rest, local: remote, remote: local }));
}

function receive(b: Gateway, datagrams: readonly Datagram[]): Uint8Array[] {
  for (const one of datagrams) b.io.arrive(one);
  b.turn();
  return b.io.toHost[0]!.splice(0);
}

function carry(a: Gateway, b: Gateway, packets: readonly Uint8Array[]): Uint8Array[] {
  return receive(b, sealed(a, ...packets));
}

describe("[AH-13] tunnel mode", () => {
  test.each([
    ["SHA-256", SHA_256],
    ["SHA-256 with ESN [AH-09]", { ...SHA_256, esn: true }],
    ["SHA-1", SHA_1],
    ["GMAC [AH-17]", GMAC],
    ["GMAC with ESN [AH-17]", { ...GMAC, integ: Integ.AES_256_GMAC, esn: true }],
  ])("%s carries both families in both, each way", (_, suite) => {
    for (const outer of [{}, { a: HOSTS_6.source, b: HOSTS_6.destination }]) {
      const { a, b } = tunnel({ suite, ...outer });
      const packets = [packet(LAN), packet(LAN_6), packet({ ...LAN, dontFragment: false, tos: 0xb8 })];
      expect(carry(a, b, packets)).toEqual(packets);
      const back = packet({ source: LAN.destination, destination: LAN.source });
      expect(carry(b, a, [back])).toEqual([back]);
      expect([a.allDrops(), b.allDrops()]).toEqual([{}, {}]);
    }
  });

  test("the outer header is ours, with the DSCP of what it carries", () => {
    const { a } = tunnel();
    const [one] = sealed(a, packet({ ...LAN, tos: 0xb8 }));
    expect([...one!.header!.subarray(12)]).toEqual([192, 0, 2, 1, 198, 51, 100, 2]);
    expect([one!.header![9], one!.header![1], one!.header![8]]).toEqual([51, 0xb8, 64]);
    // Next header 4, 28 octets, and the packet as it is.
    expect([one!.bytes[0], one!.bytes[1]]).toEqual([4, 5]);
    expect(one!.bytes.subarray(28)).toEqual(packet({ ...LAN, tos: 0xb8 }));
  });

  test.each([
    ["GMAC [AH-17]", GMAC, 36],
    ["HMAC", SHA_256, 28],
  ])("the largest packet fills the path, one octet more gets an ICMP error: %s", (_, suite, header) => {
    const { a, b } = tunnel({ suite });
    const room = 1500 - 20 - header;
    const sized = (length: number) => packet({ ...LAN, payload: new Uint8Array(length - 28) });
    expect(carry(a, b, [sized(room)])).toHaveLength(1);
    expect(carry(a, b, [sized(room + 1)])).toHaveLength(0);
    expect(a.allDrops()).toEqual({ tooBig: 1 });
    expect(new DataView(a.io.toHost[0]![0]!.buffer).getUint16(26)).toBe(room);
  });

  test("[AH-17] GMAC's IV is the number and stands before the check value; over IPv6 4 octets of padding follow", () => {
    const four = tunnel({ suite: GMAC });
    send(four.a, packet(LAN));
    const [first, second] = sealed(four.a, packet(LAN));
    expect([first!.bytes[1], ...first!.bytes.subarray(8, 20)]).toEqual([
      7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1,
    ]);
    expect([...second!.bytes.subarray(8, 20)]).toEqual([0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2]);
    expect(first!.bytes.subarray(36)).toEqual(packet(LAN));
    const six = tunnel({ suite: GMAC, a: HOSTS_6.source, b: HOSTS_6.destination });
    const [one] = sealed(six.a, packet(LAN));
    expect([one!.bytes[1], ...one!.bytes.subarray(36, 40)]).toEqual([8, 0, 0, 0, 0]);
    expect(one!.bytes.subarray(40)).toEqual(packet(LAN));
  });

  test("an identification of zero is never left for the system to fill in where DF is clear", () => {
    const { a } = tunnel({ handling: { df: "clear" } });
    for (const one of sealed(a, packet(LAN), packet(LAN)))
      expect(new DataView(one.header!.buffer).getUint16(4)).toBeGreaterThan(0);
  });
});

describe("transport mode", () => {
  test("[AH-10] packets between the two hosts arrive as they were sent", () => {
    const { a, b } = hosts();
    const packets = [
      packet({ ...HOSTS, id: 77, tos: 0xb9, hopLimit: 17 }),
      packet({ ...HOSTS, protocol: 1, ports: [8, 0], dontFragment: false, id: 5 }),
      ipv4Packet({ ...HOSTS, protocol: 47, options: Uint8Array.of(148, 4, 0, 1) }, new Uint8Array(31)),
    ];
    expect(carry(a, b, packets)).toEqual(packets);
    expect([a.allDrops(), b.allDrops()]).toEqual([{}, {}]);
  });

  test("[AH-10] IPv6 likewise", () => {
    const six = { a: HOSTS_6.source, b: HOSTS_6.destination };
    const { a, b } = hosts({ ...six, selectors: selectors(six.a, six.b) });
    expect(carry(a, b, [packet(HOSTS_6)])).toEqual([packet(HOSTS_6)]);
    expect([a.allDrops(), b.allDrops()]).toEqual([{}, {}]);
  });

  test("other hosts are refused", () => {
    const { a, b } = hosts({ selectors: selectors("192.0.2.0/24", "198.51.100.0/24") });
    expect(carry(a, b, [packet({ ...HOSTS, source: "192.0.2.9" })])).toEqual([]);
    expect(a.allDrops()).toEqual({ notOurHosts: 1 });
  });
});

describe("the wire", () => {
  test("[AH-03] may change what routers change", () => {
    const { a, b } = tunnel();
    const [one] = sealed(a, packet(LAN));
    const header = Uint8Array.from(one!.header!);
    header.set([0x04], 1);
    header[6] = 0;
    header[8] = 3;
    header.set([0xab, 0xcd], 10);
    expect(receive(b, [{ ...one!, header }])).toHaveLength(1);
  });

  test.each([
    ["HMAC", SHA_256],
    ["[AH-17] GMAC", GMAC],
  ])("[AH-03] [AH-12] [AH-13] may change nothing else, and what fails moves no window: %s", (_, suite) => {
    const { a, b, spis } = tunnel({ suite });
    const [good] = sealed(a, packet(LAN));
    const protectedOctets = [0, 2, 3, 4, 5, 9, 12, 13, 14, 15, 16, 17, 18, 19];
    for (const at of protectedOctets.filter((one) => ![0, 9].includes(one))) {
      const header = Uint8Array.from(good!.header!);
      header[at] = header[at]! ^ 1;
      expect(receive(b, [{ ...good!, header }])).toEqual([]);
    }
    let counted = protectedOctets.length - 2;
    for (let at = 0; at < good!.bytes.length; at++) {
      if (at === 1 || (at >= 4 && at < 8)) continue;
      const bytes = Uint8Array.from(good!.bytes);
      bytes[at] = bytes[at]! ^ 0x80;
      expect(receive(b, [{ ...good!, bytes }])).toEqual([]);
      counted++;
    }
    expect(b.drops("notAuthentic")).toBe(counted);
    const base = slotOffset(b.table, findBySpi(b.table, spis.bInbound));
    expect(b.table.f64[(base + Slot.REPLAY_HIGHEST) / 8]).toBe(0);
    expect(receive(b, [good!, good!])).toHaveLength(1);
    expect(receive(b, [good!])).toHaveLength(0);
    expect(b.drops("replayed")).toBe(2);
  });

  test("[AH-12] an SPI of AH is none of ESP, nor the other way round, and lengths are the SA's", () => {
    const { a, b } = tunnel();
    const [ah] = sealed(a, packet(LAN));
    const asEsp = Uint8Array.from(ah!.header!);
    asEsp[9] = 50;
    expect(receive(b, [{ ...ah!, header: asEsp, bytes: ah!.bytes.slice(4) }])).toEqual([]);
    const esp = makePair({ encapsulation: "esp" });
    const [other] = sealed(esp.a, packet(LAN));
    const asAh = Uint8Array.from(ah!.header!);
    const shifted = new Uint8Array(other!.bytes.length + 4);
    shifted.set(other!.bytes, 4);
    expect(receive(esp.b, [{ ...other!, header: asAh, bytes: shifted }])).toEqual([]);
    expect([b.allDrops(), esp.b.allDrops()]).toEqual([{ unknownSpi: 1 }, { unknownSpi: 1 }]);
    const long = Uint8Array.from(ah!.bytes);
    long[1] = 7;
    expect(
      receive(b, [
        { ...ah!, bytes: long },
        { ...ah!, bytes: ah!.bytes.slice(0, 20) },
        { ...ah!, bytes: ah!.bytes.slice(0, 8) },
      ]),
    ).toEqual([]);
    expect(b.allDrops()).toEqual({ unknownSpi: 1, badAhLength: 2, shortDatagram: 1 });
  });

  test("[SPD-04] what is inside is held against the SA", () => {
    const { a, b } = tunnel({ selectors: selectors("10.0.0.0/8", "10.0.0.0/8") });
    b.setSpd([b.protect("net/lan", selectors("10.2.0.0/16", "10.1.0.0/16"))]);
    expect(carry(a, b, [packet(LAN), packet({ ...LAN, destination: "10.3.0.1" })])).toHaveLength(1);
    expect(b.allDrops()).toEqual({ noPolicy: 1 });
  });

  test("numbers end where they end", () => {
    const { a, b } = tunnel({ lastSequenceNumber: 2 });
    expect(carry(a, b, [packet(LAN), packet(LAN), packet(LAN)])).toHaveLength(2);
    expect(a.drops("sequenceExhausted")).toBe(1);
  });
});

describe.each([2, 4])("%i lanes", (lanes) => {
  const net = (side: number, pair: number) => `10.${side}.${pair}.0/24`;
  /** One SA pair for each lane. */
  function laned(options: PairOptions) {
    const pairs = Array.from({ length: lanes }, (_, i) => selectors(net(1, i), net(2, i)));
    const { a, b, spis } = tunnel({ ...options, lanes, selectors: pairs[0]!, policy: "net/0" });
    const all = [spis];
    for (let i = 1; i < lanes; i++) {
      const given = { suite: SHA_256, encapsulation: "esp" as const, ...options };
      all.push(installPair(a, b, { ...given, selectors: pairs[i]!, policy: `net/${i}` }));
    }
    a.setSpd(pairs.map((pair, i) => a.protect(`net/${i}`, pair)));
    b.setSpd(pairs.map(({ local, remote }, i) => b.protect(`net/${i}`, { local: remote, remote: local })));
    return {
      a,
      b,
      owners: all.map(({ aInbound, bInbound }) => [aInbound, bInbound].map((spi) => laneOfSpi(spi, lanes))),
    };
  }

  function crossing(a: Gateway, b: Gateway, shift: number): void {
    for (const [lane, io] of a.ios.entries())
      for (const { local, remote, ...rest } of io.sent.splice(0))
        b.ios[(lane + shift) % lanes]!.arrive({ ...rest, local: remote, remote: local });
  }

  test.each([
    ["IPv4", {}],
    ["IPv4, GMAC with ESN [AH-17]", { suite: { ...GMAC, esn: true } }],
    ["IPv6", { a: HOSTS_6.source, b: HOSTS_6.destination }],
  ])("[AH-13] over %s: each has SAs, and gets what another one reads or receives", (_, options) => {
    const { a, b, owners } = laned(options);
    expect(new Set(owners.map(([own]) => own)).size).toBe(lanes);
    expect(new Set(owners.map(([, theirs]) => theirs)).size).toBe(lanes);
    for (let shift = 0; shift < lanes; shift++) {
      const sent: Uint8Array[] = [];
      for (let lane = 0; lane < lanes; lane++)
        for (let pair = 0; pair < lanes; pair++) {
          const ends = {
            source: `10.1.${pair}.5`,
            destination: `10.2.${pair}.9`,
            ports: [1000 + lane, pair + 1] as const,
          };
          sent.push(packet({ ...ends, tos: 4 * shift }));
          a.ios[lane]!.fromHost[0]!.push(sent.at(-1)!);
        }
      a.turn();
      for (const [lane, { sent: left }] of a.ios.entries())
        for (const { bytes } of left) {
          const spi = new DataView(bytes.buffer, bytes.byteOffset).getUint32(4);
          expect(a.dataPlane.pairs().find(({ outboundSpi }) => outboundSpi === spi)).toBeDefined();
          const pair = a.dataPlane.pairs().find(({ outboundSpi }) => outboundSpi === spi)!;
          expect(laneOfSpi(pair.inboundSpi, lanes)).toBe(lane);
        }
      crossing(a, b, shift);
      b.turn();
      const sorted = (packets: readonly Uint8Array[]) =>
        packets.map((one) => Buffer.from(one).toString("hex")).sort();
      expect(sorted(b.ios.flatMap(({ toHost }) => toHost[0]!.splice(0)))).toEqual(sorted(sent));
    }
    // A packet in so many is read, and received, by the lane that has its SA.
    expect(a.handedOver()).toBe(lanes * lanes * (lanes - 1));
    expect(b.handedOver()).toBe(lanes * lanes * (lanes - 1));
    expect([a.allDrops(), b.allDrops()]).toEqual([{}, {}]);
  });

  test("[AH-13] packets that may be fragmented have numbers of their own, whichever lane sends them", () => {
    const { a } = laned({ handling: { df: "clear" } });
    for (let pair = 0; pair < lanes; pair++)
      for (let i = 0; i < 5; i++)
        send(a, packet({ source: `10.1.${pair}.5`, destination: `10.2.${pair}.9` }));
    a.turn();
    const sent = a.ios.map((io) => io.sent.map(({ header }) => new DataView(header!.buffer).getUint16(4)));
    expect(sent.map(({ length }) => length)).toEqual(sent.map(() => 5));
    expect(new Set(sent.flat()).size).toBe(5 * lanes);
  });

  test("[AH-13] and so they stay when the numbers begin again", () => {
    const next = Array.from({ length: lanes }, (_, lane) => lane);
    const owner = new Map<number, number>();
    for (let i = 0; i < 0x18000 / lanes; i++)
      for (const [lane, number] of next.entries()) {
        expect(owner.get(number) ?? lane).toBe(lane);
        owner.set(number, lane);
        next[lane] = identificationAfter(number, lanes);
      }
    const numbers = [...owner.keys()].toSorted((a, b) => a - b);
    expect([numbers[0], numbers.at(-1)! < 0xffff, numbers.length > 0xffff - lanes]).toEqual([0, true, true]);
  });

  test("[AH-10] in transport mode options of the header that was handed over are authenticated and delivered", () => {
    const { a, b, spis } = hosts({ lanes });
    const inner = ipv4Packet(
      { ...HOSTS, protocol: 47, options: Uint8Array.of(148, 4, 0, 1) },
      new Uint8Array(31),
    );
    const owner = laneOfSpi(spis.aInbound, lanes);
    a.ios[(owner + 1) % lanes]!.fromHost[0]!.push(inner);
    a.turn();
    const there = laneOfSpi(spis.bInbound, lanes);
    const [one] = a.ios[owner]!.sent.splice(0);
    const arrived = { ...one!, local: one!.remote, remote: one!.local };
    const other = b.ios[(there + 1) % lanes]!;
    const header = Uint8Array.from(one!.header!);
    header[header.length - 1]! ^= 1;
    other.arrive({ ...arrived, header });
    other.arrive(arrived);
    b.turn();
    expect(b.ios[there]!.toHost[0]).toEqual([inner]);
    expect([b.handedOver(), b.allDrops()]).toEqual([2, { notAuthentic: 1 }]);
  });

  test("[AH-12] a copy at each lane is delivered once", () => {
    const { a, b } = laned({});
    a.ios[0]!.fromHost[0]!.push(packet({ source: "10.1.0.5", destination: "10.2.0.9" }));
    a.turn();
    const [one] = a.ios.flatMap(({ sent }) => sent.splice(0));
    for (const io of b.ios) io.arrive({ ...one!, local: one!.remote, remote: one!.local });
    b.turn();
    expect(b.ios.flatMap(({ toHost }) => toHost[0]!)).toHaveLength(1);
    expect(b.allDrops()).toEqual({ replayed: lanes - 1 });
  });
});
