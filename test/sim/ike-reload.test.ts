/** Another configuration while IKE is at work: in the midst of a negotiation, and with changes that a rekey can bring. */
import { describe, expect, test } from "vitest";
import { minutes, seconds } from "../../src/base/instant.ts";
import type { ChildConfiguration, Connection } from "../../src/policy/connection.ts";
import { expectConverged } from "./ike-invariants.ts";
import {
  badNetwork,
  child,
  connection,
  ESP_CBC,
  ESP_GCM,
  type IkeNode,
  LAN_A,
  LAN_B,
  pair,
  World,
} from "./ike-world.ts";

const BOTH = [ESP_GCM, ESP_CBC];
const respond = (one: ChildConfiguration) => ({ ...one, keep: "respond" }) as const;

function two(forB: Partial<ChildConfiguration> = { proposals: BOTH }) {
  const world = new World();
  const [a, b] = pair(world, {}, { keep: "respond", children: [respond({ ...LAN_B, ...forB })] });
  return { world, a, b };
}

function reload(node: IkeNode, ...connections: Connection[]): void {
  node.perform(node.machine.setConnections(connections, node.world.now));
}
const changed = (lan: Partial<ChildConfiguration>) => connection("192.0.2.2", [{ ...LAN_A, ...lan }]);

describe("a change that a rekey can bring", () => {
  test.each<[string, Partial<ChildConfiguration>]>([
    ["another cipher", { proposals: [ESP_CBC] }],
    ["other amounts", { lifetime: { softPackets: 1000, hardPackets: 2000 } }],
    ["another treatment of packets", { handling: { ...LAN_A.handling, df: "set", innerMtu: 1300 } }],
  ])("%s comes with a rekey, and no packet is without an SA", (_, lan) => {
    const { world, a, b } = two();
    world.run(minutes(1));
    const before = a.state();
    reload(a, changed(lan));
    for (let serial = 0; serial < 400; serial++) {
      expect(a.sendPacket("net/lan", serial)).toBe(true);
      expect(b.sendPacket("net/lan", serial)).toBe(true);
      world.run(20);
    }
    world.run(minutes(1));
    expectConverged(a, b, ["lan"]);
    const after = a.state();
    expect(a.count("childSaRekeyed")).toBe(1);
    expect(a.count("childSaDown")).toBe(0);
    expect(after.ikeSa?.initiatorSpi).toBe(before.ikeSa?.initiatorSpi);
    expect(after.children[0]?.sa?.inboundSpi).not.toBe(before.children[0]?.sa?.inboundSpi);
    const [pairOfA] = [...a.dataPlane.pairs.values()];
    if (lan.handling !== undefined) expect(pairOfA?.inbound.handling).toMatchObject(lan.handling);
    if (lan.lifetime !== undefined) expect(pairOfA?.inbound.lifetime.hardPackets).toBe(2000);
    if (lan.proposals !== undefined) expect(after.children[0]?.sa?.suite.integ).not.toBe(0);
  });

  test("a peer that refuses it keeps the old SA, and is asked again; once it agrees, the change is there", () => {
    const { world, a, b } = two({ proposals: [ESP_GCM] });
    world.run(minutes(1));
    const before = a.state().children[0]?.sa?.inboundSpi;
    reload(a, changed({ proposals: [ESP_CBC] }));
    world.run(seconds(20));
    expect(a.state().children[0]).toMatchObject({ state: "up", sa: { inboundSpi: before } });
    expect(a.state().children[0]?.lastFailure?.code).toBe("rekeyRefused");
    reload(b, connection("192.0.2.1", [respond({ ...LAN_B, proposals: [ESP_CBC] })], { keep: "respond" }));
    world.run(minutes(15));
    expectConverged(a, b, ["lan"]);
    expect(a.state().children[0]?.sa?.suite.integ).not.toBe(0);
  });

  test("what a rekey cannot bring ends the SA, and a new one comes at once", () => {
    const { world, a, b } = two();
    world.run(minutes(1));
    const before = a.state();
    const other = child("lan", "10.1.0.0/24", "10.2.0.0/16");
    reload(a, connection("192.0.2.2", [other]));
    world.run(seconds(10));
    expectConverged(a, b, ["lan"]);
    expect(a.count("childSaRekeyed")).toBe(0);
    expect(a.state().ikeSa?.initiatorSpi).toBe(before.ikeSa?.initiatorSpi);
    expect(a.state().children[0]?.sa?.selectors.local).toEqual(other.selectors.local);
  });
});

test("the same configuration again, however often, changes nothing", () => {
  const { world, a, b } = two();
  world.run(minutes(1));
  const before = a.actions.length;
  for (let i = 0; i < 20; i++) {
    reload(a, { ...changed({}), place: { file: "other.yaml", line: i } });
    world.run(100);
  }
  // A look at whether the peer lives may be due.
  const kinds = a.actions.slice(before).map(({ kind }) => kind);
  expect(kinds.filter((kind) => kind !== "send" && kind !== "message")).toEqual([]);
  expectConverged(a, b, ["lan"]);
});

describe("in the midst of a negotiation", () => {
  const dmzA = child("dmz", "10.3.0.0/16", "10.4.0.0/16");
  const dmzB = respond(child("dmz", "10.4.0.0/16", "10.3.0.0/16"));
  /** Everything that a reload may change, one after the other at moments that fall into every exchange. */
  const files: readonly (readonly Connection[])[] = [
    [connection("192.0.2.2", [LAN_A])],
    [connection("192.0.2.2", [LAN_A, dmzA])],
    [connection("192.0.2.2", [{ ...LAN_A, proposals: [ESP_CBC] }, dmzA])],
    [connection("192.0.2.2", [dmzA])],
    [connection("192.0.2.2", [LAN_A, dmzA], { encapsulation: "udp" })],
    [],
    [connection("192.0.2.2", [LAN_A, dmzA], { ike: { liveness: seconds(5) } })],
  ];

  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])(
    "reloads every %s ms and a bit end in what the last one says",
    (step) => {
      const world = new World(100 + step);
      world.network = badNetwork(0.1);
      world.computeDelay = () => 1 + world.random.below(4);
      const forB = { keep: "respond", children: [respond({ ...LAN_B, proposals: BOTH }), dmzB] } as const;
      const [a, b] = pair(world, {}, forB);
      for (let i = 0; i < 60; i++) {
        world.run(step * 7 + world.random.below(5));
        reload(a, ...files[world.random.below(files.length)]!);
      }
      reload(a, ...files[1]!);
      world.network = (datagram) => [{ datagram, delay: 1 }];
      world.run(minutes(20));
      expectConverged(a, b, ["dmz", "lan"]);
    },
  );
});
