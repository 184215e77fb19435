/** Connections kept up, called on demand, lost and found again; what the machine shows of itself meanwhile. */
import { describe, expect, test } from "vitest";
import { hours, minutes, seconds } from "../../src/base/instant.ts";
import { formatSelector, parseSelector } from "../../src/policy/selector-text.ts";
import type { TrafficSelector } from "../../src/policy/traffic-selector.ts";
import { ExchangeType } from "../../src/wire/ike/registries.ts";
import { expectConverged, expectGone, expectMirrored } from "./ike-invariants.ts";
import { RawPeer } from "./ike-raw-peer.ts";
import {
  badNetwork,
  CBC_ECP256,
  child,
  connection,
  ip,
  LAN_A,
  LAN_B,
  pair,
  perfectNetwork,
  World,
} from "./ike-world.ts";

const CHILD = { connection: "net", child: "lan" };

function packetSelector(text: string): TrafficSelector {
  const parsed = parseSelector(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}

const PACKET = { local: packetSelector("10.1.0.5[tcp/1234]"), remote: packetSelector("10.2.0.7[tcp/443]") };

describe("keep up", () => {
  test("it calls for ever, with growing waits up to a cap, and shows when it calls next", () => {
    const world = new World();
    const a = world.add("A", "192.0.2.1", [connection("192.0.2.2", [LAN_A])]);
    world.run(hours(3));
    expect(a.count("connecting")).toBeGreaterThan(50);
    const retries = a.notices.flatMap((notice) => (notice.code === "retrying" ? [notice] : []));
    expect(retries.at(-1)?.failure?.code).toBe("noAnswer");
    while (a.state().state !== "waiting") world.run(1000);
    const { nextTryAt, lastFailure, failures } = a.state();
    expect(nextTryAt).toBeGreaterThan(world.now);
    expect(nextTryAt! - world.now).toBeLessThanOrEqual(minutes(2) * 1.25);
    expect(lastFailure).toMatchObject({ code: "noAnswer", exchange: "IKE_SA_INIT" });
    expect(failures).toBeGreaterThan(50);
    world.add("B", "192.0.2.2", [
      connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], { keep: "respond" }),
    ]);
    world.run(minutes(4));
    expect(a.state()).toMatchObject({ state: "up", failures: expect.any(Number) });
    expect(a.state().lastFailure).toBeUndefined();
  });

  test("[CHILD-23] silence is asked about; authentic ESP counts as a sign of life", () => {
    const world = new World();
    const [a, b] = pair(world);
    world.run(seconds(5));
    const liveness = (since: number) =>
      world.wire.slice(since).filter(({ bytes }) => bytes[18] === ExchangeType.INFORMATIONAL).length;
    let from = world.wire.length;
    for (let i = 0; i < 100; i++) {
      b.sendPacket("net/lan", i);
      a.sendPacket("net/lan", i);
      world.run(seconds(5));
    }
    expect(liveness(from)).toBe(0);
    from = world.wire.length;
    world.run(minutes(5));
    expect(liveness(from)).toBeGreaterThan(10);
    expect(a.count("ikeSaDown")).toBe(0);
  });

  test("[CHILD-23] a forged or replayed answer is no sign of life", () => {
    const world = new World();
    const [a, b] = pair(world);
    world.run(minutes(2));
    const answers = world.wire.filter(
      ({ from, bytes }) => from.address[3] === b.address[3] && (bytes[19]! & 0x20) !== 0,
    );
    b.isUp = false;
    const replay = () => {
      for (const { from, to, bytes } of answers) a.feed({ kind: "datagram", local: to, remote: from, bytes });
      world.later(seconds(2), replay);
    };
    replay();
    world.run(minutes(5));
    expect(a.find("ikeSaDown")?.reason).toBe("noAnswer");
  });

  test("a peer that dies is noticed, and its successor is found", () => {
    const world = new World();
    const [a, b] = pair(world);
    world.run(minutes(1));
    b.isUp = false;
    world.run(minutes(10));
    expect(a.state().state).not.toBe("up");
    expect(a.dataPlane.pairs.size).toBe(0);
    expect(a.find("childSaDown")?.reason).toBe("noAnswer");
    const fresh = world.add("B2", "192.0.2.2", [
      connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], { keep: "respond" }),
    ]);
    world.run(minutes(4));
    expectConverged(a, fresh, ["lan"]);
  });

  test("[ERR-07] a peer that began anew is found in less than a minute, without believing anything unauthenticated", () => {
    const world = new World();
    const [a, b] = pair(world);
    world.run(minutes(1));
    const before = a.state().ikeSa?.initiatorSpi;
    b.isUp = false;
    const fresh = world.add("B2", "192.0.2.2", [
      connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], { keep: "respond" }),
    ]);
    const start = world.now;
    while (a.state().ikeSa?.initiatorSpi === before && world.now < start + minutes(5)) world.run(500);
    expect(world.now - start).toBeLessThan(minutes(1));
    expect(a.count("unauthenticatedNotify")).toBeGreaterThan(0);
    world.run(minutes(2));
    expectConverged(a, fresh, ["lan"]);
  });

  test("a peer that begins anew and calls us replaces its old IKE SA", () => {
    const world = new World();
    const [a, b] = pair(world);
    world.run(minutes(2));
    a.isUp = false;
    const fresh = world.add("A2", "192.0.2.1", [connection("192.0.2.2", [LAN_A])]);
    world.run(minutes(1));
    expectMirrored(fresh, b);
    expect(b.find("ikeSaDown")?.reason).toBe("replaced");
    expect(b.dataPlane.pairs.size).toBe(1);
  });

  test("what the peer takes away comes back, but not in a circle", () => {
    const world = new World();
    const [a, b] = pair(world);
    world.run(minutes(1));
    b.command({ kind: "down", target: CHILD });
    world.run(minutes(10));
    expect(a.state().state).toBe("up");
    expect(a.count("childSaUp")).toBeGreaterThan(1);
    expect(a.count("childSaUp")).toBeLessThan(20);
  });

  test("several addresses are called in turn", () => {
    const world = new World();
    const remote = {
      addresses: ["192.0.2.77", "192.0.2.2"].map((text) => ({ start: ip(text), end: ip(text) })),
    };
    const [a] = pair(world, { remote });
    world.run(minutes(2));
    expect(a.state()).toMatchObject({ state: "up", remote: { address: ip("192.0.2.2") } });
  });

  test("both ends keep it up through a storm that cuts everything for minutes", () => {
    const world = new World(7);
    const [a, b] = pair(world, {}, {});
    world.run(minutes(2));
    for (let i = 0; i < 4; i++) {
      world.network = () => [];
      world.run(minutes(6));
      world.network = badNetwork(0.3);
      world.run(minutes(3));
    }
    world.network = perfectNetwork;
    world.run(minutes(8));
    expectConverged(a, b, ["lan"]);
  });
});

describe("on demand", () => {
  const onDemand = { ...LAN_A, keep: "on-demand" } as const;
  const acquire = {
    kind: "dataPlane",
    event: { kind: "acquire", policy: "net/lan", packet: PACKET },
  } as const;

  test("nothing happens until a packet wants an SA; its selectors come first in TSi and TSr", () => {
    const world = new World();
    const a = world.add("A", "192.0.2.1", [connection("192.0.2.2", [onDemand], { keep: "on-demand" })]);
    const narrow = child("lan", "10.2.0.0/24", "10.1.0.0/24", { keep: "respond" });
    const b = world.add("B", "192.0.2.2", [connection("192.0.2.1", [narrow], { keep: "respond" })]);
    world.run(minutes(5));
    expect(world.wire).toHaveLength(0);
    expect(a.state()).toMatchObject({ state: "down", children: [{ state: "down" }] });
    a.feed(acquire);
    world.run(seconds(2));
    expectMirrored(a, b);
    expect(a.state().children[0]).toMatchObject({ state: "up", keep: "on-demand" });
    expect(b.state().children[0]?.sa?.selectors.local.map(formatSelector)).toEqual(["10.2.0.0/24"]);
  });

  test("a failure answers the acquire, and a later packet asks again", () => {
    const world = new World();
    const a = world.add("A", "192.0.2.1", [connection("192.0.2.2", [onDemand], { keep: "on-demand" })]);
    a.feed(acquire);
    world.run(minutes(2));
    expect(a.dataPlane.failedAcquires).toEqual(["net/lan"]);
    expect(a.state().state).toBe("down");
    const before = world.wire.length;
    world.run(minutes(10));
    expect(world.wire.length).toBe(before);
    a.feed(acquire);
    world.run(seconds(10));
    expect(world.wire.length).toBeGreaterThan(before);
  });

  test("an acquire for what only answers, is down, or unknown is refused at once", () => {
    const world = new World();
    const a = world.add("A", "192.0.2.1", [
      connection("192.0.2.2", [{ ...LAN_A, keep: "respond" }], { keep: "respond" }),
    ]);
    a.feed(acquire);
    a.feed({ kind: "dataPlane", event: { kind: "acquire", policy: "no/such", packet: PACKET } });
    expect(a.dataPlane.failedAcquires).toEqual(["net/lan", "no/such"]);
    expect(world.wire).toHaveLength(0);
  });

  test("a second child on demand joins the IKE SA that is there", () => {
    const world = new World();
    const dmz = child("dmz", "10.3.0.0/16", "10.4.0.0/16", { keep: "on-demand" });
    const dmzB = child("dmz", "10.4.0.0/16", "10.3.0.0/16", { keep: "respond" });
    const [a, b] = pair(
      world,
      { children: [LAN_A, dmz] },
      { keep: "respond", children: [{ ...LAN_B, keep: "respond" }, dmzB] },
    );
    world.run(minutes(1));
    expectConverged(a, b, ["lan"]);
    const packet = { local: packetSelector("10.3.0.1"), remote: packetSelector("10.4.0.1") };
    a.feed({ kind: "dataPlane", event: { kind: "acquire", policy: "net/dmz", packet } });
    world.run(seconds(2));
    expectConverged(a, b, ["dmz", "lan"]);
  });

  test("a packet outside of a narrowed SA gets an SA of its own", () => {
    const world = new World();
    const narrow = ["10.2.0.0/24", "10.2.1.0/24"].map((prefix, i) =>
      child(`part${i}`, prefix, "10.1.0.0/16", { keep: "respond" }),
    );
    const [a] = pair(
      world,
      { keep: "on-demand", children: [onDemand] },
      { keep: "respond", children: narrow },
    );
    a.feed(acquire);
    world.run(seconds(2));
    expect(a.dataPlane.pairs.size).toBe(1);
    const other = { local: packetSelector("10.1.0.5"), remote: packetSelector("10.2.1.9") };
    a.feed({ kind: "dataPlane", event: { kind: "acquire", policy: "net/lan", packet: other } });
    world.run(seconds(2));
    expect(a.dataPlane.pairs.size).toBe(2);
  });
});

describe("commands", () => {
  test("down ends it and keeps it down; up brings it back", () => {
    const world = new World();
    const [a, b] = pair(world);
    world.run(minutes(1));
    a.command({ kind: "down", target: { connection: "net" } });
    world.run(minutes(10));
    expectGone(a);
    expectGone(b);
    expect(a.state().state).toBe("down");
    a.command({ kind: "up", target: { connection: "net" } });
    world.run(minutes(1));
    expectConverged(a, b, ["lan"]);
  });

  test("a connection that only answers can be brought up by hand", () => {
    const world = new World();
    const [a, b] = pair(world, { keep: "respond" });
    world.run(minutes(1));
    expect(world.wire).toHaveLength(0);
    a.command({ kind: "up", target: { connection: "net" } });
    world.run(minutes(1));
    expectConverged(a, b, ["lan"]);
  });

  test("shutdown sends the deletes, and then there is nothing more to do", () => {
    const world = new World();
    const [a, b] = pair(world);
    world.run(minutes(1));
    a.shutDown();
    expect(a.dataPlane.pairs.size).toBe(0);
    world.run(seconds(1));
    expectGone(a);
    expect(b.dataPlane.pairs.size).toBe(0);
    expect(a.machine.nextTimeout()).toBeUndefined();
    const before = a.actions.length;
    new RawPeer(world, a, "192.0.2.2").send(new RawPeer(world, a).encodeInit());
    a.feed({ kind: "timeout" });
    a.command({ kind: "up", target: { connection: "net" } });
    world.run(minutes(10));
    expect(a.actions.slice(before).filter(({ kind }) => kind !== "notice")).toEqual([]);
  });

  test("computations that are late, or never come, cost time and nothing else", () => {
    const world = new World(3);
    const [a, b] = pair(world);
    let count = 0;
    world.computeDelay = () => (++count % 3 === 0 ? undefined : world.random.below(2000));
    world.run(minutes(5));
    for (let i = 0; i < 4; i++) {
      a.command({ kind: "rekey", target: CHILD });
      b.command({ kind: "rekey", target: { connection: "net" } });
      world.run(minutes(3));
    }
    world.computeDelay = () => 1;
    world.run(minutes(10));
    expectConverged(a, b, ["lan"]);
  });
});

describe("another configuration", () => {
  test("what did not change goes on; what went is deleted; what is new comes up", () => {
    const world = new World();
    const dmzA = child("dmz", "10.3.0.0/16", "10.4.0.0/16");
    const dmzB = child("dmz", "10.4.0.0/16", "10.3.0.0/16", { keep: "respond" });
    const [a, b] = pair(world, {}, { keep: "respond", children: [{ ...LAN_B, keep: "respond" }, dmzB] });
    world.run(minutes(1));
    const before = a.state();
    a.perform(a.machine.setConnections([connection("192.0.2.2", [LAN_A, dmzA])], world.now));
    world.run(minutes(1));
    expectConverged(a, b, ["dmz", "lan"]);
    expect(a.state().ikeSa?.initiatorSpi).toBe(before.ikeSa?.initiatorSpi);
    a.perform(a.machine.setConnections([connection("192.0.2.2", [dmzA])], world.now));
    world.run(minutes(1));
    expectConverged(a, b, ["dmz"]);
    a.perform(a.machine.setConnections([], world.now));
    world.run(minutes(1));
    expectGone(a);
    expectGone(b);
  });

  test("another key or another address ends the IKE SA and begins a new one", () => {
    const world = new World();
    const [a, b] = pair(world);
    world.run(minutes(1));
    const before = a.state().ikeSa?.initiatorSpi;
    a.perform(
      a.machine.setConnections([connection("192.0.2.2", [LAN_A], { encapsulation: "udp" })], world.now),
    );
    world.run(minutes(1));
    expectConverged(a, b, ["lan"]);
    expect(a.state().ikeSa?.initiatorSpi).not.toBe(before);
    expect(a.find("ikeSaDown")?.reason).toBe("configurationChanged");
  });
});

test("status tells of peers that call in vain, and forgets it when they succeed", () => {
  const world = new World();
  const b = world.add("B", "192.0.2.2", [
    connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], { keep: "respond" }),
  ]);
  const foreign = child("lan", "172.16.0.0/16", "172.17.0.0/16");
  const a = world.add("A", "192.0.2.1", [
    connection("192.0.2.2", [foreign], { ike: { proposals: [CBC_ECP256] } }),
  ]);
  world.run(seconds(5));
  expect(b.state().lastFailure).toMatchObject({ code: "noCommonProposal", role: "responder" });
  a.perform(a.machine.setConnections([connection("192.0.2.2", [foreign])], world.now));
  world.run(seconds(5));
  expect(b.state().lastFailure).toBeUndefined();
  expect(b.state().children[0]?.lastFailure).toMatchObject({
    code: "selectorsUnacceptable",
    role: "responder",
  });
  a.perform(a.machine.setConnections([connection("192.0.2.2", [LAN_A])], world.now));
  world.run(seconds(5));
  expect(b.state().children[0]).toMatchObject({ state: "up" });
  expect(b.state().children[0]?.lastFailure).toBeUndefined();
});

test("what an operator took down the peer does not bring back; what only answers comes back when called", () => {
  const world = new World();
  const [a, b] = pair(world, {}, {});
  world.run(minutes(1));
  a.command({ kind: "down", target: { connection: "net" } });
  world.run(minutes(5));
  expect(a.state().state).toBe("down");
  expect(a.dataPlane.pairs.size).toBe(0);
  expect(a.find("refused")).toMatchObject({ exchange: "IKE_SA_INIT", connection: "net" });
  a.command({ kind: "up", target: { connection: "net" } });
  world.run(minutes(4));
  expectConverged(a, b, ["lan"]);
  a.command({ kind: "down", target: CHILD });
  world.run(minutes(5));
  expect(a.dataPlane.pairs.size).toBe(0);
  expect(a.state().state).toBe("up");
  const other = new World();
  const [c, d] = pair(other);
  other.run(minutes(1));
  d.command({ kind: "down", target: { connection: "net" } });
  other.run(minutes(2));
  expectConverged(c, d, ["lan"]);
});

test("[CHILD-01] a child taken down while IKE_AUTH is under way never carries anything, and the peer's half goes too", () => {
  const world = new World();
  const [a, b] = pair(world);
  world.network = (datagram) => [{ datagram, delay: 100 }];
  // IKE_SA_INIT there and back, IKE_AUTH there: b has made the child, and its answer is on the way.
  world.run(350);
  expect(b.dataPlane.pairs.size).toBe(1);
  a.command({ kind: "down", target: CHILD });
  world.run(seconds(5));
  expect(a.count("childSaUp")).toBe(0);
  expect(a.state()).toMatchObject({ state: "up", children: [{ state: "down", waitsFor: "operator" }] });
  for (const node of [a, b]) {
    expect(node.dataPlane.pairs.size, node.name).toBe(0);
    expect(node.dataPlane.reserved.size, node.name).toBe(0);
  }
  a.command({ kind: "up", target: CHILD });
  world.run(seconds(5));
  expectConverged(a, b, ["lan"]);
});
