/** Internet checksums against the RFC's example and a slow, obvious sum. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { concat, fromHex } from "../../../../src/base/bytes.ts";
import {
  addToSum,
  finishSum,
  internetChecksum,
  pseudoHeaderSum,
  updateChecksum,
} from "../../../../src/wire/ip/checksum.ts";
import {
  decrementIpv4Ttl,
  ipv4ChecksumIsValid,
  setIpv4Tos,
  writeIpv4Checksum,
} from "../../../../src/wire/ip/ipv4.ts";
import { udpChecksum, writeUdpChecksum } from "../../../../src/wire/ip/udp.ts";
import { ipv4Packet, ipv6Packet, onesComplementSum } from "./packets.ts";

test("the example of RFC 1071 section 3", () => {
  expect(internetChecksum(fromHex("0001f203f4f5f6f7"), 0, 8)).toBe(0xffff - 0xddf2);
});

test("any octets at any offset, an odd number included, as the slow sum has it", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat({ max: 5 }), (octets, before) => {
      const arena = concat(new Uint8Array(before).fill(0xff), octets, Uint8Array.of(0xff));
      expect(internetChecksum(arena, before, octets.length)).toBe(0xffff - onesComplementSum(octets));
    }),
  );
});

test("the longest packet of the largest words does not overflow", () => {
  const octets = new Uint8Array(0xfffe).fill(0xff);
  expect(internetChecksum(octets, 0, octets.length)).toBe(0);
  expect(finishSum(0xffffffff)).toBe(0);
  expect(finishSum(0xffff * 0x10000)).toBe(0);
});

test("sums of even spans add up", () => {
  const octets = fromHex("0102030405060708090a");
  const parts = addToSum(addToSum(0, octets, 0, 4), octets, 4, 6);
  expect(finishSum(parts)).toBe(internetChecksum(octets, 0, 10));
});

test("an update gives what computing anew gives", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 20, maxLength: 20 }), fc.nat({ max: 0xffff }), (octets, value) => {
      const before = internetChecksum(octets, 0, 20);
      const old = octets[4]! * 256 + octets[5]!;
      octets[4] = value >> 8;
      octets[5] = value & 0xff;
      const anew = internetChecksum(octets, 0, 20);
      // Both stand for the same number where one of them is the other zero of one's complement.
      expect(updateChecksum(before, old, value) % 0xffff).toBe(anew % 0xffff);
    }),
  );
});

test("changing TOS and TTL keeps an IPv4 header checksum right", () => {
  fc.assert(
    fc.property(fc.nat(255), fc.integer({ min: 1, max: 255 }), fc.nat(255), (tos, ttl, newTos) => {
      const packet = concat(Uint8Array.of(0xff), ipv4Packet({ tos, ttl }, new Uint8Array(4)));
      expect(ipv4ChecksumIsValid(packet, 1)).toBe(true);
      setIpv4Tos(packet, 1, newTos);
      decrementIpv4Ttl(packet, 1);
      expect([packet[2], packet[9]]).toEqual([newTos, ttl - 1]);
      expect(ipv4ChecksumIsValid(packet, 1)).toBe(true);
      packet[1 + 15]! ^= 1;
      expect(ipv4ChecksumIsValid(packet, 1)).toBe(false);
      writeIpv4Checksum(packet, 1);
      expect(ipv4ChecksumIsValid(packet, 1)).toBe(true);
    }),
  );
});

test("a header with options is summed as a whole", () => {
  const packet = ipv4Packet({ options: fromHex("0102030405060708") }, new Uint8Array(0));
  expect(ipv4ChecksumIsValid(packet, 0)).toBe(true);
  packet[27]! ^= 1;
  expect(ipv4ChecksumIsValid(packet, 0)).toBe(false);
});

test.each([
  [4, 20, 12, 4],
  [6, 40, 8, 16],
] as const)(
  "the UDP checksum over IPv%i covers addresses, protocol, length and data",
  (family, at, addresses, length) => {
    const datagram = fromHex("01f401f4000b0000616263");
    const packet = family === 4 ? ipv4Packet({}, datagram) : ipv6Packet({}, datagram);
    writeUdpChecksum(packet, at, datagram.length, addresses, length);
    const pseudo = concat(
      packet.subarray(addresses, addresses + 2 * length),
      Uint8Array.of(0, 17, 0, datagram.length),
    );
    expect(onesComplementSum(concat(pseudo, packet.subarray(at)))).toBe(0xffff);
    const sum = pseudoHeaderSum(packet, addresses, length, 17, datagram.length);
    expect(finishSum(addToSum(sum, packet, at, datagram.length))).toBe(0);
  },
);

test("a UDP checksum that comes out as zero is sent as all ones", () => {
  const packet = ipv4Packet({}, fromHex("00000000000a00000000"));
  writeUdpChecksum(packet, 20, 10, 12, 4);
  const first = udpChecksum(packet, 20);
  packet[28] = first >> 8;
  packet[29] = first & 0xff;
  writeUdpChecksum(packet, 20, 10, 12, 4);
  expect(udpChecksum(packet, 20)).toBe(0xffff);
});
