/** Another configuration while IKE is at work: in the midst of a negotiation, and with changes that a rekey can bring. */
import { describe, expect, test } from "vitest";
import { utf8 } from "../../src/base/bytes.ts";
import { minutes, seconds } from "../../src/base/instant.ts";
import { OUTDATED_PATIENCE } from "../../src/ike/limits.ts";
import { fingerprintsOf } from "../../src/ike/predecessor.ts";
import { decodeIkeSa, resumeIkeSa } from "../../src/ike/sa/state-codec.ts";
import type { ChildConfiguration, Connection } from "../../src/policy/connection.ts";
import { expectConverged } from "./ike-invariants.ts";
import { startTraffic } from "./ike-traffic.ts";
import {
  badNetwork,
  type ConnectionChanges,
  child,
  connection,
  ESP_CBC,
  ESP_GCM,
  GCM_X25519,
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

describe("a change of what an IKE SA proves itself by", () => {
  const NEW_SECRET = { kind: "psk", secret: utf8("another one for both") } as const;
  const OTHER_IKE = { ...GCM_X25519, encr: [{ id: 20, keyBits: 128 }] };
  const ofA = (changes: ConnectionChanges = {}) => connection("192.0.2.2", [LAN_A], changes);
  const ofB = (changes: ConnectionChanges = {}) =>
    connection("192.0.2.1", [respond(LAN_B)], { keep: "respond", ...changes });
  const renewedSecret = { local: { auth: NEW_SECRET }, remote: { auth: NEW_SECRET } };

  test.each([
    ["the end that calls is changed first", 0],
    ["the end that is called is changed first", 1],
  ])("a secret that both ends get within a minute costs no packet: %s", (_, order) => {
    const { world, a, b } = two();
    world.run(minutes(1));
    const before = a.state().ikeSa?.initiatorSpi;
    const traffic = startTraffic(world, a, b, 20);
    const changes = [() => reload(a, ofA(renewedSecret)), () => reload(b, ofB(renewedSecret))];
    changes[order]!();
    world.run(seconds(25));
    expect(a.state().ikeSa?.initiatorSpi).toBe(before);
    changes[1 - order]!();
    world.run(minutes(2));
    traffic.expectNothingLost();
    expectConverged(a, b, ["lan"]);
    expect(a.state().ikeSa?.initiatorSpi).not.toBe(before);
    for (const node of [a, b]) {
      expect(node.notices.flatMap((one) => (one.code === "ikeSaDown" ? [one.reason] : []))).toEqual([
        "reauthenticated",
      ]);
      expect(node.count("childSaDown")).toBe(0);
      expect(node.machine.isOutdated("net")).toBe(false);
    }
  });

  test("a secret that the peer does not get ends the IKE SA after a minute, as it says", () => {
    const { world, a, b } = two();
    world.run(minutes(1));
    reload(a, ofA(renewedSecret));
    expect(a.machine.isOutdated("net")).toBe(true);
    world.run(OUTDATED_PATIENCE - seconds(1));
    expect(a.count("ikeSaDown")).toBe(0);
    expect(a.find("reauthPostponed")?.failure.code).toBe("authenticationRejectedByPeer");
    world.run(seconds(2));
    expect(a.find("ikeSaDown")?.reason).toBe("configurationChanged");
    expect([a.dataPlane.pairs.size, b.dataPlane.pairs.size]).toEqual([0, 0]);
    reload(b, ofB(renewedSecret));
    world.run(minutes(3));
    expectConverged(a, b, ["lan"]);
  });

  test("going back in time has the former secret prove the IKE SA anew", () => {
    const { world, a, b } = two();
    world.run(minutes(1));
    const traffic = startTraffic(world, a, b, 20);
    reload(a, ofA(renewedSecret));
    world.run(seconds(30));
    reload(a, ofA());
    world.run(minutes(3));
    traffic.expectNothingLost();
    expectConverged(a, b, ["lan"]);
    expect(a.machine.isOutdated("net")).toBe(false);
  });

  test("other IKE proposals that the peer takes come without a lost packet, also while an authentication is under way", () => {
    const { world, a, b } = two();
    reload(b, ofB({ ike: { proposals: [GCM_X25519, OTHER_IKE] } }));
    world.run(minutes(2));
    expectConverged(a, b, ["lan"]);
    const traffic = startTraffic(world, a, b, 20);
    reload(a, ofA({ ike: { proposals: [OTHER_IKE] } }));
    // In the midst of it once more.
    world.run(3);
    reload(a, ofA({ ike: { proposals: [OTHER_IKE], liveness: seconds(9) } }));
    world.run(minutes(2));
    traffic.expectNothingLost();
    expectConverged(a, b, ["lan"]);
    expect(a.state().ikeSa?.suite.encrKeyBits).toBe(128);
  });

  test("over a bad network it comes out the same", () => {
    for (let seed = 1; seed <= 8; seed++) {
      const world = new World(seed);
      const [a, b] = pair(world, {}, { keep: "respond", children: [respond(LAN_B)] });
      world.run(minutes(1));
      world.network = badNetwork(0.1);
      reload(b, ofB(renewedSecret));
      world.run(seconds(seed * 5));
      reload(a, ofA(renewedSecret));
      world.run(minutes(4));
      world.network = (datagram) => [{ datagram, delay: 1 }];
      world.run(minutes(4));
      expectConverged(a, b, ["lan"]);
      for (const node of [a, b]) {
        expect(node.machine.isOutdated("net")).toBe(false);
        expect(node.machine.ikeSaCount()).toBe(1);
      }
    }
  });

  test("a process that comes in between goes on with it; one that comes after a crash takes nothing of it", () => {
    const { world, a } = two();
    world.run(minutes(1));
    reload(a, ofA(renewedSecret));
    world.run(seconds(10));
    const [state] = a.machine.exportState();
    expect(resumeIkeSa(decodeIkeSa(state!))?.authentication).toMatchObject({ isOutdated: true });
    const connections = [ofA(renewedSecret)];
    const { connections: kept, policies } = fingerprintsOf(connections, (name) => a.machine.isOutdated(name));
    expect([kept.size, policies.size]).toEqual([0, 0]);
    expect(fingerprintsOf(connections).connections.size).toBe(1);
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
