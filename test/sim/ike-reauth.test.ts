/** Authentications that are repeated, before they expire or because a peer says so, and IKE SAs that stand beside each other. */
import { describe, expect, test } from "vitest";
import { utf8 } from "../../src/base/bytes.ts";
import { hours, minutes, seconds } from "../../src/base/instant.ts";
import type { Connection } from "../../src/policy/connection.ts";
import { expectConverged, expectGone } from "./ike-invariants.ts";
import { startTraffic } from "./ike-traffic.ts";
import { child, connection, type IkeNode, ip, LAN_A, LAN_B, type Network, pair, World } from "./ike-world.ts";

const NET = { connection: "net" };
const DMZ_A = child("dmz", "10.3.0.0/16", "10.4.0.0/16");
const DMZ_B = child("dmz", "10.4.0.0/16", "10.3.0.0/16", { keep: "respond" });
const PLAIN_B: Partial<Connection["ike"]> = {};

/** A repeats its authentication every ten minutes. */
function reauthenticating(
  world: World,
  ofA: Partial<Connection["ike"]> = { reauth: minutes(10) },
  ofB: Partial<Connection["ike"]> = PLAIN_B,
): [IkeNode, IkeNode] {
  return pair(
    world,
    { ike: ofA, children: [LAN_A, DMZ_A] },
    { keep: "respond", ike: ofB, children: [{ ...LAN_B, keep: "respond" }, DMZ_B] },
  );
}

/** Every datagram takes its time, so that some overtake others. */
const uneven: Network = (datagram, random) => [{ datagram, delay: 5 + random.below(60) }];

function authenticatedAt(node: IkeNode): number {
  return node.state().ikeSa?.upSince ?? -1;
}

describe("make before break", () => {
  test("[LIFE-04] a repeated authentication loses no packet, and the old IKE SA goes when all children have moved", () => {
    const world = new World(5);
    const [a, b] = reauthenticating(world, { reauth: minutes(10), rekey: { time: hours(4), jitter: 0 } });
    world.run(minutes(10) - seconds(2));
    expectConverged(a, b, ["dmz", "lan"]);
    world.network = uneven;
    const before = a.state().ikeSa?.initiatorSpi;
    const traffic = startTraffic(world, a, b, 3);
    world.run(seconds(10));
    traffic.expectNothingLost();
    world.run(minutes(1));
    expectConverged(a, b, ["dmz", "lan"]);
    expect(a.state().ikeSa?.initiatorSpi).not.toBe(before);
    expect(authenticatedAt(a)).toBeGreaterThan(minutes(10));
    expect(a.find("ikeSaDown")?.reason).toBe("reauthenticated");
    expect(b.find("ikeSaDown")?.reason).toBe("reauthenticated");
    expect(a.count("childSaDown") + b.count("childSaDown")).toBe(0);
  });

  test("[CHILD-22] no INITIAL_CONTACT is said beside an IKE SA that stands", () => {
    const world = new World(6);
    const [a, b] = reauthenticating(world);
    world.run(minutes(11));
    expectConverged(a, b, ["dmz", "lan"]);
    // With it the peer would have dropped the old one at once and without an answer to give.
    expect(
      b.notices.filter((n) => n.code === "ikeSaDown").map((n) => n.code === "ikeSaDown" && n.reason),
    ).toEqual(["reauthenticated"]);
  });

  test("for an hour of loss it is repeated again and again", () => {
    for (let seed = 1; seed <= 5; seed++) {
      const world = new World(seed);
      const [a, b] = reauthenticating(world, { reauth: minutes(5) });
      world.run(seconds(30));
      world.network = (datagram, random) =>
        random.chance(0.2) ? [] : [{ datagram, delay: 1 + random.below(80) }];
      world.run(hours(1));
      world.network = (datagram) => [{ datagram, delay: 1 }];
      world.run(minutes(2));
      while (a.machine.ikeSaCount() > 1 || b.machine.ikeSaCount() > 1) world.run(1000);
      world.run(seconds(20));
      expect(a.notices.filter((n) => n.code === "ikeSaUp").length).toBeGreaterThan(8);
      expect(world.now - authenticatedAt(a)).toBeLessThan(minutes(8));
      for (const node of [a, b]) expect(node.dataPlane.reserved.size).toBe(0);
    }
  });

  test("a peer that is away puts it off and says why; the old IKE SA goes on", () => {
    const world = new World(7);
    const [a, b] = reauthenticating(world);
    world.run(minutes(7));
    const strangers: Network = (datagram) => (datagram.bytes[18] === 34 ? [] : [{ datagram, delay: 1 }]);
    world.network = strangers;
    const traffic = startTraffic(world, a, b, 20);
    world.run(minutes(4));
    expect(a.find("reauthPostponed")).toMatchObject({
      failure: { code: "noAnswer", exchange: "IKE_SA_INIT" },
    });
    traffic.expectNothingLost();
    world.network = (datagram) => [{ datagram, delay: 1 }];
    world.run(minutes(3));
    expectConverged(a, b, ["dmz", "lan"]);
    expect(a.find("ikeSaDown")?.reason).toBe("reauthenticated");
  });

  test("an authentication that nobody can repeat ends the IKE SA", () => {
    const world = new World(8);
    const [a] = reauthenticating(world);
    world.run(minutes(7));
    world.network = (datagram) => (datagram.bytes[18] === 34 ? [] : [{ datagram, delay: 1 }]);
    world.run(minutes(6));
    expect(a.find("ikeSaDown")?.reason).toBe("authenticationExpired");
    expect(a.dataPlane.pairs.size).toBe(0);
  });

  test("a child that only packets wanted moves along", () => {
    const world = new World(9);
    const onDemand = { ...LAN_A, keep: "on-demand" } as const;
    const [a, b] = pair(
      world,
      { keep: "on-demand", ike: { reauth: minutes(10) }, children: [onDemand] },
      { keep: "respond" },
    );
    a.command({ kind: "up", target: { connection: "net", child: "lan" } });
    world.run(minutes(11));
    expectConverged(a, b, ["lan"]);
    expect(authenticatedAt(a)).toBeGreaterThan(minutes(7));
  });

  test("a rekeyed IKE SA keeps the age of its authentication", () => {
    const world = new World(10);
    const [a, b] = reauthenticating(world);
    world.run(minutes(5));
    for (const node of [b, a]) {
      node.command({ kind: "rekey", target: NET });
      world.run(seconds(2));
    }
    expect(authenticatedAt(a)).toBeLessThan(minutes(1));
    world.run(minutes(6));
    expectConverged(a, b, ["dmz", "lan"]);
    expect(authenticatedAt(a)).toBeGreaterThan(minutes(7));
  });

  test("both ends at once come to one IKE SA", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const world = new World(seed);
      const ike = { reauth: minutes(10), rekey: { time: hours(4), jitter: 0 } };
      const [a, b] = pair(world, { ike }, { ike });
      world.run(seconds(40));
      const before = a.state().ikeSa?.initiatorSpi;
      world.network = (datagram) => [{ datagram, delay: 20 }];
      for (const node of [a, b]) {
        const bytes = node.machine.exportState();
        expect(bytes).toHaveLength(1);
      }
      world.run(minutes(13));
      expectConverged(a, b, ["lan"]);
      expect(a.state().ikeSa?.initiatorSpi).not.toBe(before);
    }
  });
});

describe("AUTH_LIFETIME", () => {
  test("[LIFE-01] [LIFE-03] what the responder announces is obeyed before it is over", () => {
    const world = new World(11);
    const [a, b] = reauthenticating(world, {}, { reauth: minutes(10) });
    const traffic = (() => {
      world.run(seconds(10));
      return startTraffic(world, a, b, 50);
    })();
    world.run(minutes(10));
    traffic.expectNothingLost();
    expectConverged(a, b, ["dmz", "lan"]);
    expect(authenticatedAt(b)).toBeGreaterThan(minutes(6));
    expect(authenticatedAt(b)).toBeLessThan(minutes(9) + seconds(2));
    expect(b.find("ikeSaDown")?.reason).toBe("reauthenticated");
  });

  test("[LIFE-03] a peer that lets it pass loses the IKE SA", () => {
    const world = new World(12);
    const [a, b] = reauthenticating(world, {}, { reauth: minutes(10) });
    world.run(minutes(5));
    // A no longer makes new IKE SAs, but answers.
    world.network = (datagram) => (datagram.bytes[18] === 34 ? [] : [{ datagram, delay: 1 }]);
    world.run(minutes(9));
    expect(b.find("ikeSaDown")?.reason).toBe("authenticationExpired");
    expect(a.count("reauthPostponed")).toBeGreaterThan(0);
  });
});

describe("uniqueness", () => {
  const id = { idType: 2, data: utf8("a.example") };
  const singles = (...texts: readonly string[]) => texts.map((text) => ({ start: ip(text), end: ip(text) }));

  /** B is called by A, then by another gateway of the same name. */
  function second(
    unique: Connection["ike"]["unique"],
    isFirstContact: boolean,
  ): { readonly world: World; readonly a: IkeNode; readonly b: IkeNode; readonly other: IkeNode } {
    const world = new World(13);
    const caller = connection("192.0.2.2", [LAN_A], { local: { id } });
    const remote = { addresses: singles("192.0.2.1", "192.0.2.3"), id };
    const ike = unique === undefined ? {} : { unique };
    const answering = connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], {
      keep: "respond",
      ike,
      remote,
    });
    const a = world.add("A", "192.0.2.1", [caller]);
    const b = world.add("B", "192.0.2.2", [answering]);
    world.run(minutes(1));
    // Who has `never` says nothing of a first contact.
    const silent = { ...caller, ike: { ...caller.ike, unique: "never" } } as const;
    const other = world.add("A2", "192.0.2.3", [isFirstContact ? caller : silent]);
    world.run(seconds(20));
    return { world, a, b, other };
  }

  test("[CHILD-22] never: INITIAL_CONTACT ends nothing", () => {
    const { b } = second("never", true);
    expect(b.machine.ikeSaCount()).toBe(2);
    expect(b.count("ikeSaDown")).toBe(0);
  });

  test("[CHILD-22] keep, reject and replace: INITIAL_CONTACT ends the old one", () => {
    for (const unique of ["keep", "reject", "replace", undefined] as const) {
      const { b } = second(unique, true);
      expect(b.find("ikeSaDown")?.reason, unique).toBe("replaced");
      expect(b.machine.ikeSaCount(), unique).toBe(2); // The old one only repeats answers.
      expect(b.dataPlane.pairs.size, unique).toBe(1);
    }
  });

  test("replace: without INITIAL_CONTACT the old one has a moment to be closed by the peer, then goes", () => {
    const { world, a, b } = second("replace", false);
    expect(b.dataPlane.pairs.size).toBe(2);
    expect(b.count("ikeSaDown")).toBe(0);
    world.run(seconds(15));
    expect(b.find("ikeSaDown")?.reason).toBe("replaced");
    expect(a.find("ikeSaDown")?.reason).toBe("deletedByPeer");
  });

  test("keep: without INITIAL_CONTACT both stand", () => {
    const { world, a, b, other } = second("keep", false);
    world.run(minutes(5));
    expect(b.machine.ikeSaCount()).toBe(2);
    expect([a.state().state, other.state().state]).toEqual(["up", "up"]);
  });

  test("reject: a second one beside one that lives is refused in words; when the first is dead it is let in", () => {
    const { world, a, b, other } = second("reject", false);
    expect(b.find("duplicateRefused")).toMatchObject({ connection: "net", identity: id });
    expect(other.state().lastFailure).toMatchObject({ code: "authenticationRejectedByPeer" });
    expect(a.state().state).toBe("up");
    a.isUp = false;
    world.run(minutes(8));
    expect(other.state().state).toBe("up");
    expect(b.machine.ikeSaCount()).toBe(1);
  });
});

describe("inactivity", () => {
  test("[LIFE-05] a child that nobody uses is closed, and comes back with the next packet", () => {
    const world = new World(14);
    const idle = { ...LAN_A, keep: "on-demand", inactivity: minutes(2) } as const;
    const [a, b] = pair(world, { keep: "on-demand", children: [idle] }, { keep: "respond" });
    a.command({ kind: "up", target: { connection: "net", child: "lan" } });
    world.run(seconds(10));
    const packets = startTraffic(world, a, b, 1000);
    world.run(minutes(5));
    expect(a.dataPlane.pairs.size).toBe(1);
    packets.expectNothingLost();
    world.run(minutes(1) + seconds(30));
    expect(a.dataPlane.pairs.size).toBe(1);
    a.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
    world.run(seconds(45));
    expect(a.find("childSaDown")?.reason).toBe("inactive");
    expect(b.dataPlane.pairs.size).toBe(0);
    expect(a.state()).toMatchObject({ state: "up", children: [{ state: "down" }] });
  });
});

describe("childless IKE SAs", () => {
  const onDemand = { ...LAN_A, keep: "on-demand" } as const;

  test("[CHILD-27] where no child is wanted yet the IKE SA comes alone, after CHILDLESS_IKEV2_SUPPORTED", () => {
    const world = new World(15);
    const [a, b] = pair(world, { children: [onDemand] }, { keep: "respond" });
    world.run(seconds(20));
    expect(a.state()).toMatchObject({ state: "up", children: [{ state: "down" }] });
    expect(a.dataPlane.pairs.size + b.dataPlane.pairs.size).toBe(0);
    expect(b.machine.ikeSaCount()).toBe(1);
    a.shutDown();
    world.run(minutes(1));
    expectGone(b);
  });

  test("[CHILD-27] a peer that does not say so gets a child in IKE_AUTH", () => {
    const world = new World(16);
    const [a, b] = pair(world, { children: [onDemand] }, { keep: "respond", ike: { childless: "never" } });
    world.run(seconds(20));
    expectConverged(a, b, ["lan"]);
  });

  test("[CHILD-27] prefer: every child has an exchange of its own", () => {
    const world = new World(17);
    const [a, b] = pair(world, { ike: { childless: "prefer" } }, { keep: "respond" });
    world.run(seconds(20));
    expectConverged(a, b, ["lan"]);
    expect(a.state().children[0]?.sa?.ke).toBe(31);
  });
});
