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
import { ipv4ChecksumIsValid, setIpv4Tos, writeIpv4Checksum } from "../../../../src/wire/ip/ipv4.ts";
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

test("changing the TOS octet keeps an IPv4 header checksum right", () => {
  fc.assert(
    fc.property(fc.nat(255), fc.nat(255), fc.nat(255), (tos, ttl, newTos) => {
      const packet = concat(Uint8Array.of(0xff), ipv4Packet({ tos, ttl }, new Uint8Array(4)));
      expect(ipv4ChecksumIsValid(packet, 1)).toBe(true);
      setIpv4Tos(packet, 1, newTos);
      expect([packet[2], packet[9]]).toEqual([newTos, ttl]);
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
  ["IPv4", ipv4Packet({}, fromHex("01f401f4000b0000616263")), 20, 12, 4],
  ["IPv6", ipv6Packet({}, fromHex("01f401f4000b0000616263")), 40, 8, 16],
] as const)(
  "the pseudo header of %s covers addresses, protocol and length",
  (_name, packet, at, addresses, octets) => {
    const pseudo = concat(packet.subarray(addresses, addresses + 2 * octets), Uint8Array.of(0, 17, 0, 11));
    const sum = pseudoHeaderSum(packet, addresses, octets, 17, 11);
    expect(finishSum(sum)).toBe(0xffff - onesComplementSum(pseudo));
    expect(finishSum(addToSum(sum, packet, at, 11))).toBe(
      0xffff - onesComplementSum(concat(pseudo, packet.subarray(at))),
    );
  },
);

test("an upper length of more than 16 bits counts as two words", () => {
  const addresses = new Uint8Array(32);
  expect(finishSum(pseudoHeaderSum(addresses, 0, 16, 58, 0x10001))).toBe(0xffff - (58 + 1 + 1));
});
