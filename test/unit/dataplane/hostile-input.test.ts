import fc from "fast-check";
import { expect, test } from "vitest";
import { endpoint, type Gateway, makePair } from "./gateway-fixture.ts";
import { exchange } from "./memory-packet-io.ts";
import { packet } from "./packets.ts";
import { PlainSender } from "./plain-sender.ts";

/** Whole packets with single octets overwritten, cut short or grown: most get past the first checks. */
const damagedPacket = fc
  .record({
    base: fc.constantFrom(
      packet({ source: "10.1.0.5", destination: "10.2.0.9" }),
      packet({ source: "10.1.0.5", destination: "10.2.0.9", protocol: 6 }),
      packet({ source: "10.1.0.5", destination: "10.2.0.9", protocol: 1, ports: [3, 4] }),
      packet({ source: "fd01::5", destination: "fd02::9" }),
      packet({ source: "fd01::5", destination: "fd02::9", protocol: 0 }),
      packet({ source: "fd01::5", destination: "fd02::9", protocol: 58, ports: [2, 0] }),
      packet({ source: "fd01::5", destination: "fd02::9", protocol: 44 }),
    ),
    changes: fc.array(fc.tuple(fc.nat({ max: 79 }), fc.nat({ max: 255 })), { maxLength: 6 }),
    cut: fc.option(fc.nat({ max: 80 }), { nil: undefined }),
    tail: fc.uint8Array({ maxLength: 40 }),
  })
  .map(({ base, changes, cut, tail }) => {
    const bytes = Uint8Array.of(...base.subarray(0, cut), ...tail);
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
    return bytes;
  });
const anyPacket = fc.oneof(damagedPacket, fc.uint8Array({ maxLength: 200 }));

function total(gateway: Gateway): number {
  return Object.values(gateway.allDrops()).reduce((sum, count) => sum + count, 0);
}

test("whatever the host sends into the device, it is sealed or counted, and the lane goes on", () => {
  fc.assert(
    fc.property(fc.array(anyPacket, { minLength: 1, maxLength: 30 }), (packets) => {
      const { a, b } = makePair();
      a.io.fromHost[0]!.push(...packets);
      while (a.turn() > 0);
      expect(a.io.sent.length + total(a)).toBeGreaterThanOrEqual(packets.length);
      const sealed = a.io.sent.length;
      exchange(a.io, b.io);
      while (b.turn() > 0);
      expect(b.io.toHost[0]!.length + total(b)).toBe(sealed);

      const good = packet({ source: "10.1.0.5", destination: "10.2.0.9", id: 4242 });
      a.io.fromHost[0]!.push(good);
      a.turn(60_000);
      exchange(a.io, b.io);
      b.turn(60_000);
      expect(b.io.toHost[0]!.at(-1)).toEqual(good);
    }),
    { numRuns: 300 },
  );
});

test("whatever arrives on any socket, nothing is delivered that was not sealed for us, and the lane goes on", () => {
  const datagram = fc.record({
    bytes: fc.oneof(
      fc.uint8Array({ maxLength: 120 }),
      fc.uint8Array({ minLength: 12, maxLength: 120 }).map((bytes) => Uint8Array.of(0, 0, 0, 0, ...bytes)),
    ),
    port: fc.constantFrom(0, 500, 4500),
    tos: fc.nat({ max: 255 }),
    /** In place of the first four octets. */
    isOurSpi: fc.boolean(),
    number: fc.nat({ max: 0xffffffff }),
  });
  fc.assert(
    fc.property(fc.array(datagram, { minLength: 1, maxLength: 30 }), (datagrams) => {
      const { a, b, spis } = makePair();
      for (const { bytes, port, tos, isOurSpi, number } of datagrams) {
        if (isOurSpi && bytes.length >= 8) {
          new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, spis.bInbound);
          new DataView(bytes.buffer, bytes.byteOffset).setUint32(4, number);
        }
        b.io.arrive({
          local: endpoint("198.51.100.2", port),
          remote: endpoint("192.0.2.1", port),
          tos,
          bytes,
        });
      }
      while (b.turn() > 0);
      expect(b.io.toHost[0]).toEqual([]);
      expect(b.io.sent).toEqual([]);
      expect(b.ike.length + total(b)).toBe(datagrams.length);

      const good = packet({ source: "10.1.0.5", destination: "10.2.0.9" });
      a.io.fromHost[0]!.push(good);
      a.turn();
      exchange(a.io, b.io);
      b.turn();
      expect(b.io.toHost[0]).toEqual([good]);
    }),
    { numRuns: 300 },
  );
});

test("whatever an authentic peer puts inside, only packets within the selectors are delivered", () => {
  const sealedContent = fc.record({
    payload: anyPacket,
    nextHeader: fc.oneof(fc.constantFrom(4, 41, 59), fc.nat({ max: 255 })),
    padLength: fc.option(fc.nat({ max: 255 }), { nil: undefined }),
    isPaddingWrong: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(sealedContent, { minLength: 1, maxLength: 20 }), (contents) => {
      const { b, spis } = makePair();
      const sender = new PlainSender(spis.bInbound);
      for (const { payload, nextHeader, padLength, isPaddingWrong } of contents) {
        const least = -(payload.length + 2) & 3;
        const padding = Uint8Array.from({ length: least }, (_, i) => (isPaddingWrong ? 9 : i + 1));
        const bytes = sender.seal(payload, {
          nextHeader,
          padding,
          ...(padLength !== undefined && { padLength }),
        });
        b.io.arrive({ local: endpoint("198.51.100.2"), remote: endpoint("192.0.2.1"), tos: 0, bytes });
      }
      while (b.turn() > 0);
      expect(b.io.toHost[0]!.length + total(b)).toBe(contents.length);
      for (const delivered of b.io.toHost[0]!) {
        const isV4 = delivered[0]! >> 4 === 4;
        const source = isV4 ? delivered.subarray(12, 14) : delivered.subarray(8, 12);
        // An ICMP error may come from any router; it must quote what this SA carries, which the unit test proves.
        const protocol = isV4 ? delivered[9] : delivered[6];
        if (protocol === 17 || protocol === 6) expect([...source]).toEqual(isV4 ? [10, 1] : [0xfd, 1, 0, 0]);
      }
    }),
    { numRuns: 300 },
  );
});
