/** Both ends at once: every outcome of RFC 7296 sections 2.8.1, 2.8.2 and 2.25, forced by chosen nonces and delays. */
import { describe, expect, test } from "vitest";
import { minutes, seconds } from "../../src/base/instant.ts";
import { ExchangeType } from "../../src/wire/ike/registries.ts";
import { expectConverged } from "./ike-invariants.ts";
import { startTraffic } from "./ike-traffic.ts";
import { type Datagram, type IkeNode, type Network, pair, World } from "./ike-world.ts";

const CHILD = { connection: "net", child: "lan" };
const IKE = { connection: "net" };

/** Nonces that the node draws next: its own request's, then that of its answer to the peer. */
function nonces(node: IkeNode, ...firstOctets: readonly number[]): void {
  const queue = [...firstOctets];
  const draw = node.random.publicBytes;
  node.random.publicBytes = (length) => {
    const bytes = draw(length);
    const first = length === 32 ? queue.shift() : undefined;
    if (first !== undefined) bytes[0] = first;
    return bytes;
  };
}

function established(): { world: World; a: IkeNode; b: IkeNode } {
  const world = new World();
  const [a, b] = pair(world);
  world.run(seconds(40));
  expectConverged(a, b, ["lan"]);
  return { world, a, b };
}

const slow: Network = (datagram) => [{ datagram, delay: 20 }];

/** Loses the first datagram that fits; everything takes 20 ms. */
function losing(fits: (datagram: Datagram) => boolean): Network {
  let isLost = false;
  return (datagram) => {
    if (!isLost && datagram.esp === undefined && fits(datagram)) {
      isLost = true;
      return [];
    }
    return [{ datagram, delay: 20 }];
  };
}

function isFrom(node: IkeNode, exchangeType: number, isResponse = false) {
  return ({ from, bytes }: Datagram) =>
    from.address[3] === node.address[3] &&
    bytes[18] === exchangeType &&
    (((bytes[19] ?? 0) & 0x20) !== 0) === isResponse;
}

function roles(node: IkeNode): readonly string[] {
  return node.notices.flatMap((notice) => (notice.code === "childSaRekeyed" ? [notice.role] : []));
}

/** Who of the two has the lowest nonce of the four: [A's own, A's answer], [B's own, B's answer]. */
const LOWEST = [
  { where: "A's request", a: [1, 9], b: [9, 9], loser: "A" },
  { where: "B's answer to A", a: [9, 9], b: [9, 1], loser: "A" },
  { where: "B's request", a: [9, 9], b: [1, 9], loser: "B" },
  { where: "A's answer to B", a: [9, 1], b: [9, 9], loser: "B" },
] as const;

describe.each(LOWEST)("lowest nonce in $where", ({ a: ofA, b: ofB, loser }) => {
  test("[CHILD-12] of two child SAs the one with the lowest nonce is closed by its creator", () => {
    const { world, a, b } = established();
    world.network = slow;
    nonces(a, ...ofA);
    nonces(b, ...ofB);
    const traffic = startTraffic(world, a, b, 3);
    a.command({ kind: "rekey", target: CHILD });
    b.command({ kind: "rekey", target: CHILD });
    world.run(seconds(45));
    traffic.expectNothingLost();
    expectConverged(a, b, ["lan"]);
    const [lost, won] = loser === "A" ? [a, b] : [b, a];
    expect(roles(lost)).toEqual(["responder"]);
    expect(roles(won)).toEqual(["responder", "initiator"]);
    const survivor = won.notices.findLast((notice) => notice.code === "childSaRekeyed");
    expect(won.state().children[0]?.sa).toMatchObject(
      survivor?.code === "childSaRekeyed" ? survivor.spis : {},
    );
    expect(a.count("childSaDown") + b.count("childSaDown")).toBe(0);
  });

  test("[CHILD-13] of two IKE SAs the one with the lowest nonce is closed, and the children move to the other", () => {
    const { world, a, b } = established();
    world.network = slow;
    nonces(a, ...ofA);
    nonces(b, ...ofB);
    const before = a.state().children[0]?.sa?.inboundSpi;
    const traffic = startTraffic(world, a, b, 3);
    a.command({ kind: "rekey", target: IKE });
    b.command({ kind: "rekey", target: IKE });
    world.run(seconds(45));
    traffic.expectNothingLost();
    expectConverged(a, b, ["lan"]);
    const won = loser === "A" ? b : a;
    expect(won.state().ikeSa?.isOriginalInitiator).toBe(true);
    expect(a.state().children[0]?.sa?.inboundSpi).toBe(before);
    expect([a.count("ikeSaRekeyed"), b.count("ikeSaRekeyed")]).toEqual([1, 1]);
    expect(a.count("ikeSaDown") + b.count("ikeSaDown")).toBe(0);
  });
});

test("[CHILD-12] a peer that has not seen our rekey deletes the old child SA: its new one stays", () => {
  const { world, a, b } = established();
  world.network = losing(isFrom(a, ExchangeType.CREATE_CHILD_SA));
  const traffic = startTraffic(world, a, b, 3);
  a.command({ kind: "rekey", target: CHILD });
  b.command({ kind: "rekey", target: CHILD });
  world.run(seconds(45));
  traffic.expectNothingLost();
  expectConverged(a, b, ["lan"]);
  expect(roles(b)).toEqual(["initiator"]);
});

test("[CHILD-13] a peer that has not seen our rekey deletes the old IKE SA: its new one stays", () => {
  const { world, a, b } = established();
  world.network = losing(isFrom(a, ExchangeType.CREATE_CHILD_SA));
  a.command({ kind: "rekey", target: IKE });
  b.command({ kind: "rekey", target: IKE });
  world.run(seconds(45));
  expectConverged(a, b, ["lan"]);
  expect(b.state().ikeSa?.isOriginalInitiator).toBe(true);
  expect([a.count("ikeSaRekeyed"), b.count("ikeSaRekeyed")]).toEqual([1, 1]);
});

test("the response to our rekey is lost while the peer's own succeeds", () => {
  for (const target of [CHILD, IKE]) {
    const { world, a, b } = established();
    world.network = losing(isFrom(b, ExchangeType.CREATE_CHILD_SA, true));
    a.command({ kind: "rekey", target });
    b.command({ kind: "rekey", target });
    world.run(seconds(100));
    expectConverged(a, b, ["lan"]);
    expect(a.count("ikeSaDown") + b.count("ikeSaDown")).toBe(0);
  }
});

test("[CHILD-19] a rekey of a child SA that is being closed is put off, and ends with its deletion", () => {
  const { world, a, b } = established();
  world.network = slow;
  a.command({ kind: "down", target: CHILD });
  b.command({ kind: "rekey", target: CHILD });
  world.run(seconds(20));
  expect(a.dataPlane.pairs.size).toBe(0);
  expect(b.dataPlane.pairs.size).toBe(0);
  expect(b.count("rekeyPostponed")).toBeLessThanOrEqual(1);
  expect(a.state().state).toBe("up");
  expect(b.state().state).toBe("up");
});

test("[CHILD-16] both ends delete the same child SA at once", () => {
  const { world, a, b } = established();
  world.network = slow;
  a.command({ kind: "down", target: CHILD });
  b.command({ kind: "down", target: CHILD });
  world.run(seconds(20));
  for (const node of [a, b]) {
    expect(node.dataPlane.pairs.size).toBe(0);
    expect(node.machine.ikeSaCount()).toBe(1);
    expect(node.count("childSaDown")).toBe(1);
  }
});

test("[CHILD-20] a child SA rekey that meets an IKE SA rekey is put off and done on the new IKE SA", () => {
  const { world, a, b } = established();
  world.network = slow;
  const traffic = startTraffic(world, a, b, 3);
  a.command({ kind: "rekey", target: CHILD });
  b.command({ kind: "rekey", target: IKE });
  world.run(seconds(45));
  traffic.expectNothingLost();
  expectConverged(a, b, ["lan"]);
  expect(roles(a)).toEqual(["initiator"]);
  expect(b.count("ikeSaRekeyed")).toBe(1);
  expect(a.count("rekeyPostponed") + b.count("rekeyPostponed")).toBeGreaterThan(0);
});

test("[CHILD-20] an IKE SA that is closed while the peer rekeys it is gone", () => {
  for (const target of [CHILD, IKE]) {
    const { world, a, b } = established();
    world.network = slow;
    a.command({ kind: "down", target: IKE });
    b.command({ kind: "rekey", target });
    world.run(minutes(2));
    expect(a.machine.ikeSaCount()).toBe(0);
    expect(b.machine.ikeSaCount()).toBe(0);
    expect(a.dataPlane.pairs.size + b.dataPlane.pairs.size).toBe(0);
    expect(a.dataPlane.reserved.size + b.dataPlane.reserved.size).toBe(0);
  }
});

test("both ends close the IKE SA at once", () => {
  const { world, a, b } = established();
  world.network = slow;
  a.command({ kind: "down", target: IKE });
  b.command({ kind: "down", target: IKE });
  world.run(minutes(2));
  expect(a.machine.ikeSaCount() + b.machine.ikeSaCount()).toBe(0);
  expect([a.count("ikeSaDown"), b.count("ikeSaDown")]).toEqual([1, 1]);
});

test("both ends start at once and come to one IKE SA", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const world = new World(seed);
    world.network = slow;
    const [a, b] = pair(world, {}, {});
    world.run(minutes(3));
    expectConverged(a, b, ["lan"]);
  }
});
