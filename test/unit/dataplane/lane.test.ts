import { describe, expect, test } from "vitest";
import { makeGateway, makePair, SUITES } from "./gateway-fixture.ts";
import { exchange } from "./memory-packet-io.ts";
import { packet } from "./packets.ts";

const V4 = { source: "10.1.0.5", destination: "10.2.0.9" };
const V6 = { source: "fd01::5", destination: "fd02::9" };

describe("two lanes back to back", () => {
  const outers = [
    ["192.0.2.1", "198.51.100.2"],
    ["2001:db8:1::1", "2001:db8:2::2"],
  ] as const;
  for (const [name, suite] of Object.entries(SUITES))
    for (const [a4, b4] of outers)
      for (const encapsulation of ["udp", "esp"] as const)
        for (const inner of [V4, V6])
          test(`[SPD-08] ${name}: ${inner.source} inside ${a4}, ${encapsulation}`, () => {
            const { a, b } = makePair({ suite, a: a4, b: b4, encapsulation });
            const there = packet({ ...inner, payload: new Uint8Array(333).fill(7) });
            const back = packet({ source: inner.destination, destination: inner.source });

            a.io.fromHost[0]!.push(there);
            b.io.fromHost[0]!.push(back);
            a.turn();
            b.turn();
            expect(a.io.sent).toHaveLength(1);
            expect(Buffer.from(a.io.sent[0]!.bytes).includes(Buffer.from(there.subarray(20)))).toBe(false);
            exchange(a.io, b.io);
            a.turn();
            b.turn();

            expect(b.io.toHost[0]).toEqual([there]);
            expect(a.io.toHost[0]).toEqual([back]);
            expect(a.allDrops()).toEqual({});
            expect(b.allDrops()).toEqual({});
          });
});

test("a lane without policy drops what it reads [SPD-01]", () => {
  const gateway = makeGateway();
  gateway.io.fromHost[0]!.push(packet(V4));

  expect(gateway.turn()).toBe(1);

  expect(gateway.drops("noPolicy")).toBe(1);
  expect(gateway.io.sent).toEqual([]);
});

test("answers to a long batch leave while it is delivered, so that the device's queue stays short", () => {
  const { a, b } = makePair();
  const there = Array.from({ length: 9 }, (_, i) => packet({ ...V4, payload: Uint8Array.of(i) }));
  const back = packet({ source: V4.destination, destination: V4.source });
  a.io.fromHost[0]!.push(...there);
  a.turn();
  exchange(a.io, b.io);
  let longest = 0;
  b.io.tunWritesMax = 2;
  b.io.afterWrite = () => (longest = Math.max(longest, b.io.fromHost[0]!.push(back)));

  b.turn();

  expect(b.io.toHost[0]).toEqual(there);
  expect(longest).toBe(2);
  expect(b.io.sent).toHaveLength(there.length);
  expect(b.allDrops()).toEqual({});
});
