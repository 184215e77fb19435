/** Which lanes want the very moment of each turn: others are told one that is a few milliseconds old. */
import { expect, test } from "vitest";
import { DurationMs } from "../../../src/base/instant.ts";
import { captureRingMemory } from "../../../src/dataplane/capture-ring.ts";
import type { AggfragHandling, SaHandling } from "../../../src/policy/data-plane.ts";
import { copyInMemory, makePair, send } from "./gateway-fixture.ts";
import { exchange } from "./memory-packet-io.ts";
import { packet } from "./packets.ts";

const AGGFRAG: AggfragHandling = {
  mode: "constant",
  octetsPerSecond: 100_000,
  packetSize: 1000,
  delay: DurationMs(1),
  mayFragment: true,
  reorderWindow: 3,
  congestion: "off",
};

function carrying(handling: Partial<SaHandling> = {}) {
  const { a, b } = makePair({ handling });
  send(a, packet({ source: "10.1.0.5", destination: "10.2.0.9" }));
  // A constant rate has its own moments.
  for (let now = 1; now < 50; now++) {
    a.turn(now);
    exchange(a.io, b.io);
    b.turn(now);
  }
  return { a, b };
}

test("a lane with nothing but plain tunnels does not, whatever it carries", () => {
  const { a, b } = carrying();
  expect(b.io.toHost[0]).toHaveLength(1);
  expect([a.lane.isTimed(), b.lane.isTimed()]).toEqual([false, false]);
});

test("one that sends by the clock does, and one that measures such a sender", () => {
  const { a, b } = carrying({ aggfrag: AGGFRAG });
  expect([a.lane.isTimed(), b.lane.isTimed()]).toEqual([true, true]);
});

test("one that sends dummies does", () => {
  const { a } = carrying({ tfc: { padTo: "mtu", dummiesPerSecond: 10, isRefused: false } });
  expect(a.lane.isTimed()).toBe(true);
});

test("a capture wants it as long as it lasts", () => {
  const { a } = makePair();
  expect(a.lane.isTimed()).toBe(false);
  const memory = captureRingMemory(2 ** 16);
  a.lane.setCapture({ memory, filter: { snapLength: 100 }, copy: copyInMemory });
  expect(a.lane.isTimed()).toBe(true);
  a.lane.setCapture(undefined);
  expect(a.lane.isTimed()).toBe(false);
});
