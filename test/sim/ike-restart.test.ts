/** A process that comes after another: IKE SAs that were handed over go on, and those that were lost are replaced beside their children. */
import { describe, expect, test } from "vitest";
import { utf8 } from "../../src/base/bytes.ts";
import { minutes, seconds } from "../../src/base/instant.ts";
import { createIkeMachine } from "../../src/ike/ike-machine.ts";
import { type Fingerprints, fingerprintsOf } from "../../src/ike/predecessor.ts";
import { encodePlain } from "../../src/ike/sa/plain-value.ts";
import type { Connection } from "../../src/policy/connection.ts";
import { IdType } from "../../src/wire/ike/registries.ts";
import { child, connection, type IkeNode, LAN_A, LAN_B, pair, World } from "./ike-world.ts";

const NET = connection("192.0.2.2", [LAN_A]);

interface Restart {
  readonly connections?: readonly Connection[];
  readonly ikeSas?: readonly Uint8Array[];
  readonly fingerprints?: Fingerprints;
  readonly isOurs?: () => boolean;
}

/** The process of a node is another one from here on; its data plane stays. */
function restart(
  node: IkeNode,
  { connections = [NET], ikeSas = [], fingerprints, isOurs }: Restart = {},
): void {
  const { world, dataPlane } = node;
  node.notices.length = 0;
  node.machine = createIkeMachine({
    connections: [],
    random: node.random,
    spis: dataPlane,
    usage: dataPlane,
    ports: { ike: 500, nat: 4500 },
    localAddressFor: () => node.address,
    now: world.now,
  });
  const pairs = [...dataPlane.pairs].map(([inboundSpi, { inbound }]) => ({
    inboundSpi,
    policy: inbound.policy,
  }));
  const before = {
    ikeSas,
    pairs,
    fingerprints: fingerprints ?? fingerprintsOf([NET]),
    isOurs: isOurs ?? (() => true),
  };
  node.perform(node.machine.setConnections(connections, world.now, before));
}

function running(): { world: World; a: IkeNode; b: IkeNode } {
  const world = new World(3);
  const [a, b] = pair(world);
  world.run(seconds(10));
  a.notices.length = 0;
  b.notices.length = 0;
  return { world, a, b };
}

describe("after a clean stop", () => {
  test("what an operator took down stays down, until it is wanted again", () => {
    const { world, a } = running();
    a.command({ kind: "down", target: { connection: "net" } });
    world.run(seconds(5));
    restart(a, { ikeSas: a.machine.exportState() });
    world.run(minutes(10));
    expect([a.state().waitsFor, a.dataPlane.pairs.size]).toEqual(["operator", 0]);

    a.command({ kind: "up", target: { connection: "net" } });
    world.run(seconds(5));
    expect(a.state().state).toBe("up");
    // The control: nothing else is down, and nothing is said of it.
    expect(a.machine.exportState()).toHaveLength(1);
  });

  test("a single child stays down as well, beside one that carries on", () => {
    const dmz = child("dmz", "10.3.0.0/16", "10.4.0.0/16");
    const world = new World(4);
    const both = connection("192.0.2.2", [LAN_A, dmz]);
    const [a] = pair(
      world,
      { children: [LAN_A, dmz] },
      { keep: "respond", children: [LAN_B, child("dmz", "10.4.0.0/16", "10.3.0.0/16")] },
    );
    world.run(seconds(10));
    a.command({ kind: "down", target: { connection: "net", child: "dmz" } });
    world.run(seconds(5));
    const given = { connections: [both], fingerprints: fingerprintsOf([both]) };
    restart(a, { ...given, ikeSas: a.machine.exportState() });
    world.run(minutes(10));
    expect(a.state().children.map(({ name, state }) => [name, state])).toEqual([
      ["lan", "up"],
      ["dmz", "down"],
    ]);
    // After a crash nobody knows of it.
    restart(a, given);
    world.run(minutes(2));
    expect(a.state().children.map(({ state }) => state)).toEqual(["up", "up"]);
  });

  test("of peers that share a connection the one that was down stays so, whatever its number is now", () => {
    const peer = (number: number, id: string) =>
      connection(`192.0.2.${10 + number}`, [LAN_A], {
        name: `many#${number}`,
        oneOf: { connection: "many", number, networks: "shared" } as never,
        remote: { id: { idType: IdType.FQDN, data: utf8(id) } },
      });
    const world = new World(6);
    const a = world.add("A", "192.0.2.1", [peer(1, "one.test"), peer(2, "two.test")]);
    a.command({ kind: "down", target: { connection: "many#2" } });
    const waits = (name: string) => a.machine.describe(world.now, name)[0]?.waitsFor;
    expect([waits("many#1") === "operator", waits("many#2") === "operator"]).toEqual([false, true]);
    restart(a, { ikeSas: a.machine.exportState(), connections: [peer(1, "two.test"), peer(2, "one.test")] });
    world.run(seconds(1));
    expect([waits("many#1") === "operator", waits("many#2") === "operator"]).toEqual([true, false]);
  });

  test("nothing is said, and IKE SA and child SAs work", () => {
    const { world, a, b } = running();
    const sent = world.wire.length;
    restart(a, { ikeSas: a.machine.exportState() });
    world.run(seconds(5));

    expect(world.wire.length).toBe(sent);
    const [inboundSpi] = a.dataPlane.pairs.keys();
    expect(a.machine.claims(inboundSpi!)).toBe(true);
    a.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
    world.run(seconds(5));
    expect(a.count("childSaRekeyed")).toBe(1);
    expect(b.count("ikeSaDown")).toBe(0);
  });

  test("what has changed in the configuration ends as with a reload: the child, or all of it", () => {
    const other = child("lan", "10.1.0.0/16", "10.2.0.0/24");
    const { world, a, b } = running();
    restart(a, { ikeSas: a.machine.exportState(), connections: [connection("192.0.2.2", [other])] });
    world.run(seconds(5));
    expect(a.find("childSaDown")).toMatchObject({ reason: "configurationChanged" });
    expect([a.count("ikeSaDown"), a.count("ikeSaUp")]).toEqual([0, 0]);

    const changed = connection("192.0.2.2", [LAN_A], { encapsulation: "udp" });
    restart(a, {
      ikeSas: a.machine.exportState(),
      connections: [changed],
      fingerprints: fingerprintsOf([NET]),
    });
    world.run(seconds(5));
    expect(a.find("ikeSaDown")).toMatchObject({ reason: "configurationChanged" });
    expect(a.count("ikeSaUp")).toBe(1);
    expect(b.find("ikeSaDown")).toMatchObject({ reason: "deletedByPeer" });
  });

  test("octets of another version, and an IKE SA of an address that is no longer ours, are as good as lost", () => {
    for (const lost of [
      { ikeSas: [encodePlain({ version: 0 }), new Uint8Array(3)] },
      { isOurs: () => false },
    ]) {
      const { world, a } = running();
      restart(a, { ikeSas: a.machine.exportState(), ...lost });
      const [inboundSpi] = a.dataPlane.pairs.keys();
      expect(a.machine.claims(inboundSpi!)).toBe(false);
      world.run(seconds(5));
      expect(a.count("ikeSaUp")).toBe(1);
    }
  });
});

describe("after a crash", () => {
  test("[CHILD-22] the peer is called without INITIAL_CONTACT, and keeps what it had until it has something new", () => {
    const { world, a, b } = running();
    const old = [...b.dataPlane.pairs.keys()];
    restart(a);
    world.run(seconds(2));

    expect(a.count("ikeSaUp")).toBe(1);
    expect(b.dataPlane.pairs.size).toBe(2);
    expect([...b.dataPlane.pairs.keys()]).toEqual(expect.arrayContaining(old));
    expect(b.count("ikeSaDown")).toBe(0);
    // In the end the peer has closed what nobody answers for.
    world.run(minutes(5));
    expect(b.count("ikeSaDown")).toBe(1);
    expect(b.dataPlane.pairs.size).toBe(1);
  });

  test("the control: with nothing left the peer is told so, and drops everything at once", () => {
    const { world, a, b } = running();
    a.dataPlane.pairs.clear();
    restart(a);
    world.run(seconds(2));
    expect(b.count("ikeSaDown")).toBe(1);
    expect(b.dataPlane.pairs.size).toBe(1);
  });

  test("what traffic had wanted is called again, what only answers is not", () => {
    for (const [keep, calls] of [
      ["on-demand", 1],
      ["respond", 0],
    ] as const) {
      const world = new World(4);
      const net = connection("192.0.2.2", [{ ...LAN_A, keep }], { keep });
      const a = world.add("a", "192.0.2.1", [net]);
      world.add("b", "192.0.2.2", [
        connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], { keep: "respond" }),
      ]);
      a.command({ kind: "up", target: { connection: "net", child: "lan" } });
      world.run(seconds(5));
      expect(a.count("childSaUp"), keep).toBe(1);
      restart(a, { connections: [net], fingerprints: fingerprintsOf([net]) });
      world.run(seconds(5));
      expect(a.count("childSaUp"), keep).toBe(calls);
    }
  });
});

describe("fingerprints", () => {
  test("change with what an SA rests on, and with nothing else", () => {
    const of = (one: Connection) =>
      JSON.stringify([...fingerprintsOf([one]).connections, ...fingerprintsOf([one]).policies]);
    const secret = new Uint8Array(9).fill(3);
    const changes: readonly [Connection, boolean][] = [
      [connection("192.0.2.2", [LAN_A]), false],
      [connection("192.0.2.3", [LAN_A]), false],
      [connection("192.0.2.2", [LAN_A], { keep: "on-demand" }), false],
      [connection("192.0.2.2", [child("lan", "10.1.0.0/16", "10.3.0.0/16")]), true],
      [{ ...NET, local: { ...NET.local, auth: { kind: "psk", secret } } }, true],
    ];
    for (const [changed, isOther] of changes) expect(of(changed) !== of(NET)).toBe(isOther);
    const turned = Object.fromEntries(Object.entries(NET).reverse()) as unknown as Connection;
    expect(of(turned)).toBe(of(NET));
  });
});
