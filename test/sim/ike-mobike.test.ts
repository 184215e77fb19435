/** Changes of address without new SAs, in both roles, with loss, NAT and refusals (RFC 4555). */
import { expect, test } from "vitest";
import { minutes, seconds } from "../../src/base/instant.ts";
import { formatIpAddress } from "../../src/base/ip-address.ts";
import { sameEndpoint } from "../../src/base/udp-endpoint.ts";
import type { Payload } from "../../src/wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../src/wire/ike/registries.ts";
import { expectConverged } from "./ike-invariants.ts";
import { notifyTypes, RawPeer } from "./ike-raw-peer.ts";
import {
  badNetwork,
  type ConnectionChanges,
  connection,
  type IkeNode,
  ip,
  LAN_A,
  LAN_B,
  type Network,
  perfectNetwork,
  World,
} from "./ike-world.ts";

const id = (letter: string) => ({ idType: 2, data: Uint8Array.from([letter.charCodeAt(0)]) });

/** A calls B; B takes A from everywhere. */
function mobile(changesA: ConnectionChanges = {}, changesB: ConnectionChanges = {}, seed = 1) {
  const world = new World(seed);
  const a = world.add("A", "192.0.2.1", [
    connection("192.0.2.2", [LAN_A], {
      ...changesA,
      local: { id: id("a") },
      remote: { id: id("b"), ...changesA.remote },
    }),
  ]);
  const b = world.add("B", "192.0.2.2", [
    connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], {
      keep: "respond",
      ...changesB,
      local: { id: id("b") },
      remote: { id: id("a"), addresses: [], ...changesB.remote },
    }),
  ]);
  world.run(seconds(5));
  return { world, a, b };
}

const spis = ({ dataPlane }: IkeNode) => [...dataPlane.pairs.keys()];
const childEnds = (node: IkeNode) =>
  [...node.dataPlane.pairs.values()].map(({ inbound, outbound }) => [
    formatIpAddress(inbound.remote.address),
    outbound === undefined ? "" : formatIpAddress(outbound.remote.address),
  ]);

/** Both ends carry the same SA pairs as before, to where the other one is now. */
function expectMoved(a: IkeNode, b: IkeNode, before: readonly [readonly number[], readonly number[]]): void {
  expect([spis(a), spis(b)]).toEqual(before);
  expect(childEnds(b)).toEqual([[formatIpAddress(a.address), formatIpAddress(a.address)]]);
  for (const { outbound } of a.dataPlane.pairs.values()) expect(outbound?.local.address).toEqual(a.address);
  const [one, other] = [a.state().ikeSa!, b.state().ikeSa!];
  expect(sameEndpoint(one.local, other.remote) && sameEndpoint(one.remote, other.local)).toBe(true);
  const delivered = [a, b].map(({ dataPlane }) => dataPlane.delivered.length);
  expect([a.sendPacket("net/lan", 1), b.sendPacket("net/lan", 2)]).toEqual([true, true]);
  a.world.run(200);
  expect([a, b].map(({ dataPlane }) => dataPlane.delivered.length)).toEqual(delivered.map((n) => n + 1));
}

test("[MOB-01] [MOB-08] it is used only if both want it, and port 4500 from IKE_AUTH on", () => {
  for (const [ofA, ofB, isOn] of [
    [undefined, undefined, true],
    [false, undefined, false],
    [undefined, false, false],
  ] as const) {
    const ike = (mobike: boolean | undefined) => (mobike === undefined ? {} : { ike: { mobike } });
    const { a, b } = mobile(ike(ofA), ike(ofB));
    expect([a, b].map((node) => node.state().ikeSa?.peerAddresses !== undefined)).toEqual([isOn, isOn]);
  }
  const raw = mobile(
    { encapsulation: "esp", ike: { mobike: true } },
    { encapsulation: "esp", ike: { mobike: true } },
  );
  expect(raw.a.state().ikeSa).toMatchObject({ local: { port: 4500 }, nat: { weAreBehind: false } });
  expect(raw.a.state().children[0]?.sa?.encapsulation).toBe("esp");
});

test("[MOB-02] [MOB-03] the initiator's address changes: all SAs follow, with the same keys", () => {
  const { world, a, b } = mobile();
  const before = [spis(a), spis(b)] as const;
  const mark = world.wire.length;
  a.move("198.51.100.9");
  world.run(seconds(2));
  expectMoved(a, b, [before[0], before[1]]);
  expect(world.wire.slice(mark).filter(({ bytes }) => bytes[18] === ExchangeType.CREATE_CHILD_SA)).toEqual(
    [],
  );
  expect(b.find("peerMoved")).toMatchObject({ to: { address: ip("198.51.100.9") } });
  expect(a.find("addressesUpdated")).toMatchObject({ from: { address: ip("192.0.2.1") } });
  expectConverged(a, b, ["lan"]);
  // `status` knows it, after a rekey too.
  a.command({ kind: "rekey", target: { connection: "net" } });
  world.run(seconds(2));
  const ends = { from: { address: ip("192.0.2.1") }, to: { address: ip("198.51.100.9") } };
  expect(a.state().ikeSa?.moved).toMatchObject({ what: "own", ...ends });
  expect(b.state().ikeSa?.moved).toMatchObject({ what: "peer", ...ends });
  a.move("192.0.2.1");
  world.run(seconds(2));
  expectMoved(a, b, [before[0], before[1]]);
});

test("[MOB-02] a rekey that is under way when the address changes is carried on from the new one", () => {
  for (const target of [{ connection: "net" }, { connection: "net", child: "lan" }]) {
    const { world, a, b } = mobile();
    world.network = (datagram) => (datagram.from.address[0] === 192 ? [] : [{ datagram, delay: 5 }]);
    a.command({ kind: "rekey", target });
    world.run(200);
    world.network = perfectNetwork;
    a.move("198.51.100.9");
    world.run(seconds(40));
    expectConverged(a, b, ["lan"]);
    expectMoved(a, b, [spis(a), spis(b)]);
    expect(a.count("ikeSaUp")).toBe(1);
  }
});

test("[MOB-09] addresses that change again before the answer comes: the last ones win", () => {
  const { world, a, b } = mobile();
  const before = [spis(a), spis(b)] as const;
  world.network = (datagram) => [{ datagram, delay: 300 }];
  for (const address of ["198.51.100.1", "198.51.100.2", "203.0.113.3"]) {
    a.move(address);
    world.run(100);
  }
  world.run(seconds(10));
  world.network = perfectNetwork;
  expectMoved(a, b, [before[0], before[1]]);
  expect(formatIpAddress(b.state().ikeSa!.remote.address)).toBe("203.0.113.3");
});

test("[MOB-04] child SAs go to an address that never answered before only when the cookie has come back", () => {
  const { world, a, b } = mobile();
  // What B sends to the new address is lost: whoever moved cannot be there.
  world.network = (datagram) =>
    formatIpAddress(datagram.to.address) === "198.51.100.9" ? [] : [{ datagram, delay: 5 }];
  a.move("198.51.100.9");
  world.run(seconds(5));
  expect(childEnds(b)).toEqual([["192.0.2.1", "192.0.2.1"]]);
  world.network = perfectNetwork;
  world.run(seconds(30));
  expect(childEnds(b)).toEqual([["198.51.100.9", "198.51.100.9"]]);
});

test("[MOB-06] an address that the connection does not allow is refused, and the SAs stay", () => {
  const { world, a, b } = mobile(
    {},
    { remote: { addresses: connection("192.0.2.0/24", []).remote.addresses } },
  );
  const before = [spis(a), spis(b)] as const;
  // The old address stays as well.
  a.addresses = [ip("198.51.100.9"), ip("192.0.2.1")];
  a.address = ip("198.51.100.9");
  a.feed({ kind: "pathsChanged" });
  world.run(seconds(5));
  expect(b.find("moveNotAllowed")).toMatchObject({ to: { address: ip("198.51.100.9") } });
  expect(a.find("moveRefused")).toMatchObject({ notifyType: NotifyType.UNACCEPTABLE_ADDRESSES });
  expect([spis(a), spis(b)]).toEqual(before);
  expect(childEnds(b)).toEqual([["192.0.2.1", "192.0.2.1"]]);
  expect(formatIpAddress(a.state().ikeSa!.local.address)).toBe("192.0.2.1");
  expect(a.count("ikeSaDown")).toBe(0);
});

test("[MOB-06] where nothing is left to stay at, the tunnel is set up anew", () => {
  const { world, a, b } = mobile(
    {},
    { remote: { addresses: connection("192.0.2.0/24", []).remote.addresses } },
  );
  a.move("198.51.100.9");
  world.run(seconds(5));
  expect(a.find("ikeSaDown")).toMatchObject({ reason: "moveRefused" });
  a.move("192.0.2.77");
  world.run(minutes(2));
  expect([a.state().state, b.state().state]).toEqual(["up", "up"]);
});

/** A NAT in front of everything in 10/8: outside it is 192.0.2.99, with ports that count on from `base`. */
function nat(base: () => number): Network {
  const inside = new Map<number, { address: ReturnType<typeof ip>; port: number }>();
  return (datagram) => {
    const { from, to } = datagram;
    if (from.address[0] === 10) {
      const port = base() + from.port;
      inside.set(port, from);
      return [{ datagram: { ...datagram, from: { address: ip("192.0.2.99"), port } }, delay: 5 }];
    }
    if (formatIpAddress(to.address) !== "192.0.2.99") return [{ datagram, delay: 5 }];
    const target = inside.get(to.port);
    return target === undefined || target.port + base() !== to.port
      ? []
      : [{ datagram: { ...datagram, to: target }, delay: 5 }];
  };
}

test("[MOB-03] a move behind a NAT is noticed in the update, and one out of it as well", () => {
  const { world, a, b } = mobile();
  world.network = nat(() => 20_000);
  const before = [spis(a), spis(b)] as const;
  a.move("10.9.0.1");
  world.run(seconds(2));
  expect(a.state().ikeSa?.nat).toMatchObject({ weAreBehind: true });
  expect(b.state().ikeSa).toMatchObject({ remote: { address: ip("192.0.2.99"), port: 24_500 } });
  expect(childEnds(b)).toEqual([["192.0.2.99", "192.0.2.99"]]);
  expect([spis(a), spis(b)]).toEqual(before);
  world.run(minutes(2));
  expect(a.actions.some(({ kind }) => kind === "sendKeepalive")).toBe(true);
  a.move("198.51.100.9");
  world.run(seconds(2));
  expect(a.state().ikeSa?.nat).toMatchObject({ weAreBehind: false });
  expectMoved(a, b, [before[0], before[1]]);
});

test("[MOB-08] a NAT that changes its mapping: a liveness check shows it, and an update follows", () => {
  const world = new World();
  let base = 20_000;
  world.network = nat(() => base);
  const a = world.add("A", "10.9.0.1", [connection("192.0.2.2", [LAN_A], { local: { id: id("a") } })]);
  const b = world.add("B", "192.0.2.2", [
    connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], {
      keep: "respond",
      remote: { id: id("a"), addresses: [] },
    }),
  ]);
  world.run(minutes(2));
  expect(b.state().ikeSa?.remote.port).toBe(24_500);
  // The first look at the mapping is no change.
  expect(a.state().ikeSa).not.toHaveProperty("moved");
  base = 30_000;
  world.run(minutes(2));
  expect(b.state().ikeSa?.remote.port).toBe(34_500);
  for (const { outbound } of b.dataPlane.pairs.values()) expect(outbound?.remote.port).toBe(34_500);
  expect(a.state().ikeSa?.moved).toMatchObject({ what: "mapping" });
  expect(a.find("addressesUpdated")).toMatchObject({ what: "mapping" });
  const ports = { from: { port: 24_500 }, to: { port: 34_500 } };
  expect(b.state().ikeSa?.moved).toMatchObject({ what: "peer", ...ports });
  expect([a.count("ikeSaUp"), b.count("ikeSaUp")]).toEqual([1, 1]);
});

test("[MOB-08] a request from elsewhere is answered there and moves nothing", () => {
  const { world, b } = mobile();
  const peer = new RawPeer(world, b, "203.0.113.5");
  peer.identity = id("a");
  const connected = peer.init();
  expect(connected).toBeDefined();
  peer.ask(ExchangeType.IKE_AUTH, [...peer.authPayloads(), status(NotifyType.MOBIKE_SUPPORTED)]);
  const before = world.wire.length;
  const elsewhere = { address: ip("203.0.113.77"), port: 4500 };
  peer.send(peer.seal(ExchangeType.INFORMATIONAL, peer.nextId++, []), elsewhere);
  expect(world.wire.slice(before).map(({ to }) => to)).toEqual([elsewhere]);
  const moved = b.notices.filter(({ code }) => code === "peerMoved");
  expect(moved).toEqual([]);
});

const status = (notifyType: number, data = new Uint8Array(0)): Payload => ({
  kind: "N",
  protocolId: 0,
  notifyType,
  spi: new Uint8Array(0),
  data,
});

function rawMobile() {
  const { world, b } = mobile();
  const peer = new RawPeer(world, b, "203.0.113.5");
  peer.identity = id("a");
  peer.init();
  const more = [
    status(NotifyType.MOBIKE_SUPPORTED),
    status(NotifyType.ADDITIONAL_IP4_ADDRESS, Uint8Array.from(ip("203.0.113.6"))),
  ];
  const answer = peer.ask(ExchangeType.IKE_AUTH, [...peer.authPayloads(), ...more]);
  return { world, b, peer, answer };
}

test("[MOB-01] the answer confirms it", () => {
  expect(notifyTypes(rawMobile().answer!.payloads)).toContain(NotifyType.MOBIKE_SUPPORTED);
});

test("[MOB-04] a cookie of the peer's comes back, and a wrong one for ours ends the IKE SA", () => {
  const { world, b, peer } = rawMobile();
  const cookie = Uint8Array.from({ length: 20 }, (_, i) => i);
  const echoed = peer.ask(ExchangeType.INFORMATIONAL, [status(NotifyType.COOKIE2, cookie)]);
  expect(echoed?.payloads).toEqual([status(NotifyType.COOKIE2, cookie)]);
  peer.local = { address: ip("203.0.113.8"), port: 500 };
  const before = world.wire.length;
  peer.ask(ExchangeType.INFORMATIONAL, [status(NotifyType.UPDATE_SA_ADDRESSES)]);
  const [check] = peer.requests(before);
  expect(notifyTypes(check!.payloads)).toEqual([NotifyType.COOKIE2]);
  peer.answer(check!, [status(NotifyType.COOKIE2, cookie)]);
  expect(b.count("routabilityFailed")).toBe(1);
  expect(b.notices).toContainEqual(expect.objectContaining({ code: "ikeSaDown", reason: "protocolError" }));
});

test("[MOB-05] with NO_NATS_ALLOWED other addresses than those of the IP header are refused", () => {
  const { b, peer } = rawMobile();
  const ports = Uint8Array.of(500 >> 8, 500 & 255, 500 >> 8, 500 & 255);
  const data = (from: string) => Uint8Array.from([...ip(from), ...b.address, ...ports]);
  const update = (from: string) =>
    peer.ask(ExchangeType.INFORMATIONAL, [
      status(NotifyType.UPDATE_SA_ADDRESSES),
      status(NotifyType.NO_NATS_ALLOWED, data(from)),
    ]);
  const refused = update("203.0.113.99");
  expect(notifyTypes(refused!.payloads)).toEqual([NotifyType.UNEXPECTED_NAT_DETECTED]);
  expect(b.count("unexpectedNat")).toBe(1);
  expect(notifyTypes(update("203.0.113.5")!.payloads)).toEqual([]);
});

test("[MOB-05] where no NAT is allowed a move behind one is tried several times, then given up", () => {
  const settings = { encapsulation: "esp", ike: { mobike: true } } as const;
  const { world, a, b } = mobile(settings, settings);
  world.network = nat(() => 0);
  const mark = world.wire.length;
  a.move("10.9.0.1");
  world.run(seconds(10));
  expect(b.count("unexpectedNat")).toBeGreaterThanOrEqual(3);
  expect(a.find("moveRefused")).toMatchObject({ notifyType: NotifyType.UNEXPECTED_NAT_DETECTED });
  expect(world.wire.length - mark).toBeLessThan(30);
});

test("[MOB-07] lists of further addresses replace each other as a whole", () => {
  const world = new World();
  const a = world.add("A", "192.0.2.1", [connection("192.0.2.2", [LAN_A], { local: { id: id("a") } })]);
  const b = world.add("B", "192.0.2.2", [
    connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], {
      keep: "respond",
      remote: { id: id("a"), addresses: [] },
    }),
  ]);
  const of = (node: IkeNode) => node.state().ikeSa?.peerAddresses?.map(formatIpAddress);
  b.addresses = [ip("192.0.2.2"), ip("203.0.113.2"), ip("2001:db8::2")];
  b.offered = b.addresses;
  world.run(seconds(5));
  expect(of(a)).toEqual(["203.0.113.2", "2001:db8::2"]);
  b.offered = [ip("192.0.2.2"), ip("203.0.113.4")];
  b.feed({ kind: "pathsChanged" });
  world.run(seconds(1));
  expect(of(a)).toEqual(["203.0.113.4"]);
  b.offered = [ip("192.0.2.2")];
  b.feed({ kind: "pathsChanged" });
  world.run(seconds(1));
  expect(of(a)).toEqual([]);
});

test("[MOB-07] the responder leaves its address: it speaks from another one, and the initiator moves there", () => {
  const { world, a, b } = mobile();
  const before = [spis(a), spis(b)] as const;
  b.move("203.0.113.2");
  world.run(seconds(5));
  expectMoved(a, b, [before[0], before[1]]);
  expect(formatIpAddress(a.state().ikeSa!.remote.address)).toBe("203.0.113.2");
});

test("both ends move at once", () => {
  const { world, a, b } = mobile();
  const before = [spis(a), spis(b)] as const;
  // Each has a second address that the other knows of.
  b.addresses = [ip("192.0.2.2"), ip("203.0.113.2")];
  b.offered = b.addresses;
  b.feed({ kind: "pathsChanged" });
  world.run(seconds(1));
  b.move("203.0.113.2");
  a.move("198.51.100.9");
  world.run(minutes(1));
  expectMoved(a, b, [before[0], before[1]]);
});

test("[MOB-02] a way that fails is given up for another one that the peer offered, cookie first", () => {
  const { world, a, b } = mobile();
  const before = [spis(a), spis(b)] as const;
  b.addresses = [ip("192.0.2.2"), ip("203.0.113.2")];
  b.offered = b.addresses;
  b.feed({ kind: "pathsChanged" });
  world.run(seconds(1));
  world.network = (datagram) =>
    [datagram.to, datagram.from].some(({ address }) => formatIpAddress(address) === "192.0.2.2")
      ? []
      : [{ datagram, delay: 5 }];
  world.run(minutes(2));
  expect([spis(a), spis(b)]).toEqual(before);
  expect(formatIpAddress(a.state().ikeSa!.remote.address)).toBe("203.0.113.2");
  for (const { outbound } of a.dataPlane.pairs.values())
    expect(formatIpAddress(outbound!.remote.address)).toBe("203.0.113.2");
});

test("without MOBIKE a peer that takes us for somebody behind a NAT follows what we send", () => {
  const { world, a, b } = mobile({ ike: { mobike: false } });
  const before = [spis(a), spis(b)] as const;
  a.move("198.51.100.9");
  world.run(minutes(1));
  expectMoved(a, b, [before[0], before[1]]);
});

test("[MOB-02] who called decides about addresses, whoever rekeyed", () => {
  const { world, a, b } = mobile();
  b.command({ kind: "rekey", target: { connection: "net" } });
  world.run(seconds(5));
  expect(b.state().ikeSa?.isOriginalInitiator).toBe(true);
  const mark = world.wire.length;
  a.move("198.51.100.9");
  world.run(seconds(5));
  // A says so itself, and B asks for its cookie back: two exchanges.
  const { address } = a;
  expect(world.wire.slice(mark).filter(({ from }) => from.address === address)).toHaveLength(2);
  expect(a.count("addressesUpdated")).toBe(1);
  expect(b.count("addressesUpdated")).toBe(0);
});

test("[MOB-09] an answer to an update that another one has overtaken changes nothing", () => {
  const { world, a } = mobile();
  world.network = (datagram) => [{ datagram, delay: 300 }];
  a.move("198.51.100.1");
  world.run(400);
  a.move("198.51.100.2");
  // By now the first update has its answer, and the second one has none.
  world.run(800);
  expect(a.count("addressesUpdated")).toBe(0);
  world.run(seconds(10));
  // The first answer came after the second change: one update alone was of use.
  expect(a.count("ownAddressChanged")).toBe(2);
  expect(a.notices.filter(({ code }) => code === "addressesUpdated")).toMatchObject([
    { to: { address: ip("198.51.100.2") } },
  ]);
});

test("a rekeyed IKE SA can move as well", () => {
  const { world, a, b } = mobile();
  for (const node of [a, b]) {
    node.command({ kind: "rekey", target: { connection: "net" } });
    world.run(seconds(5));
  }
  const before = [spis(a), spis(b)] as const;
  a.move("198.51.100.9");
  world.run(seconds(5));
  expectMoved(a, b, [before[0], before[1]]);
});

test.each(Array.from({ length: 15 }, (_, i) => i + 1))(
  "seed %i: moves, rekeys and a network that loses, reorders, doubles and damages",
  (seed) => {
    const { world, a, b } = mobile({ ike: { rekey: { time: minutes(3), jitter: 0.3 } } }, {}, seed);
    world.network = badNetwork(0.15, 0.1, 80, 0.02);
    for (let round = 0; round < 20; round++) {
      a.move(`198.51.100.${1 + world.random.below(200)}`);
      if (world.random.chance(0.2)) b.command({ kind: "rekey", target: { connection: "net" } });
      world.run(seconds(2 + world.random.below(40)));
    }
    world.network = perfectNetwork;
    world.run(minutes(4));
    const isQuiet = () =>
      [a, b].every(({ machine, dataPlane }) => machine.ikeSaCount() + dataPlane.pairs.size === 2);
    for (let i = 0; i < 120 && !isQuiet(); i++) world.run(seconds(1));
    expectConverged(a, b, ["lan"]);
    expectMoved(a, b, [spis(a), spis(b)]);
  },
);
