/** Random lives of two gateways: rekeys, repeated authentications, restarts of either side, other addresses, commands, silence, loss to 30 %. */
import { expect } from "vitest";
import { DurationMs, hours, minutes, seconds } from "../../src/base/instant.ts";
import type { Connection } from "../../src/policy/connection.ts";
import { expectConverged, expectGone } from "./ike-invariants.ts";
import type { SeededRandom } from "./ike-random.ts";
import {
  badNetwork,
  type ConnectionChanges,
  child,
  connection,
  ESP_CBC,
  ESP_GCM_NO_PFS,
  type IkeNode,
  perfectNetwork,
  World,
} from "./ike-world.ts";

/** Random events of one life, and the span from one to the next. */
const EVENTS = 8;
const BETWEEN = minutes(2);

type Side = "A" | "B";
const ADDRESS: Readonly<Record<Side, string>> = { A: "192.0.2.1", B: "192.0.2.2" };

/** Where either side may turn up; connections name these addresses, so that one that has moved is called there in turn. */
const MOVED = ["198.51.100.1", "198.51.100.2", "198.51.100.3"];

interface Life {
  readonly world: World;
  readonly random: SeededRandom;
  readonly configured: Readonly<Record<Side, Connection>>;
  readonly nodes: Record<Side, IkeNode>;
  /** Where each side is now. */
  readonly address: Record<Side, string>;
  /** Nothing gets through before. */
  silentUntil: number;
  /** What happened, for the eyes of whoever replays a seed. */
  readonly story: string[];
}

/** Identities by name, so that a side is itself wherever it is; it is called at its first address, and may call from any. */
function known(own: Side, other: Side): ConnectionChanges {
  const idOf = (side: Side) => ({ idType: 2, data: Uint8Array.of(side.charCodeAt(0)) });
  const first = connection(ADDRESS[other], []).remote.addresses;
  const others = MOVED.flatMap((address) => connection(address, []).remote.addresses);
  return { local: { id: idOf(own) }, remote: { id: idOf(other), addresses: [...first, ...others] } };
}

function begin(seed: number): Life {
  const world = new World(seed);
  const { random } = world;
  const pick = <T>(...choices: readonly T[]): T => choices[random.below(choices.length)]!;
  const weather = badNetwork(pick(0, 0.1, 0.2, 0.3), 0.1, 80, pick(0, 0, 0.03));
  if (random.chance(0.5)) world.computeDelay = () => random.below(30);
  const jitter = pick(0, 0.2);
  const rekey = { time: pick(minutes(4), minutes(9)), jitter };
  const proposals = pick([ESP_GCM_NO_PFS], [ESP_GCM_NO_PFS], [ESP_CBC], undefined);
  const changes = { rekey, ...(proposals === undefined ? {} : { proposals }) };
  const keepB = pick("up", "respond") as Connection["keep"];
  const mobike = random.chance(0.6);
  const settings = (side: Side): Connection["ike"] | Partial<Connection["ike"]> => ({
    rekey: { time: pick(minutes(6), minutes(12), hours(1)), jitter },
    ...(random.chance(side === "A" ? 0.6 : 0.3) ? { reauth: pick(minutes(5), minutes(11)) } : {}),
    childless: pick("allow", "prefer", "never"),
    mobike,
  });
  const sideA: ConnectionChanges = { ike: settings("A") };
  const sideB: ConnectionChanges = { ike: settings("B"), keep: keepB };
  const childrenA = [
    child("lan", "10.1.0.0/16", "10.2.0.0/16", changes),
    child("dmz", "10.3.0.0/16", "10.4.0.0/16", changes),
  ];
  const childrenB = [
    child("lan", "10.2.0.0/16", "10.1.0.0/16", { ...changes, keep: keepB }),
    child("dmz", "10.4.0.0/16", "10.3.0.0/16", { ...changes, keep: keepB }),
  ];
  const configured = {
    A: connection(ADDRESS.B, childrenA, { ...sideA, ...known("A", "B") }),
    B: connection(ADDRESS.A, childrenB, { ...sideB, ...known("B", "A") }),
  };
  const nodes = {
    A: world.add("A", ADDRESS.A, [configured.A]),
    B: world.add("B", ADDRESS.B, [configured.B]),
  };
  const address = { ...ADDRESS };
  const life: Life = { world, random, configured, nodes, address, silentUntil: 0, story: [] };
  world.network = (datagram, source) => (world.now < life.silentUntil ? [] : weather(datagram, source));
  return life;
}

/** Without a word: what it had is gone. */
function restart(life: Life, side: Side): void {
  const { world, nodes, configured, address } = life;
  nodes[side].isUp = false;
  world.nodes.splice(world.nodes.indexOf(nodes[side]), 1);
  nodes[side] = world.add(side, address[side], [configured[side]]);
}

/** Its old address is gone at once. Who has moved calls anew where MOBIKE cannot help; whoever is called goes home in the end. */
function move(life: Life, side: Side): void {
  const { nodes, random, address } = life;
  const others = [ADDRESS[side], ...MOVED].filter((one) => one !== address[side] && !taken(life, one));
  address[side] = others[random.below(others.length)]!;
  nodes[side].move(address[side]);
}

function taken({ address }: Life, one: string): boolean {
  return Object.values(address).includes(one);
}

const DEEDS: readonly (readonly [name: string, deed: (life: Life, side: Side) => void])[] = [
  ["rekey lan", ({ nodes }, side) => rekey(nodes[side], "lan")],
  ["rekey dmz", ({ nodes }, side) => rekey(nodes[side], "dmz")],
  ["rekey IKE", ({ nodes }, side) => rekey(nodes[side])],
  [
    "rekey on both sides",
    ({ nodes, random }) => {
      const name = random.chance(0.5) ? "lan" : undefined;
      rekey(nodes.A, name);
      rekey(nodes.B, name);
    },
  ],
  ["restart", restart],
  ["another address", move],
  [
    "down and up",
    ({ nodes, world, random }, side) => {
      const node = nodes[side];
      const name = random.chance(0.5) ? undefined : "lan";
      const target = { connection: "net", ...(name === undefined ? {} : { child: name }) };
      node.command({ kind: "down", target });
      world.later(random.below(60_000), () => {
        if (node.isUp) node.command({ kind: "up", target });
      });
    },
  ],
  [
    "silence",
    (life) => {
      life.silentUntil = Math.max(life.silentUntil, life.world.now + life.random.below(minutes(4)));
    },
  ],
  [
    "another configuration",
    ({ nodes, world, configured }, side) => {
      const { ike } = configured[side];
      const liveness = DurationMs(ike.liveness - 1);
      const one = { ...configured[side], ike: { ...ike, liveness } };
      nodes[side].perform(nodes[side].machine.setConnections([one], world.now));
    },
  ],
];

function rekey(node: IkeNode, name?: string): void {
  const target = { connection: "net", ...(name === undefined ? {} : { child: name }) };
  node.command({ kind: "rekey", target });
}

function live(life: Life): void {
  const { world, random, story } = life;
  for (let i = 0; i < EVENTS; i++) {
    const [name, deed] = DEEDS[random.below(DEEDS.length)]!;
    const side: Side = random.chance(0.5) ? "A" : "B";
    story.push(`${Math.round(world.now / 1000)} s: ${name} (${side})`);
    deed(life, side);
    world.run(random.below(2 * BETWEEN));
  }
}

/** A quiet network, and as long as it takes until nothing is on its way out; then everything is as configured. */
function rest({ world }: Life): void {
  world.network = perfectNetwork;
  world.run(minutes(6));
  const isQuiet = () =>
    world.nodes.every(
      ({ machine, dataPlane }) =>
        machine.ikeSaCount() === 1 && dataPlane.pairs.size === 2 && dataPlane.reserved.size === 0,
    );
  for (let i = 0; i < 300 && !isQuiet(); i++) world.run(seconds(1));
}

/** @throws Error that tells the seed and what happened, when both ends do not come to rest alike, or leave something over */
export function liveAndRest(seed: number): void {
  const life = begin(seed);
  live(life);
  rest(life);
  const { A, B } = life.nodes;
  try {
    expectConverged(A, B, ["dmz", "lan"]);
    A.shutDown();
    B.shutDown();
    life.world.run(minutes(5));
    expectGone(A);
    expectGone(B);
    expect(A.machine.nextTimeout()).toBeUndefined();
  } catch (error) {
    throw new Error(`SEED=${seed}: ${life.story.join("; ")}`, { cause: error });
  }
}

/** Seeds of a run: 300, or 5,000 in the long one; the files that share them take every second one. */
export function lifeSeeds(part: 0 | 1): readonly number[] {
  const { SEEDS, SEED, TUNGATE_LONG: long } = process.env;
  if (SEED !== undefined) return part === 0 ? [Number(SEED)] : [];
  const count = Number(SEEDS ?? (long === undefined || long === "" ? 300 : 5000));
  return Array.from({ length: count }, (_, i) => i + 1).filter((seed) => seed % 2 === part);
}
