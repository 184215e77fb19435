/** Lives of IKE SAs that meet each other: what is remembered of them, and what a peer or an operator does in between. */
import { describe, expect, test } from "vitest";
import { utf8 } from "../../src/base/bytes.ts";
import { hours, minutes, seconds } from "../../src/base/instant.ts";
import { createIkeMachine } from "../../src/ike/ike-machine.ts";
import { CHILD_REQUESTS_BURST } from "../../src/ike/limits.ts";
import { decodeIkeSa } from "../../src/ike/sa/state-codec.ts";
import { ExchangeType, NotifyType, ProtocolId } from "../../src/wire/ike/registries.ts";
import { expectConverged } from "./ike-invariants.ts";
import { Vendor } from "./ike-vendor.ts";
import {
  child,
  connection,
  ESP_GCM_NO_PFS,
  type IkeNode,
  ip,
  LAN_A,
  LAN_B,
  pair,
  World,
} from "./ike-world.ts";

const NET = { connection: "net" };
const LAN = { connection: "net", child: "lan" };

const ANYBODY = { addresses: [{ start: ip("192.0.2.0"), end: ip("192.0.2.255") }], id: "any" as const };

/** B serves whoever calls; the callers have identities of their own. */
function server(world: World, count: number): { b: IkeNode; callers: IkeNode[] } {
  const answering = connection("192.0.2.0", [{ ...LAN_B, keep: "respond" }], {
    keep: "respond",
    remote: ANYBODY,
  });
  const b = world.add("B", "198.51.100.1", [answering]);
  const callers = Array.from({ length: count }, (_, i) =>
    world.add(`A${i}`, `192.0.2.${i + 1}`, [
      connection("198.51.100.1", [LAN_A], { local: { id: { idType: 2, data: utf8(`a${i}`) } } }),
    ]),
  );
  return { b, callers };
}

describe("many peers of one connection", () => {
  test("what one of them does makes nobody look at the others", () => {
    const world = new World(3);
    const { b, callers } = server(world, 20);
    world.run(seconds(10));
    expect(b.machine.describe(world.now)).toHaveLength(20);
    let looks = 0;
    const usage = b.dataPlane.usage.bind(b.dataPlane);
    b.dataPlane.usage = (spi) => {
      looks++;
      return usage(spi);
    };
    callers[7]!.command({ kind: "rekey", target: LAN });
    world.run(seconds(2));
    expect(b.count("childSaRekeyed")).toBe(1);
    // Some for each of a handful of events, not for each of twenty IKE SAs.
    expect(looks).toBeGreaterThan(0);
    expect(looks).toBeLessThan(40);
  });

  test("commands for one of them leave the others alone", () => {
    const world = new World(4);
    const { b, callers } = server(world, 3);
    world.run(seconds(10));
    const names = b.machine.describe(world.now).map(({ name }) => name);
    expect(names).toEqual(["net#1", "net#2", "net#3"]);
    expect(b.machine.describe(world.now, "net#2").map(({ name }) => name)).toEqual(["net#2"]);
    b.command({ kind: "rekey", target: { connection: "net#2", child: "lan" } });
    world.run(seconds(2));
    expect(callers.map((node) => node.count("childSaRekeyed")).sort()).toEqual([0, 0, 1]);
    b.command({ kind: "rekey", target: { connection: "net#3" } });
    world.run(seconds(2));
    expect(callers.map((node) => node.count("ikeSaRekeyed")).sort()).toEqual([0, 0, 1]);
    b.command({ kind: "down", target: { connection: "net#2" } });
    world.run(1);
    expect(b.machine.describe(world.now).map(({ name }) => name)).toEqual(["net#1", "net#3"]);
    expect(b.machine.describe(world.now, "net#2")).toEqual([]);
  });
});

describe("a repeated authentication and a rekey at once", () => {
  test("a rekeyed IKE SA still repeats its authentication after a try that failed", () => {
    const world = new World(5);
    const [a, b] = pair(world, { ike: { reauth: minutes(10), rekey: { time: hours(4), jitter: 0 } } });
    world.run(minutes(8));
    // New IKE SAs find no way, the one that stands does.
    world.network = (datagram) =>
      datagram.bytes[18] === ExchangeType.IKE_SA_INIT ? [] : [{ datagram, delay: 1 }];
    while (a.count("connecting") < 2) world.run(seconds(1));
    b.command({ kind: "rekey", target: NET });
    world.run(minutes(1));
    expect(a.count("ikeSaRekeyed")).toBe(1);
    expect(a.count("reauthPostponed")).toBeGreaterThan(0);
    world.network = (datagram) => [{ datagram, delay: 1 }];
    world.run(minutes(4));
    expect(a.find("ikeSaDown")?.reason).toBe("reauthenticated");
    expectConverged(a, b, ["lan"]);
  });

  test("one that is to give way stays so when the peer rekeys it", () => {
    const world = new World(6);
    const slow = child("dmz", "10.3.0.0/16", "10.4.0.0/16");
    const [a, b] = pair(
      world,
      { children: [LAN_A, slow], ike: { reauth: minutes(10), rekey: { time: hours(4), jitter: 0 } } },
      {
        keep: "respond",
        ike: { unique: "keep" },
        children: [
          { ...LAN_B, keep: "respond" },
          { ...child("dmz", "10.4.0.0/16", "10.3.0.0/16"), keep: "respond" },
        ],
      },
    );
    world.run(minutes(8));
    world.network = (datagram) => [{ datagram, delay: 100 }];
    while (a.count("ikeSaUp") < 2) world.run(1);
    b.command({ kind: "rekey", target: NET });
    world.run(minutes(1));
    expect(b.count("ikeSaRekeyed")).toBeGreaterThan(0);
    expect([a.machine.ikeSaCount(), b.machine.ikeSaCount()]).toEqual([1, 1]);
    expectConverged(a, b, ["dmz", "lan"]);
  });
});

test("an IKE SA that the peer made meanwhile does not outlive the one that it was to replace", () => {
  const world = new World(7);
  const [a, b] = pair(world, {}, { keep: "respond" });
  world.run(minutes(1));
  // Requests to rekey get through, their answers do not.
  world.network = (datagram) => {
    const isAnswer = ((datagram.bytes[19] ?? 0) & 0x20) !== 0;
    return isAnswer && datagram.bytes[18] === ExchangeType.CREATE_CHILD_SA ? [] : [{ datagram, delay: 50 }];
  };
  a.command({ kind: "rekey", target: NET });
  b.command({ kind: "rekey", target: NET });
  world.run(seconds(1));
  expect([a.machine.ikeSaCount(), b.machine.ikeSaCount()]).toEqual([2, 2]);
  a.isUp = false;
  world.run(minutes(6));
  expect(b.machine.ikeSaCount()).toBe(0);
});

test("a peer that deletes each pair of a child at once is asked again with patience", () => {
  const single = ({ local, remote }: { local: readonly unknown[]; remote: readonly unknown[] }) =>
    local.length === 1 && remote.length === 1;
  const vendor = new Vendor((asked) => (single(asked) ? asked : NotifyType.TS_UNACCEPTABLE), 2, 1, {
    proposals: [ESP_GCM_NO_PFS],
  });
  let deleted = 0;
  const ask = () => {
    // The peer's SPI of what was made last, counted up from the first.
    for (; deleted < vendor.asked.filter(single).length; deleted++) {
      const spi = new Uint8Array(4);
      new DataView(spi.buffer).setUint32(0, 0xc0ffee10 + deleted);
      vendor.peer.ask(ExchangeType.INFORMATIONAL, [{ kind: "D", protocolId: ProtocolId.ESP, spis: [spi] }]);
    }
  };
  for (let i = 0; i < 600; i++) {
    vendor.run(100);
    ask();
  }
  expect(deleted).toBeGreaterThan(2);
  expect(vendor.asked.length).toBeLessThan(30);
});

test("a rehearsed rekey that the peer has no room for ends nothing", () => {
  const world = new World(9);
  const [a, b] = pair(world, { children: [{ ...LAN_A, rehearse: true }] });
  const reserve = b.dataPlane.reserve.bind(b.dataPlane);
  b.dataPlane.reserve = (replaced, lane) => {
    if (replaced !== undefined) throw new Error("full");
    return reserve(replaced, lane);
  };
  world.run(minutes(10));
  expect(a.count("ikeSaUp")).toBe(1);
  expect(a.state().children[0]).toMatchObject({ state: "up" });
  expect(a.find("rekeyRefused")).toMatchObject({
    isRehearsal: true,
    notifyType: NotifyType.NO_ADDITIONAL_SAS,
  });
  // When it is meant, a peer that rekeys nothing wants a new IKE SA; and it, with a full table, does not spin.
  world.run(hours(1));
  expect(a.count("ikeSaUp")).toBe(2);
});

test("requests to rekey the IKE SA count like those for children, and its successor goes on counting", () => {
  const world = new World(10);
  const [a, b] = pair(world);
  world.run(seconds(1));
  for (let i = 0; i < 5; i++) {
    a.command({ kind: "rekey", target: NET });
    world.run(10);
  }
  expect(b.count("ikeSaRekeyed")).toBe(5);
  const allowances = b.machine.exportState().map((bytes) => {
    const sa = decodeIkeSa(bytes);
    return sa.state === "established" ? sa.childRequests.allowance : undefined;
  });
  expect(allowances).toEqual([expect.closeTo(CHILD_REQUESTS_BURST - 5, -1)]);
  expect(allowances[0]).toBeLessThan(CHILD_REQUESTS_BURST - 3);
});

test("numbers of peers are not given twice, also by a machine that takes up IKE SAs", () => {
  const world = new World(11);
  const { b, callers } = server(world, 3);
  world.run(seconds(10));
  const [, second] = callers;
  const connections = [
    connection("192.0.2.0", [{ ...LAN_B, keep: "respond" }], { keep: "respond", remote: ANYBODY }),
  ];
  const stored = b.machine.exportState().filter((bytes) => {
    const sa = decodeIkeSa(bytes);
    return sa.state === "established" && sa.instance === 2;
  });
  b.machine = createIkeMachine({
    connections,
    random: b.random,
    spis: b.dataPlane,
    usage: b.dataPlane,
    ports: { ike: 500, nat: 4500 },
    localAddressFor: () => b.address,
    now: world.now,
    resume: stored,
  });
  world.run(minutes(5));
  expect(second?.count("ikeSaUp")).toBe(1);
  const names = b.machine.describe(world.now).map(({ name }) => name);
  expect(names.sort()).toEqual(["net#2", "net#3", "net#4"]);
});

describe("what an operator takes down while it is being made", () => {
  test("a child in the making is not up afterwards", () => {
    const world = new World(8);
    const [a, b] = pair(world);
    world.run(minutes(1));
    for (const isRekey of [true, false]) {
      world.network = (datagram) => [{ datagram, delay: 50 }];
      if (isRekey) a.command({ kind: "rekey", target: LAN });
      else a.command({ kind: "up", target: LAN });
      world.run(20);
      a.command({ kind: "down", target: LAN });
      world.run(seconds(20));
      expect(a.dataPlane.pairs.size, String(isRekey)).toBe(0);
      expect(b.dataPlane.pairs.size, String(isRekey)).toBe(0);
      expect(a.dataPlane.reserved.size).toBe(0);
    }
  });
});
