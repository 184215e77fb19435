import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { IpAddress } from "../../../src/base/ip-address.ts";
import { fragmentsOfDatagram, needsFragments } from "../../../src/io/outer-fragments.ts";
import { createPacketFields, parseIpPacket } from "../../../src/wire/ip/ip-packet.ts";
import { OuterReassembly, udpPayload } from "../dataplane/outer-reassembly.ts";
import { address } from "../dataplane/packets.ts";

const LOCAL = { address: IpAddress(address("2001:db8::1")), port: 500 };
const REMOTE = { address: IpAddress(address("2001:db8::2")), port: 4500 };
const octets = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 255);

test("what every path carries whole needs none", () => {
  expect(needsFragments(octets(1280 - 48))).toBe(false);
  expect(needsFragments(octets(1280 - 47))).toBe(true);
});

describe("a datagram over IPv6 in fragments of at most 1280 octets (RFC 8200 section 4.5)", () => {
  test("of any length arrives as it was, with ports and a right checksum", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1233, max: 65_527 }),
        fc.integer({ min: 0, max: 0xffff_ffff }),
        (length, id) => {
          const payload = octets(length);
          const fragments = fragmentsOfDatagram(LOCAL, REMOTE, payload, id);
          const system = new OuterReassembly();
          const arrived = fragments.map((fragment) => system.take(fragment));
          expect(arrived.slice(0, -1)).toEqual(fragments.slice(1).map(() => undefined));
          expect(udpPayload(arrived.at(-1)!)).toEqual({ ports: [500, 4500], payload });
          expect(Math.max(...fragments.map((fragment) => fragment.length))).toBeLessThanOrEqual(1280);
        },
      ),
      { numRuns: 40 },
    );
  });

  test("each fragment names the packet, its place and what follows", () => {
    const fragments = fragmentsOfDatagram(LOCAL, REMOTE, octets(3000), 0x89ab_cdef);
    const seen = fragments.map((fragment) => {
      const fields = createPacketFields();
      expect(parseIpPacket(fragment, 0, fragment.length, fields)).toBe(true);
      expect(fields).toMatchObject({ fragmentId: 0x89ab_cdef, fragmentProtocol: 17, hopLimit: 64 });
      return [fields.fragmentOffset, fields.moreFragments];
    });
    expect(seen).toEqual([
      [0, true],
      [1232, true],
      [2464, false],
    ]);
  });
});
