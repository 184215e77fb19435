/** AH's header, what its integrity check sees of an IP header, and where it stands (RFC 4302). */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../../../src/base/bytes.ts";
import {
  ahHeaderLength,
  ahNextHeader,
  ahReceivedLength,
  ahSequence,
  ahSpi,
  writeAhHeader,
} from "../../../../src/wire/ah/ah-header.ts";
import { maskIpv4, maskIpv6 } from "../../../../src/wire/ah/mutable-fields.ts";
import { IpProtocol } from "../../../../src/wire/ip/protocol.ts";
import { findSecurityPlace } from "../../../../src/wire/ip/security-place.ts";
import { extensionHeader, fragmentHeader, ipv4Packet, ipv6Packet, ports } from "../ip/packets.ts";

const { AH, TCP, UDP, HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS } = IpProtocol;

describe("the header", () => {
  test.each([
    [12, 4, 24, 4],
    [12, 6, 24, 4],
    [16, 4, 28, 5],
    [16, 6, 32, 6],
    [24, 4, 36, 7],
    [24, 6, 40, 8],
    [32, 4, 44, 9],
    [32, 6, 48, 10],
  ])(
    "[AH-01] [AH-08] with an ICV of %i octets over IPv%i has %i, and says %i",
    (icv, family, length, words) => {
      expect(ahHeaderLength(icv, family)).toBe(length);
      const bytes = new Uint8Array(3 + length + 2).fill(0xee);
      writeAhHeader(bytes, 3, length, UDP, 0xc0ffee01);
      expect(toHex(bytes)).toBe(
        `eeeeee11${words.toString(16).padStart(2, "0")}0000c0ffee01${"00".repeat(length - 8)}eeee`,
      );
      expect([ahReceivedLength(bytes, 3), ahNextHeader(bytes, 3), ahSpi(bytes, 3)]).toEqual([
        length,
        UDP,
        0xc0ffee01,
      ]);
    },
  );

  test("[AH-02] the reserved field is sent as zero, and plays no part in reading the others", () => {
    const bytes = fromHex(`0604${"ffff"}fedcba9880000001${"00".repeat(12)}`);
    expect([ahNextHeader(bytes, 0), ahReceivedLength(bytes, 0)]).toEqual([TCP, 24]);
    expect([ahSpi(bytes, 0), ahSequence(bytes, 0)]).toEqual([0xfedcba98, 0x80000001]);
  });
});

describe("IPv4 as it counts in the ICV", () => {
  const masked = (packet: Uint8Array) => {
    const bytes = concat(Uint8Array.of(1, 2, 3), packet);
    return maskIpv4(bytes, 3) ? bytes.subarray(3) : undefined;
  };

  test("[AH-03] TOS, flags, offset, TTL and checksum are zero, everything else is as sent", () => {
    const packet = ipv4Packet(
      { protocol: AH, tos: 0xff, ttl: 255, dontFragment: true, moreFragments: true, fragmentOffset: 8 },
      new Uint8Array(40).fill(0xff),
    );
    const zeros = [1, 6, 7, 8, 10, 11];
    expect(masked(packet)).toEqual(packet.map((octet, at) => (zeros.includes(at) ? 0 : octet)));
  });

  test.each([
    ["security", "820b010203040506070809", true],
    ["extended security", "8504aabb", true],
    ["commercial security", "8604aabb", true],
    ["router alert", "94040001", true],
    ["multi-destination delivery", "95040001", true],
    ["padding", "01010100", true],
    ["record route", "070b080a0000010a00000200", false],
    ["time stamp", "44080500aabbccdd", false],
    ["traceroute", "520c1234567890abcdef1234", false],
    ["an option that nobody knows", "5e06aabbccdd0000", false],
  ])("[AH-04] %s", (_, hex, isImmutable) => {
    const options = fromHex(hex.padEnd(Math.ceil(hex.length / 8) * 8, "0"));
    const packet = ipv4Packet({ protocol: AH, options }, new Uint8Array(24));
    const image = masked(packet)!;
    const after = image.subarray(20, 20 + options.length);
    expect(after).toEqual(isImmutable ? options : new Uint8Array(options.length));
    expect(image.subarray(20 + options.length)).toEqual(new Uint8Array(24));
  });

  test("[AH-07] a source route counts as zeros, and the destination as the last address of the route", () => {
    for (const type of ["83", "89"]) {
      const options = fromHex(`${type}0b040a0000010a00000201`);
      const packet = ipv4Packet(
        { protocol: AH, options: concat(options, new Uint8Array(1)) },
        new Uint8Array(24),
      );
      const image = masked(packet)!;
      expect(toHex(image.subarray(16, 20))).toBe("0a000002");
      expect(image.subarray(20, 31)).toEqual(new Uint8Array(11));
    }
  });

  test.each(["0701", "07", "0700", "8303", "830604010203", "44ff"])(
    "options that cannot be read: %s",
    (hex) => {
      const options = fromHex(hex.padStart(8, "01"));
      expect(masked(ipv4Packet({ protocol: AH, options }, new Uint8Array(24)))).toBeUndefined();
    },
  );
});

describe("IPv6 as it counts in the ICV", () => {
  const ah = new Uint8Array(24);
  const masked = (first: number, chain: Uint8Array) => {
    const packet = ipv6Packet({ nextHeader: first, trafficClass: 0xff, hopLimit: 255 }, concat(chain, ah));
    const bytes = concat(Uint8Array.of(9), packet);
    return maskIpv6(bytes, 1, 1 + 40 + chain.length) ? { packet, image: bytes.subarray(1) } : undefined;
  };

  test("[AH-05] traffic class, flow label and hop limit are zero", () => {
    const { packet, image } = masked(AH, new Uint8Array(0))!;
    const expected = Uint8Array.from(packet);
    expected.set([0x60, 0, 0, 0]);
    expected[7] = 0;
    expect(image).toEqual(expected);
  });

  test("[AH-06] options that may change count as zeros behind their length, others as sent", () => {
    const options = fromHex("33023e03aabbcc1e03ddeeff00c201ab3e00010400000000");
    for (const type of [HOP_BY_HOP, DESTINATION_OPTIONS]) {
      const { image } = masked(type, options)!;
      expect(toHex(image.subarray(40, 40 + 24))).toBe(
        "3302" + "3e03000000" + "1e03ddeeff" + "00" + "c201ab" + "3e00" + "010400000000",
      );
    }
  });

  test("[AH-07] a type 0 routing header counts in its final form, at every place of the way", () => {
    const address = (last: number) =>
      fromHex(`20010db8000000000000000000${"00".repeat(2)}${last.toString(16).padStart(2, "0")}`);
    const header = (left: number, ...addresses: number[]) =>
      concat(Uint8Array.of(AH, addresses.length * 2, 0, left, 0, 0, 0, 0), ...addresses.map(address));
    const images = [
      [1, 3, 0x11, 0x12, 0x13],
      [0x11, 2, 1, 0x12, 0x13],
      [0x12, 1, 1, 0x11, 0x13],
      [0x13, 0, 1, 0x11, 0x12],
    ].map(([destination, left, ...addresses]) => {
      const chain = header(left!, ...addresses);
      const packet = ipv6Packet({ nextHeader: ROUTING }, concat(chain, ah));
      packet.set(address(destination!), 24);
      expect(maskIpv6(packet, 0, 40 + chain.length)).toBe(true);
      return toHex(packet);
    });
    expect(new Set(images).size).toBe(1);
    expect(images[0]).toContain(toHex(header(0, 1, 0x11, 0x12)));
  });

  test.each([
    ["a routing header of another type", ROUTING, fromHex("3300040000000000")],
    ["more segments left than addresses", ROUTING, fromHex("3300000100000000")],
    ["a fragment header", FRAGMENT, fragmentHeader(AH, 0, false)],
    ["another protocol in front", TCP, extensionHeader(AH)],
    ["a chain that leads elsewhere", HOP_BY_HOP, extensionHeader(UDP)],
    ["a header that passes AH", HOP_BY_HOP, fromHex("3301000000000000")],
    ["an option that passes its header", HOP_BY_HOP, fromHex("33003e0500000000")],
    ["an option without length", HOP_BY_HOP, fromHex("330000000000003e")],
  ])("%s is refused", (_, first, chain) => {
    expect(masked(first, chain)).toBeUndefined();
  });

  test("no input makes it write outside of the headers", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 40, maxLength: 400 }), fc.nat(400), (octets, ahAt) => {
        const guarded = concat(octets, new Uint8Array(64).fill(0xa5));
        maskIpv6(guarded, 0, Math.min(ahAt, octets.length));
        expect(guarded.subarray(octets.length).every((octet) => octet === 0xa5)).toBe(true);
        const four = concat(octets, new Uint8Array(64).fill(0xa5));
        four[0] = 0x40 | Math.min(15, octets.length >> 2);
        maskIpv4(four, 0);
        expect(four.subarray(octets.length).every((octet) => octet === 0xa5)).toBe(true);
      }),
    );
  });
});

describe("[AH-10] the place in transport mode", () => {
  const place = { offset: 0, nextHeaderAt: 0 };
  const find = (packet: Uint8Array) => {
    const bytes = concat(Uint8Array.of(7, 7), packet);
    return findSecurityPlace(bytes, 2, bytes.length, place) ? [place.offset, place.nextHeaderAt] : undefined;
  };

  test("is behind the IPv4 header and its options", () => {
    expect(find(ipv4Packet({ protocol: UDP }, ports(1, 2)))).toEqual([20, 9]);
    expect(find(ipv4Packet({ protocol: UDP, options: new Uint8Array(12) }, ports(1, 2)))).toEqual([32, 9]);
  });

  test.each<[string, number, Uint8Array[], number[]]>([
    ["nothing", UDP, [], [40, 6]],
    ["hop-by-hop", HOP_BY_HOP, [extensionHeader(UDP, 16)], [56, 40]],
    ["destination options alone, which stay behind", DESTINATION_OPTIONS, [extensionHeader(UDP)], [40, 6]],
    [
      "destination options in front of a route, others behind",
      HOP_BY_HOP,
      [
        extensionHeader(DESTINATION_OPTIONS),
        extensionHeader(ROUTING, 16),
        extensionHeader(DESTINATION_OPTIONS, 24),
        extensionHeader(UDP),
      ],
      [40 + 8 + 16 + 24, 40 + 8 + 16],
    ],
    ["a fragment header", FRAGMENT, [fragmentHeader(UDP, 0, false)], [48, 40]],
  ])("of IPv6 with %s", (_, first, chain, expected) => {
    expect(find(ipv6Packet({ nextHeader: first }, concat(...chain, ports(1, 2))))).toEqual(expected);
  });

  test("a chain that runs past the packet has none", () => {
    expect(
      find(ipv6Packet({ nextHeader: HOP_BY_HOP }, extensionHeader(UDP, 64).subarray(0, 16))),
    ).toBeUndefined();
  });
});
