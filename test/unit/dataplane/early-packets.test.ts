/** What a responder sends before the initiator has the SA. */
import { describe, expect, test } from "vitest";
import { Instant } from "../../../src/base/instant.ts";
import type { Spi } from "../../../src/base/spi.ts";
import {
  EARLY_OCTETS_MAX,
  EARLY_PACKET_AGE_MAX_MS,
  EARLY_PACKETS_MAX,
  EARLY_PACKETS_PER_SPI_MAX,
} from "../../../src/dataplane/early-packets.ts";
import {
  AH_SUITE,
  endpoint,
  type Gateway,
  makeGateway,
  makePair,
  type PairOptions,
  SUITES,
} from "./gateway-fixture.ts";
import type { Datagram } from "./memory-packet-io.ts";
import { packet } from "./packets.ts";

const B_TO_A = { source: "10.2.0.9", destination: "10.1.0.5" };

function numbered(from: number, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => packet({ ...B_TO_A, payload: Uint8Array.of(from + i) }));
}

/** What B sends for each packet, as it arrives at A. */
function sealed(b: Gateway, packets: readonly Uint8Array[]): Datagram[] {
  b.io.fromHost[0]!.push(...packets);
  b.turn();
  return b.ios
    .flatMap((io) => io.sent.splice(0))
    .map(({ local, remote, tos, bytes, header }) => ({
      ...(header && { header }),
      local: remote,
      remote: local,
      tos,
      bytes,
    }));
}

function arrive(a: Gateway, datagrams: readonly Datagram[], lane = 0): void {
  for (const datagram of datagrams) a.ios[lane]!.arrive(datagram);
}

/** Bytes that begin an ESP packet with this SPI. */
function strange(spi: Spi, length: number): Datagram {
  const bytes = new Uint8Array(length).fill(7);
  new DataView(bytes.buffer).setUint32(0, spi);
  return { local: endpoint("192.0.2.1"), remote: endpoint("198.51.100.2"), tos: 0, bytes };
}

function delivered(a: Gateway): number[] {
  return a.ios.flatMap((io) => io.toHost[0]!.splice(0)).map((bytes) => bytes.at(-1)!);
}

describe("packets that overtake the answer", () => {
  const cases: readonly (readonly [string, PairOptions & { readonly lanes?: number }])[] = [
    ["ESP in UDP", {}],
    ["ESP in UDP over IPv6", { a: "2001:db8::1", b: "2001:db8::2" }],
    ["raw ESP", { encapsulation: "esp" }],
    ["AH", { encapsulation: "esp", suite: AH_SUITE }],
    ["ESP that another of three lanes receives", { lanes: 3 }],
  ];
  test.each(cases)(
    "[CHILD-30] %s: they wait for the SA, and come before what is sent later",
    (_, options) => {
      const { a, b } = makePair({
        ...options,
        meanwhile: (a, b) => {
          arrive(a, sealed(b, numbered(1, 5)), (options.lanes ?? 1) - 1);
          a.turn();
          a.turn();
          expect(delivered(a)).toEqual([]);
          expect(a.allDrops()).toEqual({ saAwaited: 5 });
          arrive(a, sealed(b, numbered(6, 2)), (options.lanes ?? 1) - 1);
        },
      });
      arrive(a, sealed(b, numbered(8, 1)), (options.lanes ?? 1) - 1);
      a.turn();
      expect(delivered(a)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
      expect(a.allDrops()).toEqual({ saAwaited: 5 });
      expect(a.lane.nextTimeout()).toBeUndefined();
    },
  );

  test("[CHILD-30] [ESP-12] what waits is authenticated and checked for replay like anything else", () => {
    const { a } = makePair({
      meanwhile: (a, b) => {
        const [first, second] = sealed(b, numbered(1, 2));
        const forged = { ...second!, bytes: second!.bytes.map((octet, i) => (i > 20 ? octet ^ 1 : octet)) };
        arrive(a, [first!, forged, first!, second!]);
        a.turn();
      },
    });
    a.turn();
    expect(delivered(a)).toEqual([1, 2]);
    expect(a.allDrops()).toEqual({ saAwaited: 4, notAuthentic: 1, replayed: 1 });
  });

  test("[CHILD-30] [ESP-15] once the negotiation has failed they are packets for nobody", () => {
    const a = makeGateway();
    const spi = a.dataPlane.reserve();
    arrive(a, [strange(spi, 100), strange(spi, 100)]);
    a.turn();
    a.dataPlane.release(spi);
    a.turn();
    arrive(a, [strange(spi, 100)]);
    a.turn();
    expect(a.allDrops()).toEqual({ saAwaited: 2, unknownSpi: 3 });
    expect(a.lane.nextTimeout()).toBeUndefined();
  });

  test("[CHILD-30] they wait for a bounded time, which begins when they came", () => {
    const a = makeGateway();
    const [first, second] = [a.dataPlane.reserve(), a.dataPlane.reserve()];
    arrive(a, [strange(first, 100)]);
    a.turn(1000);
    arrive(a, [strange(second, 100)]);
    a.turn(1500);
    expect(a.lane.nextTimeout()).toBe(Instant(1000 + EARLY_PACKET_AGE_MAX_MS));
    a.turn(1000 + EARLY_PACKET_AGE_MAX_MS);
    expect(a.allDrops()).toEqual({ saAwaited: 2, unknownSpi: 1 });
    expect(a.lane.nextTimeout()).toBe(Instant(1500 + EARLY_PACKET_AGE_MAX_MS));
    a.turn(1500 + EARLY_PACKET_AGE_MAX_MS);
    expect(a.allDrops()).toEqual({ saAwaited: 2, unknownSpi: 2 });
    expect(a.lane.nextTimeout()).toBeUndefined();
  });

  test("[CHILD-30] one peer has its share of what waits, all of them have a limit in packets and in octets", () => {
    const a = makeGateway();
    const spis = Array.from({ length: 5 }, () => a.dataPlane.reserve());
    const flood = (spi: Spi, count: number, length: number) => {
      for (let i = 0; i < count; i++) {
        arrive(a, [strange(spi, length)]);
        a.turn();
      }
    };
    flood(spis[0]!, EARLY_PACKETS_PER_SPI_MAX + 10, 100);
    expect(a.allDrops()).toEqual({ saAwaited: EARLY_PACKETS_PER_SPI_MAX, unknownSpi: 10 });
    for (const spi of spis.slice(1)) flood(spi, EARLY_PACKETS_PER_SPI_MAX, 100);
    expect(a.drops("saAwaited")).toBe(EARLY_PACKETS_MAX);
    for (const spi of spis) a.dataPlane.release(spi);
    a.turn();
    const long = [a.dataPlane.reserve(), a.dataPlane.reserve()];
    for (const spi of long) flood(spi, EARLY_PACKETS_PER_SPI_MAX, 3000);
    expect(a.drops("saAwaited") - EARLY_PACKETS_MAX).toBe(Math.floor(EARLY_OCTETS_MAX / 3000));
  });

  test("[ESP-15] an SPI that nobody was told is one that nobody has", () => {
    const a = makeGateway();
    const spi = a.dataPlane.reserve();
    arrive(a, [strange((spi ^ 0x10000) as Spi, 100)]);
    a.turn();
    expect(a.allDrops()).toEqual({ unknownSpi: 1 });
  });

  test("suites with and without ESN", () => {
    for (const suite of Object.values(SUITES)) {
      const { a } = makePair({
        suite,
        meanwhile: (a, b) => {
          arrive(a, sealed(b, numbered(1, 3)));
          a.turn();
        },
      });
      a.turn();
      expect(delivered(a)).toEqual([1, 2, 3]);
    }
  });
});
