/** rtnetlink's messages: what is written is what the kernel's headers say, and nothing that is read leaves its span. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../../../src/base/bytes.ts";
import { IpAddress, parseIpAddress } from "../../../../src/base/ip-address.ts";
import {
  decodeAttributes,
  decodeNetlinkMessages,
  encodeAttributes,
  encodeNetlinkMessage,
  netlinkStatus,
} from "../../../../src/wire/netlink/netlink-message.ts";
import {
  decodeAddress,
  decodeLink,
  decodeRoute,
  encodeAddress,
  encodeLinkUp,
  encodeRouteQuestion,
} from "../../../../src/wire/netlink/route-messages.ts";
import { WireError } from "../../../../src/wire/wire-error.ts";

const address = (text: string) => IpAddress(parseIpAddress(text)!);

test("requests are written as the kernel's headers lay them out", () => {
  // Structures are in the machine's byte order; these are those of a machine that writes the low octet first.
  expect(toHex(encodeLinkUp(5, 1400, 250))).toBe(
    `${"00000000"}${"05000000"}${"01000000"}${"01000000"}${"0800040078050000"}${"08000d00fa000000"}`,
  );
  expect(toHex(encodeAddress(7, address("10.1.2.3"), 24))).toBe(
    `${"02180000"}${"07000000"}${"080001000a010203"}${"080002000a010203"}`,
  );
  expect(toHex(encodeAddress(7, address("fd00::1"), 64))).toBe(
    `${"0a400000"}${"07000000"}${"14000100fd000000000000000000000000000001"}`,
  );
  const question = { destination: address("10.9.9.9"), source: address("10.1.1.1"), inputLink: 3, mark: 7 };
  expect(toHex(encodeRouteQuestion({ ...question, isStored: true }))).toBe(
    `${"02202000"}${"00000000"}${"00200000"}${"080001000a090909"}${"080002000a010101"}${"0800030003000000"}${"0800100007000000"}`,
  );
  const message = { type: 26, flags: 5, sequence: 9, body: Uint8Array.of(1, 2, 3, 4) };
  expect(toHex(encodeNetlinkMessage(message))).toBe("140000001a000500090000000000000001020304");
  expect(decodeNetlinkMessages(encodeNetlinkMessage(message))).toEqual([message]);
});

test("an address that duplicate address detection has not passed is told as such, by either field of flags", () => {
  const head = (flags: number) => Uint8Array.of(10, 64, flags, 0, 3, 0, 0, 0);
  const held = encodeAttributes(new Map([[1, address("fd00::1")]]));
  expect(decodeAddress(concat(head(0x80), held)).isTentative).toBe(false);
  expect(decodeAddress(concat(head(0x40), held)).isTentative).toBe(true);
  expect(decodeAddress(concat(head(0x08), held)).isTentative).toBe(true);
  // The wider field decides where it is there.
  const wide = encodeAttributes(new Map([[8, fromHex("80000000")]]));
  expect(decodeAddress(concat(head(0x40), held, wide)).isTentative).toBe(false);
});

test("attributes survive the way, whatever their length", () => {
  const value = fc.uint8Array({ maxLength: 40 });
  const attributes = fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 0x3fff }), value), {
    selector: ([type]) => type,
  });
  fc.assert(
    fc.property(attributes, (pairs) => {
      expect([...decodeAttributes(encodeAttributes(new Map(pairs)))]).toEqual(pairs);
    }),
  );
});

test("whatever the octets, the decoders end with a value or a WireError", () => {
  const decoders = [decodeNetlinkMessages, decodeAttributes, decodeLink, decodeAddress, decodeRoute];
  const almost = fc
    .tuple(fc.uint8Array({ minLength: 16, maxLength: 80 }), fc.nat(79), fc.nat(40))
    .map(([octets, at, length]) => {
      // A length that may be right, and lead further.
      if (at + 1 < octets.length) octets.set([length, 0], at & ~3);
      return octets;
    });
  fc.assert(
    fc.property(almost, fc.nat(decoders.length - 1), (octets, i) => {
      try {
        const decoded = decoders[i]!(octets);
        if (Array.isArray(decoded)) for (const { body } of decoded) expect(body.length).toBeLessThan(80);
      } catch (error) {
        expect(error).toBeInstanceOf(WireError);
      }
    }),
    { numRuns: 2000 },
  );
});

test("an error without its number is none, an end without one is well", () => {
  const base = { flags: 0, sequence: 1 };
  expect(netlinkStatus({ ...base, type: 3, body: new Uint8Array(0) })).toBe(0);
  expect(netlinkStatus({ ...base, type: 2, body: fromHex("edffffff00") })).toBe(-19);
  expect(() => netlinkStatus({ ...base, type: 2, body: new Uint8Array(3) })).toThrow(WireError);
});
