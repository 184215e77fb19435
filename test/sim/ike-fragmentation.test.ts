/** IKE messages in fragments between two machines: agreed on, lost, late, repeated, cut smaller (RFC 7383). */
import { describe, expect, test } from "vitest";
import { minutes, seconds } from "../../src/base/instant.ts";
import { HALF_OPEN_INBOX_MAX } from "../../src/ike/limits.ts";
import { decodeMessage } from "../../src/wire/ike/message.ts";
import type { SkfPayload } from "../../src/wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../src/wire/ike/registries.ts";
import { expectConverged } from "./ike-invariants.ts";
import { notifyTypes } from "./ike-raw-peer.ts";
import {
  badNetwork,
  type ConnectionChanges,
  connection,
  type Datagram,
  type IkeNode,
  LAN_A,
  LAN_B,
  type Network,
  pair,
  perfectNetwork,
  World,
} from "./ike-world.ts";

const HEADERS = 20 + 8 + 4;
/** Identities of this length make every IKE_AUTH message a long one. */
const idA = { idType: 11, data: new Uint8Array(2000).fill(65) };
const idB = { idType: 11, data: new Uint8Array(3000).fill(66) };

type Fragmentation = "off" | number | undefined;

function longNames(
  world: World,
  ofA?: Fragmentation,
  ofB?: Fragmentation,
  changes: ConnectionChanges = {},
): [IkeNode, IkeNode] {
  const ike = (fragmentation: Fragmentation) => ({
    ...changes.ike,
    ...(fragmentation === undefined ? {} : { fragmentation }),
  });
  return pair(
    world,
    { ...changes, local: { id: idA }, remote: { id: idB }, ike: ike(ofA) },
    { ...changes, keep: "respond", local: { id: idB }, remote: { id: idA }, ike: ike(ofB) },
  );
}

const isAuth = ({ bytes }: Datagram) => bytes[18] === ExchangeType.IKE_AUTH;
const isRequest = ({ bytes }: Datagram) => (bytes[19]! & 0x20) === 0;
const skfOf = ({ bytes }: Datagram): SkfPayload | undefined => {
  const last = decodeMessage(bytes).payloads.at(-1);
  return last?.kind === "SKF" ? last : undefined;
};
const size = ({ bytes }: Datagram) => bytes.length + HEADERS;
/** Loses whatever would have to be fragmented, and with `octets` whatever is longer. */
const blackHole =
  (octets: number): Network =>
  (datagram) =>
    size(datagram) > octets ? [] : [{ datagram, delay: 5 }];

test("[FRAG-01] both say in IKE_SA_INIT that they take fragments, and long messages come in packets of 1280 octets", () => {
  const world = new World();
  const [a, b] = longNames(world);
  world.network = blackHole(1280);
  world.run(seconds(5));
  expectConverged(a, b, ["lan"]);
  const init = world.wire.filter(({ bytes }) => bytes[18] === ExchangeType.IKE_SA_INIT);
  for (const { bytes } of init)
    expect(notifyTypes(decodeMessage(bytes).payloads)).toContain(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED);
  expect(init.map(skfOf)).toEqual([undefined, undefined]);
  const auth = world.wire.filter(isAuth);
  expect(auth.map((one) => skfOf(one)?.totalFragments)).toEqual([5, 5, 5, 5, 5, 3, 3, 3]);
  expect(Math.max(...auth.map(size))).toBe(1280);
  expect(world.wire.length).toBeLessThan(15);
});

test.each<[Fragmentation, Fragmentation]>([
  ["off", undefined],
  [undefined, "off"],
])("[FRAG-01] where one side has it off (%s, %s) nobody cuts anything", (ofA, ofB) => {
  const world = new World();
  const [a, b] = longNames(world, ofA, ofB);
  world.run(seconds(5));
  expectConverged(a, b, ["lan"]);
  expect(world.wire.filter(isAuth).map((one) => skfOf(one))).toEqual([undefined, undefined]);
});

test("[FRAG-01] a fragment that was not agreed on is dropped and counted", () => {
  const world = new World();
  const [a] = longNames(world);
  world.run(seconds(5));
  const fragment = world.wire.findLast((one) => isAuth(one) && !isRequest(one))!;
  const other = new World();
  const [c] = longNames(other, "off");
  other.run(seconds(5));
  // The same SPIs as in the one IKE SA, in front of a fragment.
  const { ikeSa } = c.state();
  const bytes = Uint8Array.from(fragment.bytes);
  bytes.set(Buffer.from(`${ikeSa!.initiatorSpi}${ikeSa!.responderSpi}`, "hex"));
  c.feed({ kind: "datagram", local: ikeSa!.local, remote: ikeSa!.remote, bytes });
  expect(c.machine.drops().get("fragmentNotAgreed")).toBe(1);
  expect(a.machine.drops().size).toBe(0);
});

test("[FRAG-10] over IPv4 packets that get no answer are cut to 576 octets, in both directions, and it is said", () => {
  const world = new World();
  const [a, b] = longNames(world);
  world.network = blackHole(600);
  world.run(seconds(20));
  expectConverged(a, b, ["lan"]);
  expect(a.find("fragmentsShrunk")).toMatchObject({ from: 1280, to: 576 });
  const answers = world.wire.filter((one) => isAuth(one) && !isRequest(one));
  // The responder has learnt the size from the request.
  expect(Math.max(...answers.map(size))).toBeLessThanOrEqual(576);
  a.command({ kind: "rekey", target: { connection: "net" } });
  world.run(seconds(5));
  expect(a.count("ikeSaRekeyed")).toBe(1);
});

test("[FRAG-10] where only the answer is too long for the way, it is cut smaller when the peer goes on asking", () => {
  const world = new World();
  const [a, b] = longNames(world);
  world.network = (datagram) =>
    !isRequest(datagram) && size(datagram) > 600 ? [] : [{ datagram, delay: 5 }];
  world.run(seconds(20));
  expectConverged(a, b, ["lan"]);
});

test("an answer that never arrives is told of by the side that sends it, with its size", () => {
  const world = new World();
  const [a, b] = longNames(world, 1280, 1280);
  world.network = (datagram) => (isAuth(datagram) && !isRequest(datagram) ? [] : [{ datagram, delay: 5 }]);
  world.run(seconds(15));
  expect(b.find("answerNotHeard")).toMatchObject({ exchangeType: 35, size: { isFragmentable: true } });
  world.run(seconds(60));
  const failure = a.notices.find((one) => one.code === "noAnswer");
  expect(failure).toMatchObject({ exchange: "IKE_AUTH", size: { isFragmentable: true, largest: 576 } });
});

test("[FRAG-08] of a request that is repeated in fragments only the first asks for the answer, all of it", () => {
  const world = new World();
  const [a, b] = longNames(world);
  world.run(seconds(5));
  expect(a.state().state).toBe("up");
  const request = world.wire.filter((one) => isAuth(one) && isRequest(one));
  const answer = world.wire.filter((one) => isAuth(one) && !isRequest(one));
  for (const { from, to, bytes } of [...request].reverse()) {
    const before = world.wire.length;
    b.feed({ kind: "datagram", local: to, remote: from, bytes });
    const sent = world.wire.slice(before).map((one) => Buffer.from(one.bytes).toString("hex"));
    const isFirst = skfOf({ from, to, bytes })!.fragmentNumber === 1;
    expect(sent).toEqual(isFirst ? answer.map((one) => Buffer.from(one.bytes).toString("hex")) : []);
  }
});

test("[FRAG-07] all fragments are repeated, so that it does not matter which of them got lost", () => {
  const world = new World();
  const [a, b] = longNames(world);
  const lost = new Set<number>();
  world.network = (datagram) => {
    const { fragmentNumber = 0 } = skfOf(datagram) ?? {};
    if (fragmentNumber === 0 || lost.has(fragmentNumber)) return [{ datagram, delay: 5 }];
    lost.add(fragmentNumber);
    return fragmentNumber % 2 === 0 ? [] : [{ datagram, delay: 5 }];
  };
  world.run(seconds(10));
  expectConverged(a, b, ["lan"]);
});

test("[FRAG-07] fragments that come before the keys are there wait, more of them than whole messages may", () => {
  const world = new World();
  const [a, b] = longNames(world, 576);
  world.computeDelay = (work) => (work.kind === "deriveSharedSecret" ? 300 : 0);
  world.run(seconds(5));
  expectConverged(a, b, ["lan"]);
  const request = world.wire.filter((one) => isAuth(one) && isRequest(one));
  expect(request.length).toBeGreaterThan(HALF_OPEN_INBOX_MAX);
  // None had to be repeated.
  expect(new Set(request.map((one) => skfOf(one)?.fragmentNumber)).size).toBe(request.length);
});

test("[FRAG-06] forged fragments leave what is held alone", () => {
  const world = new World();
  const [a, b] = longNames(world, 576);
  world.network = (datagram, random) => {
    const skf = skfOf(datagram);
    if (skf === undefined) return [{ datagram, delay: 5 }];
    const bytes = Uint8Array.from(datagram.bytes);
    const at = random.chance(0.5) ? 33 + random.below(3) : 40 + random.below(20);
    bytes[at] = bytes[at]! ^ (1 + random.below(255));
    return [
      { datagram: { ...datagram, bytes }, delay: 1 },
      { datagram, delay: 5 },
    ];
  };
  world.run(seconds(5));
  expectConverged(a, b, ["lan"]);
});

test("a request in fragments that is complete while a computation runs is looked at afterwards, once", () => {
  const world = new World();
  const [a, b] = longNames(world);
  world.run(seconds(5));
  // B computes for a long time; meanwhile A's request comes in pieces.
  world.computeDelay = () => 400;
  b.command({ kind: "rekey", target: { connection: "net" } });
  world.run(100);
  a.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
  world.run(minutes(1));
  expectConverged(a, b, ["lan"]);
});

test("[FRAG-07] fragments that never become a message are forgotten, and the SA does not suffer", () => {
  const world = new World();
  const [a, b] = longNames(world, 576, 576);
  world.run(seconds(5));
  world.network = (datagram) => ((skfOf(datagram)?.fragmentNumber ?? 0) > 1 ? [] : [{ datagram, delay: 5 }]);
  a.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
  world.run(seconds(15));
  world.network = perfectNetwork;
  world.run(minutes(2));
  expectConverged(a, b, ["lan"]);
});

test.each(Array.from({ length: 12 }, (_, i) => i + 1))(
  "seed %i: long messages over a network that loses, reorders, doubles and damages",
  (seed) => {
    const world = new World(seed);
    world.network = badNetwork(0.2, 0.1, 80, 0.02);
    const [a, b] = longNames(world, seed % 2 === 0 ? 576 : undefined, undefined, {
      ike: { rekey: { time: minutes(3), jitter: 0.2 } },
    });
    world.run(minutes(10));
    world.network = perfectNetwork;
    world.run(minutes(3));
    const isQuiet = () =>
      [a, b].every(({ machine, dataPlane }) => machine.ikeSaCount() + dataPlane.pairs.size === 2);
    for (let i = 0; i < 120 && !isQuiet(); i++) world.run(seconds(1));
    expectConverged(a, b, ["lan"]);
  },
);

describe("without RFC 7383 over IPv6, where nobody on the way makes fragments", () => {
  const LIMIT = 1280 - 48 - 4;
  const narrow = (world: World, losesFragments: boolean, limit = LIMIT) => {
    world.network = (datagram) => {
      const isLong = datagram.bytes.length > limit;
      const isLost = isLong && (losesFragments || datagram.inFragments !== true);
      return isLost ? [] : [{ datagram, delay: 5 }];
    };
  };

  function sites(world: World): [IkeNode, IkeNode] {
    const ike = { fragmentation: "off" } as const;
    const names = { local: { id: idA }, remote: { id: idB }, ike };
    const a = connection("2001:db8::2", [LAN_A], names);
    const back = { local: { id: idB }, remote: { id: idA }, keep: "respond", ike } as const;
    const b = connection("2001:db8::1", [{ ...LAN_B, keep: "respond" }], back);
    return [world.add("A", "2001:db8::1", [a]), world.add("B", "2001:db8::2", [b])];
  }

  test("long messages are repeated in fragments, and pass a path that takes them in no other way", () => {
    const world = new World();
    narrow(world, false);
    const [a, b] = sites(world);
    world.run(seconds(30));
    for (const node of [a, b]) expect(node.state().state).toBe("up");
    const requests = world.wire.filter((one) => isAuth(one) && isRequest(one));
    expect(requests.slice(0, 2).map((one) => one.inFragments)).toEqual([undefined, true]);
  });

  test("every second time they are whole again, for paths that lose fragments", () => {
    const world = new World();
    narrow(world, true);
    sites(world);
    world.run(seconds(20));
    const requests = world.wire.filter((one) => isAuth(one) && isRequest(one));
    expect(requests.length).toBeGreaterThan(3);
    for (const [i, one] of requests.entries()) expect(one.inFragments).toBe(i % 2 === 1 ? true : undefined);
  });

  test("a probe that is too big is answered in fragments, so that nothing else stands in for it", () => {
    const world = new World();
    const [a] = sites(world);
    world.run(seconds(5));
    narrow(world, false, 1400 - 48 - 4);
    const inboundSpi = a.state().children[0]!.sa!.inboundSpi;
    const before = world.wire.length;
    a.feed({ kind: "probePath", probe: { inboundSpi, octets: 1500 } });
    world.run(seconds(5));
    const requests = world.wire.slice(before).filter(isRequest);
    expect(requests.map((one) => [one.dontFragment, one.inFragments])).toEqual([
      [true, undefined],
      [true, undefined],
      [undefined, true],
    ]);
    expect(a.actions).toContainEqual(expect.objectContaining({ kind: "pathProbed", outcome: "tooBig" }));
  });
});
