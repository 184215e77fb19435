/** What the parser reads of IP packets, and which it refuses. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat, fromHex } from "../../../../src/base/bytes.ts";
import { createPacketFields, parseIpPacket, parseQuotedPacket } from "../../../../src/wire/ip/ip-packet.ts";
import { MAX_EXTENSION_HEADERS } from "../../../../src/wire/ip/ipv6.ts";
import { IpProtocol } from "../../../../src/wire/ip/protocol.ts";
import { extensionHeader, fragmentHeader, icmp, ipv4Packet, ipv6Packet, ports } from "./packets.ts";

const { TCP, UDP, ICMP, ICMPV6, HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS, AH, ESP, GRE } =
  IpProtocol;

/** Parses octets that lie between others; `undefined` when they are refused. */
function parse(packet: Uint8Array, length = packet.length) {
  const arena = concat(new Uint8Array(7).fill(0x45), packet, new Uint8Array(64).fill(0xff));
  const fields = createPacketFields();
  return parseIpPacket(arena, 7, length, fields) ? fields : undefined;
}

function words(fields: { readonly source: Uint32Array; readonly destination: Uint32Array } | undefined) {
  return [...(fields?.source ?? []), ...(fields?.destination ?? [])];
}

describe("IPv4", () => {
  test("every field", () => {
    const fields = parse(
      ipv4Packet(
        {
          source: "192.0.2.1",
          destination: "255.0.0.254",
          protocol: TCP,
          tos: 0xb9,
          ttl: 3,
          dontFragment: true,
        },
        ports(65535, 443),
      ),
    );
    expect(words(fields)).toEqual([0xc0000201, 0, 0, 0, 0xff0000fe, 0, 0, 0]);
    expect(fields).toMatchObject({
      family: 4,
      protocol: TCP,
      sourcePort: 65535,
      destinationPort: 443,
      hasPorts: true,
      isOpaque: false,
      isFragment: false,
      fragmentOffset: 0,
      dontFragment: true,
      headerLength: 20,
      totalLength: 40,
      tos: 0xb9,
      hopLimit: 3,
    });
  });

  test("options are passed over", () => {
    const fields = parse(ipv4Packet({ protocol: UDP, options: new Uint8Array(40) }, ports(53, 5353)));
    expect(fields).toMatchObject({
      headerLength: 60,
      totalLength: 80,
      sourcePort: 53,
      destinationPort: 5353,
    });
  });

  test("octets behind the total length are no part of the packet", () => {
    const packet = ipv4Packet({ protocol: UDP }, ports(1, 2).subarray(0, 2));
    expect(parse(concat(packet, Uint8Array.of(0xff, 0xff)))).toMatchObject({
      totalLength: 22,
      hasPorts: false,
      isOpaque: true,
    });
  });

  test("what is cut off or contradicts itself is refused", () => {
    const packet = ipv4Packet({}, ports(1, 2));
    expect(parse(packet)).toBeDefined();
    for (let length = 0; length < packet.length; length++) expect(parse(packet, length)).toBeUndefined();
    const changed = (at: number, value: number) => {
      const copy = Uint8Array.from(packet);
      copy[at] = value;
      return parse(copy);
    };
    expect(changed(0, 0x44)).toBeUndefined();
    expect(changed(0, 0x4b)).toBeUndefined();
    expect(changed(0, 0x4a)).toMatchObject({ headerLength: 40, isOpaque: true });
    expect(changed(0, 0x55)).toBeUndefined();
    expect(changed(0, 0x05)).toBeUndefined();
    expect(changed(3, packet.length + 1)).toBeUndefined();
    expect(changed(3, 19)).toBeUndefined();
    expect(changed(3, 20)).toMatchObject({ totalLength: 20, hasPorts: false });
  });

  test("fragments: the first has ports, later ones are opaque", () => {
    const first = parse(ipv4Packet({ protocol: UDP, moreFragments: true }, ports(500, 4500)));
    expect(first).toMatchObject({ isFragment: true, fragmentOffset: 0, hasPorts: true, sourcePort: 500 });
    const later = parse(
      ipv4Packet({ protocol: UDP, fragmentOffset: 8, moreFragments: true }, ports(500, 4500)),
    );
    expect(later).toMatchObject({
      isFragment: true,
      fragmentOffset: 8,
      hasPorts: false,
      isOpaque: true,
      sourcePort: 0,
      destinationPort: 0,
    });
    const last = parse(ipv4Packet({ protocol: UDP, fragmentOffset: 65528 }, new Uint8Array(7)));
    expect(last).toMatchObject({ isFragment: true, fragmentOffset: 65528, isOpaque: true });
  });
});

test("fragments say which packet they belong to, and how much of it they hold", () => {
  const four = ipv4Packet(
    { protocol: UDP, fragmentOffset: 8, moreFragments: true, options: new Uint8Array(8) },
    new Uint8Array(24),
  );
  expect(parse(four)).toMatchObject({
    moreFragments: true,
    fragmentId: 0x1234,
    fragmentLength: 24,
    fragmentProtocol: UDP,
  });
  const header = fragmentHeader(DESTINATION_OPTIONS, 0, true);
  new DataView(header.buffer).setUint32(4, 0xfedcba98);
  const first = concat(extensionHeader(FRAGMENT), header, extensionHeader(UDP, 16), ports(7, 8));
  expect(parse(ipv6Packet({ nextHeader: ROUTING }, first))).toMatchObject({
    moreFragments: true,
    fragmentId: 0xfedcba98,
    fragmentLength: 16 + 20,
    fragmentProtocol: DESTINATION_OPTIONS,
    protocol: UDP,
    headerLength: 40 + 8 + 8 + 16,
  });
  expect(parse(ipv6Packet({ nextHeader: ROUTING }, concat(extensionHeader(UDP), ports(7, 8))))).toMatchObject(
    {
      moreFragments: false,
      fragmentId: 0,
      fragmentLength: 20,
      fragmentProtocol: UDP,
    },
  );
});

test("a first fragment must hold the whole chain of headers (RFC 7112 section 5)", () => {
  const cut = concat(fragmentHeader(DESTINATION_OPTIONS, 0, true), extensionHeader(UDP, 16).subarray(0, 8));
  expect(parse(ipv6Packet({ nextHeader: FRAGMENT }, cut))).toBeUndefined();
});

describe("ports and what stands in for them", () => {
  test.each([
    ["TCP", TCP, 4],
    ["UDP", UDP, 4],
    ["SCTP", IpProtocol.SCTP, 4],
    ["DCCP", IpProtocol.DCCP, 4],
    ["UDP-Lite", IpProtocol.UDP_LITE, 4],
  ])("%s has ports when they are whole", (_name, protocol, needed) => {
    const octets = ports(0x1234, 0x5678);
    expect(parse(ipv4Packet({ protocol }, octets.subarray(0, needed)))).toMatchObject({
      hasPorts: true,
      isOpaque: false,
      sourcePort: 0x1234,
      destinationPort: 0x5678,
    });
    expect(parse(ipv6Packet({ nextHeader: protocol }, octets.subarray(0, needed - 1)))).toMatchObject({
      hasPorts: false,
      isOpaque: true,
    });
  });

  test("ICMP has type and code in both, in its own family only", () => {
    const both = { hasPorts: true, sourcePort: 3 * 256 + 4, destinationPort: 3 * 256 + 4 };
    expect(parse(ipv4Packet({ protocol: ICMP }, icmp(3, 4)))).toMatchObject(both);
    expect(parse(ipv6Packet({ nextHeader: ICMPV6 }, icmp(3, 4)))).toMatchObject(both);
    expect(parse(ipv4Packet({ protocol: ICMP }, icmp(3, 4).subarray(0, 2)))).toMatchObject(both);
    expect(parse(ipv4Packet({ protocol: ICMP }, Uint8Array.of(3)))).toMatchObject({ isOpaque: true });
    const none = { hasPorts: false, isOpaque: false };
    expect(parse(ipv4Packet({ protocol: ICMPV6 }, icmp(3, 4)))).toMatchObject(none);
    expect(parse(ipv6Packet({ nextHeader: ICMP }, icmp(3, 4)))).toMatchObject(none);
  });

  test("a Mobility Header has its type in the upper octet", () => {
    const header = fromHex("3b00050000000000");
    const fields = parse(ipv6Packet({ nextHeader: IpProtocol.MOBILITY }, header));
    expect(fields).toMatchObject({ hasPorts: true, sourcePort: 5 * 256, destinationPort: 5 * 256 });
  });

  test("protocols without ports have none, and nothing is opaque about that", () => {
    for (const protocol of [GRE, ESP, AH, IpProtocol.IPV4, IpProtocol.NO_NEXT_HEADER, 255]) {
      expect(parse(ipv4Packet({ protocol }, new Uint8Array(8)))).toMatchObject({
        hasPorts: false,
        isOpaque: false,
      });
    }
  });
});

describe("IPv6", () => {
  test("every field", () => {
    const fields = parse(
      ipv6Packet(
        {
          source: "2001:db8::1",
          destination: "fe80:0:0:ffff::8000:2",
          nextHeader: UDP,
          trafficClass: 0xb9,
          hopLimit: 255,
        },
        ports(500, 4500),
      ),
    );
    expect(words(fields)).toEqual([0x20010db8, 0, 0, 1, 0xfe800000, 0x0000ffff, 0, 0x80000002]);
    expect(fields).toMatchObject({
      family: 6,
      protocol: UDP,
      sourcePort: 500,
      destinationPort: 4500,
      hasPorts: true,
      isFragment: false,
      dontFragment: true,
      headerLength: 40,
      totalLength: 60,
      tos: 0xb9,
      hopLimit: 255,
    });
  });

  test("extension headers are passed over; AH and ESP are what they carry", () => {
    const chain = concat(
      extensionHeader(DESTINATION_OPTIONS),
      extensionHeader(ROUTING, 16),
      extensionHeader(DESTINATION_OPTIONS, 24),
      extensionHeader(TCP, 2048),
    );
    const fields = parse(ipv6Packet({ nextHeader: HOP_BY_HOP }, concat(chain, ports(22, 2222))));
    expect(fields).toMatchObject({ protocol: TCP, headerLength: 40 + 8 + 16 + 24 + 2048, sourcePort: 22 });
    for (const protocol of [AH, ESP]) {
      const packet = ipv6Packet(
        { nextHeader: ROUTING },
        concat(extensionHeader(protocol), new Uint8Array(24)),
      );
      expect(parse(packet)).toMatchObject({ protocol, headerLength: 48, hasPorts: false });
    }
  });

  test("chains as long as allowed and one longer", () => {
    const chain = (count: number) => {
      const headers = Array.from({ length: count }, (_, i) =>
        extensionHeader(i === count - 1 ? UDP : DESTINATION_OPTIONS),
      );
      return parse(ipv6Packet({ nextHeader: DESTINATION_OPTIONS }, concat(...headers, ports(1, 2))));
    };
    expect(chain(MAX_EXTENSION_HEADERS)).toMatchObject({ protocol: UDP, sourcePort: 1 });
    expect(chain(MAX_EXTENSION_HEADERS + 1)).toBeUndefined();
  });

  test("headers out of place or past the end are refused", () => {
    const late = concat(extensionHeader(HOP_BY_HOP), extensionHeader(UDP), ports(1, 2));
    expect(parse(ipv6Packet({ nextHeader: DESTINATION_OPTIONS }, late))).toBeUndefined();
    expect(parse(ipv6Packet({ nextHeader: DESTINATION_OPTIONS }, extensionHeader(UDP, 16)))).toBeDefined();
    const long = extensionHeader(UDP, 16);
    expect(parse(ipv6Packet({ nextHeader: DESTINATION_OPTIONS }, long.subarray(0, 15)))).toBeUndefined();
    expect(parse(ipv6Packet({ nextHeader: DESTINATION_OPTIONS }, long.subarray(0, 7)))).toBeUndefined();
    expect(parse(ipv6Packet({ nextHeader: FRAGMENT }, long.subarray(0, 7)))).toBeUndefined();
    const twice = concat(fragmentHeader(FRAGMENT, 0, true), fragmentHeader(UDP, 0, true), ports(1, 2));
    expect(parse(ipv6Packet({ nextHeader: FRAGMENT }, twice))).toBeUndefined();
  });

  test("what is cut off is refused, jumbograms too", () => {
    const packet = ipv6Packet({ nextHeader: UDP }, ports(1, 2));
    for (let length = 0; length < packet.length; length++) expect(parse(packet, length)).toBeUndefined();
    const jumbo = ipv6Packet({ nextHeader: HOP_BY_HOP }, concat(extensionHeader(UDP), ports(1, 2)));
    jumbo.fill(0, 4, 6);
    expect(parse(jumbo)).toBeUndefined();
  });

  test("fragments: the first has ports, later ones are opaque and name what their header names", () => {
    const fragment = (next: number, offset: number, more: boolean) =>
      parse(ipv6Packet({ nextHeader: FRAGMENT }, concat(fragmentHeader(next, offset, more), ports(7, 8))));
    expect(fragment(UDP, 0, true)).toMatchObject({
      isFragment: true,
      hasPorts: true,
      sourcePort: 7,
      headerLength: 48,
    });
    expect(fragment(UDP, 8, true)).toMatchObject({
      isFragment: true,
      fragmentOffset: 8,
      isOpaque: true,
      protocol: UDP,
    });
    expect(fragment(DESTINATION_OPTIONS, 65528, false)).toMatchObject({
      isFragment: true,
      fragmentOffset: 65528,
      isOpaque: true,
      protocol: DESTINATION_OPTIONS,
      headerLength: 48,
    });
    expect(fragment(UDP, 0, false)).toMatchObject({ isFragment: false, hasPorts: true, destinationPort: 8 });
  });
});

describe("quoted packets", () => {
  const fields = createPacketFields();
  const quoted = createPacketFields();

  function quotationOf(packet: Uint8Array) {
    const arena = concat(new Uint8Array(3), packet);
    if (!parseIpPacket(arena, 3, packet.length, fields)) throw new Error("the error itself is malformed");
    return parseQuotedPacket(arena, 3, fields, quoted) ? quoted : undefined;
  }

  test("8 octets behind the IP header are enough for the ports", () => {
    const inner = ipv4Packet(
      { source: "10.9.0.1", protocol: TCP },
      concat(ports(80, 1024), new Uint8Array(1000)),
    );
    const found = quotationOf(ipv4Packet({ protocol: ICMP }, icmp(3, 4, inner.subarray(0, 28))));
    expect(found).toMatchObject({ protocol: TCP, sourcePort: 80, destinationPort: 1024, totalLength: 1040 });
    expect(found?.source[0]).toBe(0x0a090001);
  });

  test("IPv6 with extension headers", () => {
    const inner = ipv6Packet({ nextHeader: ROUTING }, concat(extensionHeader(UDP), ports(53, 5353)));
    const found = quotationOf(ipv6Packet({ nextHeader: ICMPV6 }, icmp(2, 0, inner)));
    expect(found).toMatchObject({ family: 6, protocol: UDP, sourcePort: 53, headerLength: 48 });
  });

  test("no error, no quotation, the other family, a quotation cut off in its header", () => {
    const inner = ipv4Packet({ protocol: UDP }, ports(1, 2));
    expect(quotationOf(ipv4Packet({ protocol: ICMP }, icmp(8, 0, inner)))).toBeUndefined();
    expect(quotationOf(ipv4Packet({ protocol: UDP }, icmp(3, 0, inner)))).toBeUndefined();
    expect(quotationOf(ipv4Packet({ protocol: ICMP }, icmp(3, 0)))).toBeUndefined();
    expect(quotationOf(ipv4Packet({ protocol: ICMP }, icmp(3, 0, inner.subarray(0, 19))))).toBeUndefined();
    expect(quotationOf(ipv4Packet({ protocol: ICMP }, icmp(3, 0, inner.subarray(0, 20))))).toMatchObject({
      isOpaque: true,
    });
    expect(quotationOf(ipv6Packet({ nextHeader: ICMPV6 }, icmp(1, 0, inner)))).toBeUndefined();
    expect(
      quotationOf(ipv6Packet({ nextHeader: ICMPV6 }, icmp(128, 0, ipv6Packet({}, ports(1, 2))))),
    ).toBeUndefined();
    const later = ipv4Packet({ protocol: ICMP, fragmentOffset: 8 }, icmp(3, 0, inner));
    expect(quotationOf(later)).toBeUndefined();
  });
});

test("the struct keeps nothing of the packet before", () => {
  const fields = createPacketFields();
  const packet = fc.oneof(
    fc
      .tuple(fc.nat(255), fc.uint8Array({ maxLength: 30 }))
      .map(([protocol, data]) => ipv4Packet({ protocol }, data)),
    fc
      .tuple(fc.nat(255), fc.uint8Array({ maxLength: 60 }))
      .map(([nextHeader, data]) => ipv6Packet({ nextHeader }, data)),
  );
  fc.assert(
    fc.property(packet, (bytes) => {
      const anew = createPacketFields();
      const isGood = parseIpPacket(bytes, 0, bytes.length, fields);
      expect(parseIpPacket(bytes, 0, bytes.length, anew)).toBe(isGood);
      if (isGood)
        expect({ ...fields, extensionHeaders: undefined }).toEqual({ ...anew, extensionHeaders: undefined });
      parseIpPacket(
        ipv6Packet({ nextHeader: FRAGMENT }, concat(fragmentHeader(6, 8, true), data)),
        0,
        60,
        fields,
      );
    }),
  );
});

const data = new Uint8Array(12).fill(0xff);
