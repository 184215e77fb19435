/** ICMP errors: their octets, how much they quote, and what they never answer. */
import { describe, expect, test } from "vitest";
import { concat, toHex } from "../../../../src/base/bytes.ts";
import { Icmpv4Type, mayAnswerWithError, quotesPacket } from "../../../../src/wire/ip/icmp.ts";
import { ICMP_ERROR_LENGTH_MAX, IcmpError, writeIcmpError } from "../../../../src/wire/ip/icmp-error.ts";
import { createPacketFields, parseIpPacket, parseQuotedPacket } from "../../../../src/wire/ip/ip-packet.ts";
import { ipv4ChecksumIsValid } from "../../../../src/wire/ip/ipv4.ts";
import { IpProtocol } from "../../../../src/wire/ip/protocol.ts";
import { fragmentHeader, icmp, ipv4Packet, ipv6Packet, onesComplementSum, ports } from "./packets.ts";

/** The error about a packet that lies between other octets; `undefined` when there is none. */
function errorAbout(packet: Uint8Array, error: IcmpError, mtu = 0): Uint8Array | undefined {
  const arena = concat(new Uint8Array(5), packet, new Uint8Array(9).fill(0xff));
  const fields = createPacketFields();
  if (!parseIpPacket(arena, 5, packet.length + 9, fields)) throw new Error("the packet is malformed");
  const into = new Uint8Array(ICMP_ERROR_LENGTH_MAX + 20).fill(0xee);
  const length = writeIcmpError(error, mtu, into, 10, arena, 5, fields);
  expect(into.subarray(0, 10)).toEqual(new Uint8Array(10).fill(0xee));
  expect(into.subarray(10 + length).every((octet) => octet === 0xee)).toBe(true);
  return length === 0 ? undefined : into.slice(10, 10 + length);
}

function icmpv6Sum(error: Uint8Array): number {
  const length = error.length - 40;
  const pseudo = concat(error.subarray(8, 40), Uint8Array.of(0, 0, length >> 8, length & 0xff, 0, 0, 0, 58));
  return onesComplementSum(concat(pseudo, error.subarray(40)));
}

describe("IPv4", () => {
  const packet = ipv4Packet(
    { source: "10.1.0.9", protocol: IpProtocol.UDP, tos: 0xbb, ttl: 1 },
    ports(1000, 53),
  );

  test.each([
    ["NO_ROUTE", IcmpError.NO_ROUTE, 3, 0],
    ["UNREACHABLE", IcmpError.UNREACHABLE, 3, 1],
    ["PROHIBITED", IcmpError.PROHIBITED, 3, 13],
    ["TOO_BIG", IcmpError.TOO_BIG, 3, 4],
    ["HOP_LIMIT", IcmpError.HOP_LIMIT, 11, 0],
  ])("%s", (_name, kind, type, code) => {
    const mtu = kind === IcmpError.TOO_BIG ? 1402 : 0;
    const error = errorAbout(packet, kind, mtu)!;
    expect(error.length).toBe(28 + packet.length);
    expect(ipv4ChecksumIsValid(error, 0)).toBe(true);
    expect(toHex(error.subarray(12, 20))).toBe("0a0200010a010009");
    expect([error[0], error[8], error[9]]).toEqual([0x45, 64, 1]);
    expect([error[20], error[21]]).toEqual([type, code]);
    expect(toHex(error.subarray(24, 28))).toBe(kind === IcmpError.TOO_BIG ? "0000057a" : "00000000");
    expect(onesComplementSum(error.subarray(20))).toBe(0xffff);
    expect(error.subarray(28)).toEqual(packet);
  });

  test("precedence is internetwork control, the TOS bits are the packet's, ECN is off", () => {
    expect(errorAbout(packet, IcmpError.PROHIBITED)![1]).toBe(0xc0 | 0x18);
  });

  test("a large MTU does not overflow into the field beside it", () => {
    const error = errorAbout(packet, IcmpError.TOO_BIG, 0x12345)!;
    expect(toHex(error.subarray(24, 28))).toBe("0000ffff");
  });

  test("at most 576 octets in all, and no octet behind the packet", () => {
    const length = (payload: number) => {
      const error = errorAbout(ipv4Packet({ protocol: 253 }, new Uint8Array(payload)), IcmpError.NO_ROUTE)!;
      expect(error[2]! * 256 + error[3]!).toBe(error.length);
      return error.length;
    };
    expect(length(0)).toBe(48);
    expect(length(527)).toBe(575);
    expect(length(528)).toBe(576);
    expect(length(529)).toBe(576);
    expect(length(60000)).toBe(576);
  });

  test("never about ICMP errors, or ICMP of unknown meaning", () => {
    const about = (type: number) =>
      errorAbout(ipv4Packet({ protocol: 1 }, icmp(type, 0, packet)), IcmpError.NO_ROUTE);
    for (const type of [0, 8, 9, 10, 13, 14, 15, 16, 17, 18, 42, 43]) expect(about(type)).toBeDefined();
    for (const type of [1, 2, 3, 4, 5, 6, 7, 11, 12, 19, 41, 44, 255]) expect(about(type)).toBeUndefined();
    expect(errorAbout(ipv4Packet({ protocol: 1 }, new Uint8Array(1)), IcmpError.NO_ROUTE)).toBeUndefined();
  });

  test("never about later fragments; about the first one", () => {
    const fragment = (fragmentOffset: number) =>
      errorAbout(ipv4Packet({ moreFragments: true, fragmentOffset }, ports(1, 2)), IcmpError.TOO_BIG, 1400);
    expect(fragment(0)).toBeDefined();
    expect(fragment(8)).toBeUndefined();
  });

  test.each([
    ["0.0.0.0", "10.2.0.1", false],
    ["0.1.2.3", "10.2.0.1", false],
    ["127.0.0.1", "10.2.0.1", false],
    ["224.0.0.1", "10.2.0.1", false],
    ["240.0.0.1", "10.2.0.1", false],
    ["255.255.255.255", "10.2.0.1", false],
    ["10.1.0.1", "0.0.0.0", false],
    ["10.1.0.1", "224.0.0.5", false],
    ["10.1.0.1", "239.255.255.255", false],
    ["10.1.0.1", "255.255.255.255", false],
    ["1.0.0.1", "223.255.255.255", true],
    ["223.0.0.1", "128.0.0.1", true],
  ])("from %s to %s: %s", (source, destination, isAnswered) => {
    const error = errorAbout(ipv4Packet({ source, destination }, ports(1, 2)), IcmpError.NO_ROUTE);
    expect(error !== undefined).toBe(isAnswered);
  });
});

describe("IPv6", () => {
  const packet = ipv6Packet({ nextHeader: IpProtocol.UDP, trafficClass: 0xbb }, ports(1000, 53));

  test.each([
    ["NO_ROUTE", IcmpError.NO_ROUTE, 1, 0],
    ["UNREACHABLE", IcmpError.UNREACHABLE, 1, 3],
    ["PROHIBITED", IcmpError.PROHIBITED, 1, 1],
    ["TOO_BIG", IcmpError.TOO_BIG, 2, 0],
    ["HOP_LIMIT", IcmpError.HOP_LIMIT, 3, 0],
  ])("%s", (_name, kind, type, code) => {
    const mtu = kind === IcmpError.TOO_BIG ? 0x12345678 : 0;
    const error = errorAbout(packet, kind, mtu)!;
    expect(error.length).toBe(48 + packet.length);
    expect(toHex(error.subarray(0, 8))).toBe(
      `60000000${(8 + packet.length).toString(16).padStart(4, "0")}3a40`,
    );
    expect(error.subarray(8, 24)).toEqual(packet.subarray(24, 40));
    expect(error.subarray(24, 40)).toEqual(packet.subarray(8, 24));
    expect([error[40], error[41]]).toEqual([type, code]);
    expect(toHex(error.subarray(44, 48))).toBe(kind === IcmpError.TOO_BIG ? "12345678" : "00000000");
    expect(icmpv6Sum(error)).toBe(0xffff);
    expect(error.subarray(48)).toEqual(packet);
  });

  test("at most 1280 octets in all, as the header says", () => {
    const length = (payload: number) => {
      const error = errorAbout(ipv6Packet({ nextHeader: 253 }, new Uint8Array(payload)), IcmpError.NO_ROUTE)!;
      expect(error[4]! * 256 + error[5]!).toBe(error.length - 40);
      expect(icmpv6Sum(error)).toBe(0xffff);
      return error.length;
    };
    expect(length(1191)).toBe(1279);
    expect(length(1192)).toBe(1280);
    expect(length(1193)).toBe(1280);
    expect(length(60000)).toBe(1280);
  });

  test("never about ICMPv6 errors and redirects", () => {
    const about = (type: number) =>
      errorAbout(ipv6Packet({ nextHeader: 58 }, icmp(type, 0, packet)), IcmpError.NO_ROUTE);
    for (const type of [128, 129, 135, 136, 138, 255]) expect(about(type)).toBeDefined();
    for (const type of [1, 2, 3, 4, 100, 127, 137]) expect(about(type)).toBeUndefined();
  });

  test("never about later fragments", () => {
    const fragment = (offset: number) =>
      errorAbout(
        ipv6Packet({ nextHeader: 44 }, concat(fragmentHeader(17, offset, true), ports(1, 2))),
        IcmpError.TOO_BIG,
        1400,
      );
    expect(fragment(0)).toBeDefined();
    expect(fragment(8)).toBeUndefined();
  });

  test.each([
    ["::", "2001:db8::1", false],
    ["::1", "2001:db8::1", false],
    ["ff02::1", "2001:db8::1", false],
    ["2001:db8::1", "::", false],
    ["2001:db8::1", "::1", false],
    ["2001:db8::1", "ff02::1", false],
    ["::2", "2001:db8::1", true],
    ["fe80::1", "fec0::1", true],
  ])("from %s to %s: %s", (source, destination, isAnswered) => {
    const error = errorAbout(ipv6Packet({ source, destination }, ports(1, 2)), IcmpError.TOO_BIG, 1280);
    expect(error !== undefined).toBe(isAnswered);
  });
});

test("an error quotes what a receiver finds again", () => {
  const fields = createPacketFields();
  const quoted = createPacketFields();
  for (const packet of [ipv4Packet({}, ports(7, 8)), ipv6Packet({}, ports(7, 8))]) {
    const error = errorAbout(packet, IcmpError.TOO_BIG, 1400)!;
    expect(parseIpPacket(error, 0, error.length, fields)).toBe(true);
    expect(parseQuotedPacket(error, 0, fields, quoted)).toBe(true);
    expect([quoted.sourcePort, quoted.destinationPort]).toEqual([7, 8]);
  }
});

test("no message that quotes a packet may be answered", () => {
  for (const family of [4, 6]) {
    for (let type = 0; type < 256; type++) {
      expect(quotesPacket(family, type) && mayAnswerWithError(family, type)).toBe(false);
    }
  }
  expect(quotesPacket(4, Icmpv4Type.REDIRECT)).toBe(true);
});
