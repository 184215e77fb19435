/** Fields of the IPv6 header that are written in place. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { concat } from "../../../../src/base/bytes.ts";
import { ipv6TrafficClass, setIpv6TrafficClass, writeIpv6Header } from "../../../../src/wire/ip/ipv6.ts";
import { ipv6Packet, ports } from "./packets.ts";

test("setting the traffic class touches neither version nor flow label, nor the octets beside", () => {
  fc.assert(
    fc.property(fc.nat(255), fc.nat(255), (before, after) => {
      const packet = concat(Uint8Array.of(0x5a), ipv6Packet({ trafficClass: before }, ports(1, 2)));
      setIpv6TrafficClass(packet, 1, after);
      expect(packet).toEqual(concat(Uint8Array.of(0x5a), ipv6Packet({ trafficClass: after }, ports(1, 2))));
      expect(ipv6TrafficClass(packet, 1)).toBe(after);
    }),
  );
});

test("a header is written over whatever was there, the addresses stay", () => {
  fc.assert(
    fc.property(
      fc.nat(0xffff),
      fc.nat(255),
      fc.nat(255),
      fc.nat(255),
      (length, next, trafficClass, hopLimit) => {
        const packet = ipv6Packet({ nextHeader: next, trafficClass, hopLimit }, new Uint8Array(0));
        packet[4] = length >> 8;
        packet[5] = length & 0xff;
        packet[1]! &= 0xf0;
        packet.fill(0, 2, 4);
        const written = concat(new Uint8Array(8).fill(0xff), packet.subarray(8));
        writeIpv6Header(written, 0, length, next, trafficClass, hopLimit);
        expect(written).toEqual(packet);
      },
    ),
  );
});
