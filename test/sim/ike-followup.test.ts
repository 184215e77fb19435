/** Additional key exchanges of rekeys and new children in IKE_FOLLOWUP_KE between two machines (RFC 9370 section 2.2.4). */
import { expect, test } from "vitest";
import { seconds } from "../../src/base/instant.ts";
import { FOLLOW_UP_LIFETIME, FOLLOW_UP_LINK_LENGTH } from "../../src/ike/limits.ts";
import type { WorkResult } from "../../src/ike/machine.ts";
import type { ProposalSuite } from "../../src/policy/proposal-suite.ts";
import { ExchangeType, NotifyType } from "../../src/wire/ike/registries.ts";
import { expectConverged } from "./ike-invariants.ts";
import {
  badNetwork,
  type Datagram,
  ESP_GCM,
  GCM_X25519,
  type IkeNode,
  LAN_A,
  LAN_B,
  pair,
  perfectNetwork,
  World,
} from "./ike-world.ts";

const IKE: ProposalSuite = { ...GCM_X25519, additionalKe: [[36], [35]] };
const ESP: ProposalSuite = { ...ESP_GCM, ke: [31], additionalKe: [[36], [35]] };

function connect(
  world: World,
  esp = ESP,
  proposal = IKE,
  octets: "off" | number = "off",
): [IkeNode, IkeNode] {
  const ike = { proposals: [proposal], fragmentation: octets };
  return pair(
    world,
    { ike, children: [{ ...LAN_A, proposals: [esp] }] },
    {
      keep: "respond",
      ike,
      children: [{ ...LAN_B, keep: "respond", proposals: [esp] }],
    },
  );
}

function up(seed = 1, octets: "off" | number = "off") {
  const world = new World(seed);
  const nodes = connect(world, ESP, IKE, octets);
  world.run(seconds(5));
  expectConverged(...nodes, ["lan"]);
  return { world, a: nodes[0], b: nodes[1] };
}

const typeOf = ({ bytes }: Datagram) => bytes[18];
const isRequest = ({ bytes }: Datagram) => (bytes[19]! & 0x20) === 0;
const rekeyChild = (node: IkeNode) =>
  node.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
const rekeyIke = (node: IkeNode) => node.command({ kind: "rekey", target: { connection: "net" } });
const childOf = (node: IkeNode) => node.state().children[0]?.sa;

function meddle(node: IkeNode, change: (result: WorkResult) => WorkResult): void {
  const feed = node.feed.bind(node);
  node.feed = (event) => feed(event.kind === "computed" ? { ...event, result: change(event.result) } : event);
}

test("[PQ-16] [PQ-18] a child is rekeyed with three key exchanges: CREATE_CHILD_SA, then one IKE_FOLLOWUP_KE for each", () => {
  const { world, a, b } = up();
  const before = childOf(a)?.inboundSpi;
  const from = world.wire.length;
  rekeyChild(a);
  world.run(seconds(10));
  expectConverged(a, b, ["lan"]);
  expect(childOf(a)?.inboundSpi).not.toBe(before);
  const sent = world.wire.slice(from).filter((one) => typeOf(one) !== ExchangeType.INFORMATIONAL);
  expect(sent.map((one) => [typeOf(one), isRequest(one)])).toEqual([
    [ExchangeType.CREATE_CHILD_SA, true],
    [ExchangeType.CREATE_CHILD_SA, false],
    [ExchangeType.IKE_FOLLOWUP_KE, true],
    [ExchangeType.IKE_FOLLOWUP_KE, false],
    [ExchangeType.IKE_FOLLOWUP_KE, true],
    [ExchangeType.IKE_FOLLOWUP_KE, false],
  ]);
  expect(childOf(a)).toMatchObject({ ke: 31, additionalKe: [36, 35] });
  expect(childOf(b)).toMatchObject({ ke: 31, additionalKe: [36, 35] });
});

test.each(["A", "B"])(
  "[PQ-18] the IKE SA is rekeyed with them too, begun by %s, and the old one goes",
  (who) => {
    const { world, a, b } = up();
    const before = a.state().ikeSa?.initiatorSpi;
    rekeyIke(who === "A" ? a : b);
    world.run(seconds(60));
    expectConverged(a, b, ["lan"]);
    expect(a.state().ikeSa?.initiatorSpi).not.toBe(before);
    expect(a.state().ikeSa?.suite.additionalKe).toEqual([36, 35]);
    expect(world.wire.filter((one) => typeOf(one) === ExchangeType.IKE_FOLLOWUP_KE)).toHaveLength(4);
    rekeyChild(a);
    world.run(seconds(10));
    expectConverged(a, b, ["lan"]);
  },
);

test("[PQ-11] children that can do without them, with a peer that knows none, go without", () => {
  const world = new World();
  const [a, b] = pair(
    world,
    { children: [{ ...LAN_A, proposals: [{ ...ESP, additionalKe: [[36, 0]] }] }] },
    { keep: "respond", children: [{ ...LAN_B, keep: "respond", proposals: [{ ...ESP_GCM, ke: [31] }] }] },
  );
  world.run(seconds(5));
  rekeyChild(a);
  world.run(seconds(10));
  expectConverged(a, b, ["lan"]);
  expect(childOf(a)?.additionalKe).toBeUndefined();
  expect(a.count("childSaRekeyed")).toBe(1);
});

test("a new child beside the first one comes up with them", () => {
  const world = new World();
  const second = (one: typeof LAN_A, keep: "up" | "respond") => ({ ...one, keep, proposals: [ESP] });
  const [a, b] = pair(
    world,
    { children: [second(LAN_A, "up"), { ...second(LAN_A, "up"), name: "two" }] },
    { keep: "respond", children: [second(LAN_B, "respond"), { ...second(LAN_B, "respond"), name: "two" }] },
  );
  world.run(seconds(10));
  expect(a.dataPlane.pairs.size).toBe(2);
  expect(b.dataPlane.pairs.size).toBe(2);
  expect(a.state().children[1]?.sa?.additionalKe).toEqual([36, 35]);
});

test("[PQ-16] each exchange has link data of its own, which comes back as it was", () => {
  const { world, a, b } = up();
  const links: string[] = [];
  const draw = b.random.publicBytes;
  b.random.publicBytes = (length) => {
    const octets = draw(length);
    if (length === FOLLOW_UP_LINK_LENGTH) links.push(Buffer.from(octets).toString("hex"));
    return octets;
  };
  rekeyChild(a);
  world.run(seconds(10));
  expectConverged(a, b, ["lan"]);
  expect(new Set(links).size).toBe(2);
});

test("[PQ-17] a responder that has forgotten answers STATE_NOT_FOUND; the rekey begins anew later, the old SA serves meanwhile", () => {
  const { world, a, b } = up();
  const before = childOf(a)?.inboundSpi;
  // A needs longer for its next pair than B waits.
  world.computeDelay = (work) =>
    work.kind === "generateKeyExchange" && work.method === 36 ? FOLLOW_UP_LIFETIME - 5500 : 0;
  let held: Datagram[] = [];
  world.network = (datagram, random) => {
    if (typeOf(datagram) !== ExchangeType.IKE_FOLLOWUP_KE || !isRequest(datagram))
      return perfectNetwork(datagram, random);
    held.push(datagram);
    return [];
  };
  rekeyChild(a);
  world.run(FOLLOW_UP_LIFETIME + 1000);
  expect(b.count("keyExchangesUnfinished")).toBe(1);
  expect(b.dataPlane.reserved.size).toBe(0);
  expect(childOf(a)?.inboundSpi).toBe(before);
  expect(held.length).toBeGreaterThan(0);
  held = [];
  world.network = perfectNetwork;
  world.computeDelay = () => 0;
  world.run(seconds(30));
  expect(a.find("rekeyPostponed")).toMatchObject({ notifyType: NotifyType.STATE_NOT_FOUND });
  expectConverged(a, b, ["lan"]);
  expect(childOf(a)?.inboundSpi).not.toBe(before);
});

test("a peer that begins over and over and never finishes fills nothing: it is told to come later", () => {
  const { world, a, b } = up();
  // A forgets each rekey as soon as it is to go on, as if it had been restarted on the way.
  meddle(a, (result) =>
    result.kind === "keyExchange" && result.publicValue.length > 700
      ? { kind: "failed", reason: "no memory" }
      : result,
  );
  for (let i = 0; i < 12; i++) {
    rekeyChild(a);
    world.run(200);
    expect(b.dataPlane.reserved.size).toBeLessThanOrEqual(4);
  }
  expect(a.dataPlane.reserved.size).toBe(0);
  world.run(FOLLOW_UP_LIFETIME + 100);
  expect(a.machine.ikeSaCount()).toBe(1);
});

test.each(["A", "B"])(
  "[CHILD-12] both ends rekey the child at once, %s's first message is faster: one SA stays",
  (who) => {
    const { world, a, b } = up();
    const slow = who === "A" ? b : a;
    world.network = (datagram) => [{ datagram, delay: datagram.from.address === slow.address ? 40 : 10 }];
    rekeyChild(a);
    rekeyChild(b);
    world.run(seconds(90));
    expectConverged(a, b, ["lan"]);
  },
);

test.each([1, 5, 25, 60, 100, 150])(
  "[CHILD-12] both ends rekey the child, B %i ms after A: one SA stays, in whatever step they meet",
  (lag) => {
    const { world, a, b } = up();
    world.network = (datagram) => [{ datagram, delay: 20 }];
    rekeyChild(a);
    world.later(lag, () => rekeyChild(b));
    world.run(seconds(120));
    expectConverged(a, b, ["lan"]);
  },
);

test.each([0, 1, 25, 60, 100, 150])(
  "[CHILD-13] both ends rekey the IKE SA, B %i ms after A: one IKE SA stays with the child",
  (lag) => {
    const { world, a, b } = up();
    world.network = (datagram) => [{ datagram, delay: 20 }];
    rekeyIke(a);
    world.later(lag, () => rekeyIke(b));
    world.run(seconds(120));
    expectConverged(a, b, ["lan"]);
  },
);

test.each([0, 10, 30, 50, 90])(
  "[CHILD-20] one end rekeys the child, the other the IKE SA %i ms later: both come to be",
  (lag) => {
    const { world, a, b } = up();
    world.network = (datagram) => [{ datagram, delay: 20 }];
    rekeyChild(a);
    world.later(lag, () => rekeyIke(b));
    world.run(seconds(120));
    expectConverged(a, b, ["lan"]);
    expect(a.count("childSaRekeyed")).toBeGreaterThan(0);
    expect(a.count("ikeSaRekeyed")).toBeGreaterThan(0);
  },
);

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  "loss, duplicates and disorder, seed %i: rekeys from both ends come to rest",
  (seed) => {
    const { world, a, b } = up(seed);
    world.computeDelay = () => 15;
    world.network = badNetwork(0.2, 0.2, 250);
    for (let round = 0; round < 6; round++) {
      rekeyChild(round % 2 === 0 ? a : b);
      if (round % 3 === 0) rekeyIke(round % 2 === 0 ? b : a);
      world.run(seconds(7 + seed));
    }
    world.network = perfectNetwork;
    world.run(seconds(400));
    expectConverged(a, b, ["lan"]);
  },
);

test("[PQ-19] a follow-up key that the responder refuses ends the IKE SA, as any impossible value does", () => {
  const { world, a, b } = up();
  meddle(b, (result) =>
    result.kind === "keyExchangeAnswer" ? { kind: "refused", reason: "no such key" } : result,
  );
  rekeyChild(a);
  world.run(100);
  expect(b.find("ikeSaDown")).toMatchObject({ reason: "protocolError" });
  expect(b.dataPlane.reserved.size).toBe(0);
});
