/** Transport mode through a NAT: what the peer's checksums were computed with, and what they have to be here (RFC 3948 section 3.1.2). */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat } from "../../../src/base/bytes.ts";
import { IpAddress } from "../../../src/base/ip-address.ts";
import { translateChecksum } from "../../../src/dataplane/nat-checksum.ts";
import { addToSum, finishSum, foldSum, pseudoHeaderSum } from "../../../src/wire/ip/checksum.ts";
import { ipv4Packet, ipv6Packet } from "../wire/ip/packets.ts";
import {
  endpoint,
  type Gateway,
  HANDLING,
  keysOf,
  makeGateway,
  SUITES,
  selectors,
} from "./gateway-fixture.ts";
import { exchange } from "./memory-packet-io.ts";
import { address } from "./packets.ts";

const TCP = 6;
const UDP = 17;
const PLACE: Readonly<Record<number, number>> = { [TCP]: 16, [UDP]: 6 };

interface Flow {
  readonly source: string;
  readonly destination: string;
}

/** A segment or datagram with a right checksum; `hasNone` leaves it zero. */
function made(flow: Flow, protocol: number, payload: Uint8Array, hasNone = false): Uint8Array {
  const isV6 = flow.source.includes(":");
  const upper = new Uint8Array((protocol === TCP ? 20 : 8) + payload.length);
  upper.set([3, 232, 7, 208]);
  if (protocol === TCP) upper[12] = 0x50;
  else upper.set([upper.length >> 8, upper.length], 4);
  upper.set(payload, upper.length - payload.length);
  const bytes = isV6
    ? ipv6Packet({ ...flow, nextHeader: protocol }, upper)
    : ipv4Packet({ ...flow, protocol }, upper);
  if (!hasNone) writeChecksum(bytes, protocol);
  return bytes;
}

const frontOf = (bytes: Uint8Array) => (bytes[0]! >>> 4 === 4 ? 20 : 40);

/** Zero when the checksum is right. */
function rest(bytes: Uint8Array, protocol: number): number {
  const front = frontOf(bytes);
  const [addresses, length] = front === 20 ? [12, 4] : [8, 16];
  const pseudo = pseudoHeaderSum(bytes, addresses, length, protocol, bytes.length - front);
  return finishSum(addToSum(pseudo, bytes, front, bytes.length - front));
}

function writeChecksum(bytes: Uint8Array, protocol: number): void {
  const sum = rest(bytes, protocol);
  new DataView(bytes.buffer, bytes.byteOffset).setUint16(frontOf(bytes) + PLACE[protocol]!, sum || 0xffff);
}

/** A is 10.9.0.1 behind the NAT 192.0.2.1; B is 10.8.0.2 behind the NAT 198.51.100.2. */
function translated(): { a: Gateway; b: Gateway } {
  const suite = SUITES.aes256gcm16esn;
  const [a, b] = [makeGateway({ seed: 1 }), makeGateway({ seed: 2 })];
  const ends = [
    { gateway: a, own: "10.9.0.1", other: "198.51.100.2", peerOwn: "10.8.0.2", known: "192.0.2.1" },
    { gateway: b, own: "10.8.0.2", other: "192.0.2.1", peerOwn: "10.9.0.1", known: "198.51.100.2" },
  ];
  const spis = ends.map(({ gateway }) => gateway.dataPlane.reserve());
  for (const [i, { gateway, own, other, peerOwn, known }] of ends.entries()) {
    const pair = selectors(own, other);
    gateway.setSpd([gateway.protect("net/lan", pair)]);
    const shared = {
      policy: "net/lan",
      suite,
      encapsulation: "udp",
      lifetime: {},
      handling: { ...HANDLING, mode: "transport" },
      local: endpoint(own),
      remote: endpoint(other),
      selectors: pair,
    } as const;
    const originalAddresses = { local: IpAddress(address(known)), remote: IpAddress(address(peerOwn)) };
    const [inbound, outbound] = [keysOf(suite, 1 - i), keysOf(suite, i)];
    gateway.dataPlane.execute({
      kind: "addInboundSa",
      sa: { ...shared, spi: spis[i]!, keys: inbound, originalAddresses },
    });
    gateway.dataPlane.execute({
      kind: "addOutboundSa",
      sa: { ...shared, spi: spis[1 - i]!, inboundSpi: spis[i]!, keys: outbound },
    });
  }
  return { a, b };
}

/** What B's host gets of a packet of A's, or the other way round. */
function carry(from: Gateway, to: Gateway, isFromA: boolean, bytes: Uint8Array): Uint8Array | undefined {
  from.io.fromHost[0]!.push(bytes);
  from.turn();
  exchange(from.io, to.io, (datagram) => [
    {
      ...datagram,
      local: endpoint(isFromA ? "192.0.2.1" : "198.51.100.2", 31000),
      remote: endpoint(isFromA ? "10.8.0.2" : "10.9.0.1"),
    },
  ]);
  to.turn();
  return to.io.toHost[0]!.splice(0)[0];
}

describe("through two NATs", () => {
  const TO_B = { source: "10.9.0.1", destination: "198.51.100.2" };
  const AT_B = { source: "192.0.2.1", destination: "10.8.0.2" };
  const payload = Uint8Array.from({ length: 33 }, (_, i) => 7 * i);

  test.each([
    ["TCP", TCP],
    ["UDP", UDP],
  ])("[NAT-08] %s arrives with the addresses of this end and a checksum that fits them", (_, protocol) => {
    const { a, b } = translated();
    const got = carry(a, b, true, made(TO_B, protocol, payload))!;
    expect(rest(got, protocol)).toBe(0);
    expect(got.subarray(20)).toEqual(made(AT_B, protocol, payload).subarray(20));
    const back = carry(
      b,
      a,
      false,
      made({ source: "10.8.0.2", destination: "192.0.2.1" }, protocol, payload),
    )!;
    expect(rest(back, protocol)).toBe(0);
    expect(back.subarray(12, 20)).toEqual(concat(address("198.51.100.2"), address("10.9.0.1")));
    expect([a.allDrops(), b.allDrops()]).toEqual([{}, {}]);
  });

  test("[NAT-08] damage stays damage, and UDP without a checksum stays without", () => {
    const { a, b } = translated();
    const damaged = made(TO_B, TCP, payload);
    damaged[45]! ^= 0x10;
    expect(rest(carry(a, b, true, damaged)!, TCP)).not.toBe(0);
    const none = carry(a, b, true, made(TO_B, UDP, payload, true))!;
    expect([none[26], none[27]]).toEqual([0, 0]);
  });

  test("[NAT-08] what has no checksum over addresses is left alone, and what is too short too", () => {
    const { a, b } = translated();
    for (const [protocol, upper] of [
      [47, Uint8Array.of(0, 0, 8, 0, 1, 2, 3, 4)],
      [1, Uint8Array.of(8, 0, 0x55, 0x66, 0, 1, 0, 1)],
      [TCP, Uint8Array.of(3, 232, 7, 208, 1, 1, 1, 1)],
    ] as const) {
      const got = carry(a, b, true, ipv4Packet({ ...TO_B, protocol }, upper));
      if (got !== undefined) expect(got.subarray(20)).toEqual(upper);
    }
  });
});

test("[NAT-08] whatever the addresses and octets, IPv4 and IPv6: what a sum over everything gives", () => {
  const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  fc.assert(
    fc.property(
      fc.boolean().chain((isV6) => fc.tuple(fc.constant(isV6), octets(isV6 ? 32 : 8), octets(isV6 ? 32 : 8))),
      fc.constantFrom(TCP, UDP),
      fc.uint8Array({ maxLength: 60 }),
      ([isV6, before, after], protocol, payload) => {
        const flow = isV6
          ? { source: "fd01::1", destination: "fd01::2" }
          : { source: "10.0.0.1", destination: "10.0.0.2" };
        const bytes = made(flow, protocol, payload, true);
        const addresses = isV6 ? 8 : 12;
        bytes.set(before, addresses);
        writeChecksum(bytes, protocol);
        const sum = foldSum(addToSum(0, bytes, addresses, before.length));
        bytes.set(after, addresses);
        translateChecksum(bytes, 0, frontOf(bytes), bytes.length, protocol, sum);
        expect(rest(bytes, protocol)).toBe(0);
        if (protocol === UDP)
          expect(bytes.subarray(frontOf(bytes) + 6, frontOf(bytes) + 8)).not.toEqual(Uint8Array.of(0, 0));
      },
    ),
  );
});
