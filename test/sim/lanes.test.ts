/**
 * Gateways with several lanes, whose device and sockets bring each burst to any of them, and which turn in any order:
 * nothing may be lost or overtaken that the network did not lose or delay. SEED=n replays one.
 */
import { describe, expect, test } from "vitest";
import { FINE, type GatewayWorld, type Side } from "./gateway-world.ts";
import { expectConverged, makeWorld, STORM, seeds, traffic } from "./sites.ts";

const PAIRINGS: readonly Readonly<Record<Side, number>>[] = [
  { a: 2, b: 1 },
  { a: 1, b: 4 },
  { a: 2, b: 2 },
  { a: 4, b: 3 },
  { a: 4, b: 4 },
];
const pairing = (seed: number) => PAIRINGS[seed % PAIRINGS.length]!;

function bursts(world: GatewayWorld, every: number, span: number): void {
  for (let at = 0; at < span; at += every) {
    world.at(at, () => world.sendBurst("a", 1 + (at % 7)));
    world.at(at + every / 2, () => world.sendBurst("b", 1 + (at % 5)));
  }
}

/** What several lanes add to the ways in which a packet can be lost. */
function expectNothingLeft(world: GatewayWorld, lanes: Readonly<Record<Side, number>>): void {
  for (const side of ["a", "b"] as const) {
    const node = world.node(side);
    const { otherLane, handOverFull, notAuthentic } = node.drops();
    expect([otherLane, handOverFull, notAuthentic], `SEED=${world.seed}`).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(node.handedOver() > 0, `SEED=${world.seed}: ${side} hands over`).toBe(lanes[side] > 1);
  }
}

describe("several lanes", () => {
  test("over many rekeys nothing is lost, doubled or overtaken", () => {
    for (const seed of seeds(15)) {
      const lanes = pairing(seed);
      const options = { keep: "up", rekey: "8s", ikeRekey: "19s" } as const;
      const world = makeWorld(seed, options, { ...options, keep: "respond" }, FINE, lanes);
      world.run(3_000);
      const start = world.now;
      bursts(world, 50, 30_000);
      world.run(31_000);
      const rekeys = world.notices.a.filter((notice) => notice.code === "childSaRekeyed").length;
      expect(rekeys, `SEED=${seed}`).toBeGreaterThan(2);
      expect(world.ledger.delivered.size, `SEED=${seed}`).toBeGreaterThan(2_500);
      expect(world.ledger.missing(start, world.now), `SEED=${seed}`).toEqual([]);
      expect(world.ledger.overtaken, `SEED=${seed}`).toEqual([]);
      expect(world.ledger.faults, `SEED=${seed}`).toEqual([]);
      for (const side of ["a", "b"] as const) {
        const { replayed, leftOfWindow } = world.node(side).drops();
        expect([replayed, leftOfWindow], `SEED=${seed}`).toEqual([undefined, undefined]);
      }
      expectConverged(world, 20_000);
      expectNothingLeft(world, lanes);
    }
  });

  test("on demand: whichever lanes hold the first packets, they arrive in order", () => {
    for (const seed of seeds(20)) {
      const world = makeWorld(seed, { keep: "on-demand" }, { keep: "on-demand" }, FINE, pairing(seed));
      world.sendBurst("a", 5);
      world.run(2_000);
      world.sendBurst("a", 5);
      world.run(2_000);
      expect([...world.ledger.delivered.keys()], `SEED=${seed}`).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      expect(world.ledger.faults, `SEED=${seed}`).toEqual([]);
    }
  });

  test("in a storm, with restarts, they converge; nothing in clear, nothing twice", () => {
    for (const seed of seeds(60)) {
      const lanes = pairing(seed);
      const world = makeWorld(seed, { keep: "up", rekey: "10s" }, { keep: "up", rekey: "12s" }, STORM, lanes);
      traffic(world, 300, 20_000);
      const side = seed % 2 === 0 ? "a" : "b";
      world.run(3_000 + ((seed * 7919) % 8_000));
      world.kill(side);
      world.run((seed * 31) % 2_000);
      world.start(side);
      world.run(5_000);
      world.weather = FINE;
      expectConverged(world, 120_000);
      // What the storm has delayed.
      world.run(1_000);
      const calm = world.now;
      bursts(world, 100, 2_000);
      world.run(4_000);
      expect(world.ledger.missing(calm, world.now), `SEED=${seed}`).toEqual([]);
      expect(world.ledger.faults, `SEED=${seed}`).toEqual([]);
      expectNothingLeft(world, lanes);
    }
  });
});
