/** Constant traffic both ways, and whether all of it arrived. */
import { expect } from "vitest";
import type { IkeNode, World } from "./ike-world.ts";

export interface Traffic {
  /** All packets so far, minus those that are still under way. */
  expectNothingLost(): void;
  stop(): void;
}

/** A packet each way every `interval` milliseconds. */
export function startTraffic(
  world: World,
  a: IkeNode,
  b: IkeNode,
  interval: number,
  policy = "net/lan",
): Traffic {
  const sent = { toA: [] as number[], toB: [] as number[] };
  const delivered = { toA: a.dataPlane.delivered.length, toB: b.dataPlane.delivered.length };
  let isRunning = true;
  let serial = 0;
  let unsent = 0;
  const tick = () => {
    if (!isRunning) return;
    serial++;
    if (a.sendPacket(policy, serial)) sent.toB.push(serial);
    else unsent++;
    if (b.sendPacket(policy, serial)) sent.toA.push(serial);
    else unsent++;
    world.later(interval, tick);
  };
  tick();
  return {
    stop: () => {
      isRunning = false;
    },
    expectNothingLost: () => {
      isRunning = false;
      world.run(1000);
      expect(serial).toBeGreaterThan(10);
      expect(unsent).toBe(0);
      const order = (one: number, other: number) => one - other;
      expect(a.dataPlane.delivered.slice(delivered.toA).sort(order)).toEqual(sent.toA);
      expect(b.dataPlane.delivered.slice(delivered.toB).sort(order)).toEqual(sent.toB);
    },
  };
}
