/** Hundreds of seeds with 20 % loss, reordering, duplication and damage: both ends always come to rest with what is configured. */
import { describe, expect, test } from "vitest";
import { hours, minutes, seconds } from "../../src/base/instant.ts";
import { expectConverged, expectGone } from "./ike-invariants.ts";
import {
  badNetwork,
  type ConnectionChanges,
  child,
  ESP_CBC,
  ESP_GCM_NO_PFS,
  pair,
  perfectNetwork,
  World,
} from "./ike-world.ts";

const { SEEDS: COUNT, SEED: ONLY } = process.env as { SEEDS?: string; SEED?: string };
const SEEDS = Number(COUNT ?? 100);
const seeds = ONLY === undefined ? Array.from({ length: SEEDS }, (_, i) => i + 1) : [Number(ONLY)];

/** Two children, lifetimes so short that rekeys and collisions are many; roles and computation times vary by seed. */
function scenario(seed: number) {
  const world = new World(seed);
  const { random } = world;
  world.network = badNetwork(0.2, 0.1, 80, random.chance(0.5) ? 0.03 : 0);
  if (random.chance(0.5)) world.computeDelay = () => random.below(30);
  const jitter = random.chance(0.5) ? 0 : 0.3;
  const rekey = { time: minutes(3), jitter };
  const suites = [[undefined], [[ESP_GCM_NO_PFS]], [[ESP_CBC]]][random.below(3)]!;
  const proposals = suites[0] === undefined ? {} : { proposals: suites[0] };
  const changes = { rekey, ...proposals };
  const keep = random.chance(0.5) ? "up" : "respond";
  const ike = { rekey: { time: minutes(5), jitter } };
  const childrenA = [
    child("lan", "10.1.0.0/16", "10.2.0.0/16", changes),
    child("dmz", "10.3.0.0/16", "10.4.0.0/16", changes),
  ];
  const childrenB = [
    child("lan", "10.2.0.0/16", "10.1.0.0/16", { ...changes, keep }),
    child("dmz", "10.4.0.0/16", "10.3.0.0/16", { ...changes, keep }),
  ];
  const sideA: ConnectionChanges = { ike, children: childrenA };
  const sideB: ConnectionChanges = { ike, keep, children: childrenB };
  const [a, b] = pair(world, sideA, sideB);
  return { world, a, b };
}

describe.each(seeds)("seed %i", (seed) => {
  test("loss, delay, duplication and damage end in one IKE SA and the configured children", () => {
    const { world, a, b } = scenario(seed);
    world.run(minutes(20));
    // A quiet network and long enough for every replaced SA to be gone; rekeys fall in between.
    world.network = perfectNetwork;
    world.run(minutes(8));
    settle(world);
    expectConverged(a, b, ["lan", "dmz"]);
    a.shutDown();
    b.shutDown();
    world.run(minutes(5));
    expectGone(a);
    expectGone(b);
    expect(a.machine.nextTimeout()).toBeUndefined();
    const before = a.actions.length;
    a.feed({ kind: "timeout" });
    expect(a.actions.length).toBe(before);
  });

  /** Steps on until no SA is on its way out, which rekeys every few minutes leave room for. */
  function settle(world: World): void {
    const quiet = () =>
      world.nodes.every(({ machine, dataPlane }) => machine.ikeSaCount() === 1 && dataPlane.pairs.size === 2);
    for (let i = 0; i < 120 && !quiet(); i++) world.run(seconds(1));
  }
});

test("the seeds differ", () => {
  const first = scenario(1);
  const second = scenario(2);
  first.world.run(hours(0) + seconds(30));
  second.world.run(seconds(30));
  expect(first.world.wire.length === 0).toBe(false);
  expect(first.a.state().ikeSa?.initiatorSpi).not.toBe(second.a.state().ikeSa?.initiatorSpi);
});
