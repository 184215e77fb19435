/** Several child SAs for one policy: by DSCP (RFC 4301 section 4.1) and by lane (RFC 9611), in every mix of ends. */
import { describe, expect, test } from "vitest";
import { minutes, seconds } from "../../src/base/instant.ts";
import { notify } from "../../src/ike/exchange/payload-list.ts";
import { RESOURCE_SAS_PER_CHILD_MAX } from "../../src/ike/limits.ts";
import type { ChildConfiguration } from "../../src/policy/connection.ts";
import type { Payload } from "../../src/wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../src/wire/ike/registries.ts";
import { expectConverged, expectGone, expectMirrored } from "./ike-invariants.ts";
import { kinds, notifyTypes, RawPeer } from "./ike-raw-peer.ts";
import { badNetwork, child, connection, type IkeNode, LAN_B, perfectNetwork, World } from "./ike-world.ts";

type Keep = ChildConfiguration["keep"];
interface Side {
  readonly keep?: Keep;
  readonly lanes?: number;
  readonly dscpClasses?: readonly (readonly number[])[];
  readonly rekey?: ChildConfiguration["rekey"];
}

const CLASSES = [[46], [10, 12, 14]];
const TARGET = { connection: "net", child: "lan" };

function ends(world: World, sideA: Side, sideB: Side): [IkeNode, IkeNode] {
  const add = (name: string, own: number, other: number, { lanes, keep = "up", ...side }: Side) => {
    const changes = { ...(side as Partial<ChildConfiguration>), keep };
    const lan = child("lan", `10.${own}.0.0/16`, `10.${other}.0.0/16`, changes);
    const ike = { rekey: { time: minutes(7), jitter: 0.2 } };
    return world.add(
      name,
      `192.0.2.${own}`,
      [connection(`192.0.2.${other}`, [lan], { keep, ike })],
      lanes === undefined ? {} : { lanes },
    );
  };
  return [add("A", 1, 2, sideA), add("B", 2, 1, sideB)];
}

/** What leaves through each outbound SA of a node, in order. */
function purposes(node: IkeNode): readonly string[] {
  return [...node.dataPlane.pairs.values()]
    .map(({ outbound }) => (outbound?.dscps ?? outbound?.resource ?? "rest").toString())
    .sort();
}

function expectMatched(a: IkeNode, b: IkeNode): void {
  expectMirrored(a, b);
  expectMirrored(b, a);
  for (const { dataPlane } of [a, b]) expect(dataPlane.reserved.size).toBe(0);
}

describe("DSCP", () => {
  const classes = ["10,12,14", "46", "rest"];

  test.each<[string, Keep]>([
    ["one end asks", "respond"],
    ["both ask", "up"],
  ])("[PAR-01] %s: one SA for each class at both ends, and one for the rest", (_, keep) => {
    const world = new World();
    const [a, b] = ends(world, { dscpClasses: CLASSES }, { dscpClasses: CLASSES, keep });
    world.run(seconds(60));
    expectConverged(a, b, ["lan", "lan", "lan"]);
    expect(purposes(a)).toEqual(classes);
    expect(purposes(b)).toEqual(classes);
    const [lan] = a.state().children;
    expect(lan?.siblings?.map(({ dscps }) => dscps)).toEqual(CLASSES);
    expect(lan?.old).toEqual([]);
  });

  test("[PAR-02] an end without classes takes all of them and sends through any", () => {
    const world = new World();
    const [a, b] = ends(world, { dscpClasses: CLASSES }, { keep: "respond" });
    world.run(seconds(60));
    expectConverged(a, b, ["lan", "lan", "lan"]);
    expect(purposes(a)).toEqual(classes);
    expect(purposes(b)).toEqual(["rest", "rest", "rest"]);
  });

  test("a rekey replaces like by like, and a deletion brings back what is missing", () => {
    const world = new World();
    const [a, b] = ends(world, { dscpClasses: CLASSES }, { dscpClasses: CLASSES, keep: "respond" });
    world.run(seconds(60));
    const before = [...a.dataPlane.pairs.keys()];
    b.command({ kind: "rekey", target: TARGET });
    world.run(seconds(60));
    a.command({ kind: "rekey", target: TARGET });
    world.run(minutes(2));
    expectConverged(a, b, ["lan", "lan", "lan"]);
    expect(purposes(a)).toEqual(classes);
    expect(purposes(b)).toEqual(classes);
    for (const spi of a.dataPlane.pairs.keys()) expect(before).not.toContain(spi);
    const voice = [...a.dataPlane.pairs].find(([, { outbound }]) => outbound?.dscps?.includes(46))![0];
    a.feed({ kind: "dataPlane", event: { kind: "hardLimit", inboundSpi: voice, reason: "packets" } });
    expect(a.dataPlane.pairs.has(voice)).toBe(false);
    world.run(minutes(5));
    expect(purposes(a)).toEqual(classes);
    expectMatched(a, b);
  });

  test("down takes all of them, up brings all back", () => {
    const world = new World();
    const [a, b] = ends(world, { dscpClasses: CLASSES }, { keep: "respond" });
    world.run(seconds(60));
    a.command({ kind: "down", target: TARGET });
    world.run(seconds(60));
    expect([a.dataPlane.pairs.size, b.dataPlane.pairs.size]).toEqual([0, 0]);
    a.command({ kind: "up", target: TARGET });
    world.run(seconds(60));
    expect(purposes(a)).toEqual(classes);
  });

  test("other classes in the configuration begin anew", () => {
    const world = new World();
    const [a] = ends(world, { dscpClasses: CLASSES }, { keep: "respond" });
    world.run(seconds(60));
    const lan = child("lan", "10.1.0.0/16", "10.2.0.0/16", { dscpClasses: [[34]] });
    const ike = { rekey: { time: minutes(7), jitter: 0.2 } };
    a.perform(a.machine.setConnections([connection("192.0.2.2", [lan], { ike })], world.now));
    world.run(minutes(2));
    expect(purposes(a)).toEqual(["34", "rest"]);
  });
});

describe("lanes", () => {
  test("[RES-01] [RES-06] each end has an SA for each of its lanes, and keeps them through rekeys", () => {
    const world = new World();
    const [a, b] = ends(world, { lanes: 4 }, { lanes: 4, keep: "respond" });
    world.run(seconds(60));
    const lanes = ["0", "1", "2", "3", "rest"];
    for (const node of [a, b]) expect(purposes(node)).toEqual(lanes);
    expectMatched(a, b);
    expect(a.state().children[0]?.siblings?.map(({ lane }) => lane)).toEqual([0, 1, 2, 3]);
    a.command({ kind: "rekey", target: TARGET });
    world.run(minutes(2));
    for (const node of [a, b]) {
      expect(purposes(node)).toEqual(lanes);
      for (const [spi, { outbound }] of node.dataPlane.pairs)
        expect(node.dataPlane.owners.get(spi)).toBe(outbound?.resource);
    }
    expectMatched(a, b);
  });

  test("an end with fewer lanes spreads the other's SAs over them", () => {
    const world = new World();
    const [a, b] = ends(world, { lanes: 4 }, { lanes: 2 });
    world.run(seconds(90));
    expect(purposes(a)).toEqual(["0", "1", "2", "3", "rest"]);
    expect(purposes(b)).toEqual(["0", "0", "1", "1", "rest"]);
    expectMatched(a, b);
  });

  test.each<[string, Side, Side]>([
    ["the peer has one lane", { lanes: 4 }, { lanes: 1 }],
    ["we have one lane", { lanes: 1 }, { lanes: 4 }],
    ["the child has DSCP classes there", { lanes: 4 }, { lanes: 4, dscpClasses: CLASSES, keep: "respond" }],
  ])("[RES-01] %s: what is not agreed is not asked for", (_, sideA, sideB) => {
    const world = new World();
    const [a, b] = ends(world, sideA, sideB);
    world.run(seconds(90));
    expect(a.dataPlane.pairs.size).toBe(1);
    expectMatched(a, b);
  });

  function rawPeer(keep: Keep, lanes = 2): { b: IkeNode; peer: RawPeer; world: World } {
    const world = new World();
    const lan = [{ ...LAN_B, keep }];
    const b = world.add("B", "192.0.2.2", [connection("192.0.2.1", lan, { keep: "respond" })], { lanes });
    return { world, b, peer: new RawPeer(world, b) };
  }
  const resource = (data = new Uint8Array()): Payload => notify(NotifyType.SA_RESOURCE_INFO, data);
  const connect = (peer: RawPeer) => {
    peer.init();
    return peer.ask(ExchangeType.IKE_AUTH, [...peer.authPayloads(), resource()])!;
  };

  test("[RES-02] the identifier that a peer gives changes nothing, whatever it is", () => {
    const { b, peer } = rawPeer("respond");
    expect(notifyTypes(connect(peer).payloads)).toContain(NotifyType.SA_RESOURCE_INFO);
    for (const [i, data] of [Uint8Array.of(9), new Uint8Array(300), new Uint8Array()].entries()) {
      const answer = peer.ask(ExchangeType.CREATE_CHILD_SA, peer.createChild(0xc100 + i, [resource(data)]));
      expect(kinds(answer!.payloads)).toContain("SA");
    }
    expect(purposes(b)).toEqual(["0", "0", "1", "rest"]);
  });

  test("[RES-04] a peer gets so many and no more, and TS_MAX_QUEUE then", () => {
    const { b, peer } = rawPeer("respond");
    connect(peer);
    const answers: string[] = [];
    for (let i = 0; i < RESOURCE_SAS_PER_CHILD_MAX + 5; i++) {
      const answer = peer.ask(ExchangeType.CREATE_CHILD_SA, peer.createChild(0xc100 + i, [resource()]));
      answers.push(kinds(answer!.payloads).join());
    }
    const refused = answers.filter((kind) => kind === `N(${NotifyType.TS_MAX_QUEUE})`);
    expect(refused).toHaveLength(5);
    expect(b.dataPlane.pairs.size).toBe(1 + RESOURCE_SAS_PER_CHILD_MAX);
    expect(b.dataPlane.reserved.size).toBe(0);
  });

  test.each([NotifyType.TS_MAX_QUEUE, NotifyType.NO_ADDITIONAL_SAS])(
    "[RES-03] after notify %i no further SA is asked for, and the first goes on",
    (notifyType) => {
      const { world, b, peer } = rawPeer("up", 4);
      connect(peer);
      world.run(seconds(1));
      const asked = peer
        .requests()
        .filter(({ header }) => header.exchangeType === ExchangeType.CREATE_CHILD_SA);
      expect(asked).toHaveLength(1);
      expect(notifyTypes(asked[0]!.payloads)).toContain(NotifyType.SA_RESOURCE_INFO);
      const before = world.wire.length;
      peer.answer(asked[0]!, [notify(notifyType)]);
      world.run(seconds(20));
      const later = peer.requests(before).map(({ header }) => header.exchangeType);
      expect(later).not.toContain(ExchangeType.CREATE_CHILD_SA);
      expect(purposes(b)).toEqual(["rest"]);
      expect(b.dataPlane.reserved.size).toBe(0);
      expect(b.state().children[0]?.state).toBe("up");
    },
  );

  test("an SA that the peer deletes as idle is not pressed upon it at once", () => {
    const world = new World();
    const [a, b] = ends(world, { lanes: 2 }, { lanes: 2, keep: "respond" });
    world.run(seconds(60));
    const idle = [...b.dataPlane.pairs].find(([, { outbound }]) => outbound?.resource === 1)![0];
    b.feed({ kind: "dataPlane", event: { kind: "hardLimit", inboundSpi: idle, reason: "packets" } });
    world.run(seconds(1));
    expect(purposes(a)).toEqual(["0", "rest"]);
    world.run(seconds(10));
    expect(purposes(a)).toEqual(["0", "1", "rest"]);
    expectMatched(a, b);
  });
});

const SEEDS = Array.from({ length: 40 }, (_, i) => i + 1);

test.each(SEEDS)("seed %i: loss, rekeys and collisions end in one SA for each purpose", (seed) => {
  const world = new World(seed);
  const { random } = world;
  world.network = badNetwork(0.2, 0.1, 80, 0);
  if (random.chance(0.5)) world.computeDelay = () => random.below(30);
  const rekey = { time: minutes(3), jitter: random.chance(0.5) ? 0 : 0.3 };
  const side = random.chance(0.5) ? { dscpClasses: CLASSES, rekey } : { lanes: 2, rekey };
  const [a, b] = ends(world, side, { ...side, keep: random.chance(0.5) ? "up" : "respond" });
  world.run(minutes(15));
  world.network = perfectNetwork;
  world.run(minutes(10));
  const quiet = () =>
    world.nodes.every(({ machine, dataPlane }) => machine.ikeSaCount() === 1 && dataPlane.pairs.size === 3);
  for (let i = 0; i < 240 && !quiet(); i++) world.run(seconds(1));
  const expected = side.lanes === undefined ? ["10,12,14", "46", "rest"] : ["0", "1", "rest"];
  expect(purposes(a)).toEqual(expected);
  expect(purposes(b)).toEqual(expected);
  expectMatched(a, b);
  a.shutDown();
  b.shutDown();
  world.run(minutes(5));
  expectGone(a);
  expectGone(b);
});
