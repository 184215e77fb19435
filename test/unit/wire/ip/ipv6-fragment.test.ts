import { expect, test } from "vitest";
import { concat } from "../../../../src/base/bytes.ts";
import { createPacketFields, parseIpPacket } from "../../../../src/wire/ip/ip-packet.ts";
import { ipv6FragmentPayload, writeIpv6Fragment } from "../../../../src/wire/ip/ipv6-fragment.ts";
import { findSecurityPlace } from "../../../../src/wire/ip/security-place.ts";
import { extensionHeader, ipv6Packet } from "./packets.ts";

const HOSTS = { source: "2001:db8::1", destination: "2001:db8::2" };
const ESP = 50;

test("headers that routers look at stand in each fragment, the last of them names the fragment header", () => {
  const data = Uint8Array.from({ length: 100 }, (_, i) => i);
  const packet = ipv6Packet({ ...HOSTS, nextHeader: 0 }, concat(extensionHeader(ESP), data));
  const place = { offset: 0, nextHeaderAt: 0 };
  expect(findSecurityPlace(packet, 0, packet.length, place)).toBe(true);
  expect(place).toEqual({ offset: 48, nextHeaderAt: 40 });
  const into = new Uint8Array(200);
  const length = writeIpv6Fragment(into, 8, packet, 0, place, 77, 64, 36, true);
  expect(length).toBe(48 + 8 + 36);
  const fields = createPacketFields();
  expect(parseIpPacket(into, 8, length, fields)).toBe(true);
  expect(fields).toMatchObject({
    totalLength: length,
    fragmentOffset: 64,
    moreFragments: false,
    isFragment: true,
    fragmentId: 77,
    fragmentProtocol: ESP,
    fragmentLength: 36,
  });
  expect(fields.extensionHeaders.fragmentNamedAt).toBe(40);
  expect(into.slice(8 + 56, 8 + length)).toEqual(data.slice(64));
  expect(into.slice(8 + 8, 8 + 40)).toEqual(packet.slice(8, 40));
});

test("fragments begin at multiples of 8, and need room for headers and one of those", () => {
  const place = { offset: 40, nextHeaderAt: 6 };
  expect(ipv6FragmentPayload(1280, place)).toBe(1232);
  expect(ipv6FragmentPayload(1287, place)).toBe(1232);
  expect(ipv6FragmentPayload(56, place)).toBe(8);
  expect(ipv6FragmentPayload(55, place)).toBe(0);
});
