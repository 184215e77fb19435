/** Message IDs, repetition and the window (RFC 7296 sections 2.1 to 2.4). */
import { expect, test, vi } from "vitest";
import { equal } from "../../src/base/bytes.ts";
import { minutes, seconds } from "../../src/base/instant.ts";
import { notify } from "../../src/ike/exchange/payload-list.ts";
import { ANSWER_REPEATS_BURST } from "../../src/ike/limits.ts";
import type { Payload } from "../../src/wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../src/wire/ike/registries.ts";
import { RawPeer } from "./ike-raw-peer.ts";
import { connection, ip, LAN_B, pair, World } from "./ike-world.ts";

function connected() {
  const world = new World();
  const b = world.add("B", "192.0.2.2", [
    connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], { keep: "respond" }),
  ]);
  const peer = new RawPeer(world, b);
  peer.connect();
  return { world, b, peer };
}

const idOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(20);

test("[MID-01] [MID-02] IKE_SA_INIT is 0, IKE_AUTH 1; each side counts its own requests, the responder from 0", () => {
  const { world, b, peer } = connected();
  const ids = world.wire.map(({ bytes }) => [bytes[18], idOf(bytes)]);
  expect(ids).toEqual([
    [34, 0],
    [35, 1],
  ]);
  b.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
  world.run(1);
  expect(peer.requests().map(({ header }) => header.messageId)).toEqual([0]);
});

test("[MID-03] [MID-10] a rekeyed IKE SA counts from 0 in both directions", () => {
  const world = new World();
  const [a, b] = pair(world);
  world.run(minutes(2));
  a.command({ kind: "rekey", target: { connection: "net" } });
  world.run(1000);
  const before = world.wire.length;
  for (const node of [a, b]) node.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
  world.run(0);
  expect(world.wire.slice(before).map(({ bytes }) => idOf(bytes))).toEqual([0, 0]);
});

test("[MID-04] [MID-07] only the initiator repeats, at growing intervals, a dozen times over minutes", () => {
  const world = new World();
  const [a, b] = pair(world);
  world.run(seconds(5));
  b.isUp = false;
  const before = world.wire.length;
  const times: number[] = [];
  world.network = (datagram) => {
    if (datagram.bytes[18] === ExchangeType.CREATE_CHILD_SA) times.push(world.now);
    return [{ datagram, delay: 1 }];
  };
  a.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
  const start = world.now;
  const silence = () =>
    a.notices.find((one) => one.code === "noAnswer" && one.exchange === "CREATE_CHILD_SA");
  while (silence() === undefined) world.run(1000);
  const given = silence();
  const tries = given?.code === "noAnswer" ? given.tries : 0;
  expect(tries).toBeGreaterThanOrEqual(12);
  expect(world.now - start).toBeGreaterThan(minutes(2));
  expect(
    world.wire.slice(before).filter(({ bytes }) => bytes[18] === ExchangeType.CREATE_CHILD_SA),
  ).toHaveLength(tries);
  const waits = times.slice(1, 7).map((time, i) => time - times[i]!);
  for (const [i, wait] of waits.entries()) if (i > 0) expect(wait).toBeGreaterThan(waits[i - 1]!);
});

test("[MID-04] the responder sends nothing more when its response was lost", () => {
  const { world, peer } = connected();
  peer.send(peer.seal(ExchangeType.INFORMATIONAL, peer.nextId++, []));
  const before = world.wire.length;
  world.run(seconds(20));
  expect(world.wire.length).toBe(before);
});

test("[MID-06] a repeated request gets the stored response and is carried out once", () => {
  const { b, peer } = connected();
  const request = peer.seal(ExchangeType.CREATE_CHILD_SA, peer.nextId++, peer.createChild(0xc0ffee02));
  const [first] = peer.send(request);
  const [second] = peer.send(request);
  expect(first !== undefined && second !== undefined && equal(first, second)).toBe(true);
  expect(b.dataPlane.pairs.size).toBe(2);
});

test("a request that was overheard, sent again and again from elsewhere, makes no stream of answers", () => {
  const { world, b, peer } = connected();
  const request = peer.seal(ExchangeType.INFORMATIONAL, peer.nextId++, []);
  const stranger = { address: ip("198.51.100.7"), port: 500 };
  let answers = 0;
  for (let i = 0; i < 200; i++) answers += peer.send(request, stranger).length;
  expect(answers).toBeLessThanOrEqual(1 + ANSWER_REPEATS_BURST);
  expect(b.machine.drops().get("replyRateExceeded")).toBeGreaterThan(100);
  world.run(seconds(1));
  expect(peer.send(request)).toHaveLength(1);
  expect(peer.ask(ExchangeType.INFORMATIONAL, [])).toBeDefined();
});

test("what is not authentic, or not new, makes nobody look at the IKE SAs of the connection", () => {
  const { b, peer } = connected();
  const request = peer.seal(ExchangeType.INFORMATIONAL, peer.nextId++, []);
  expect(peer.send(request)).toHaveLength(1);
  const forged = Uint8Array.from(peer.seal(ExchangeType.INFORMATIONAL, peer.nextId, []));
  forged[forged.length - 1]! ^= 1;
  const looks = vi.spyOn(b.dataPlane, "usage");
  const local = { address: b.address, port: 500 };
  for (const bytes of [forged, request])
    b.machine.handle({ kind: "datagram", local, remote: peer.local, bytes }, peer.world.now);
  expect(looks).not.toHaveBeenCalled();
  expect(peer.ask(ExchangeType.INFORMATIONAL, [])).toBeDefined();
  expect(looks).toHaveBeenCalled();
});

test("[MID-08] at most one own request is under way, whatever is to be done", () => {
  const { world, b, peer } = connected();
  const before = world.wire.length;
  b.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
  b.command({ kind: "rekey", target: { connection: "net" } });
  b.command({ kind: "down", target: { connection: "net", child: "lan" } });
  world.run(seconds(1));
  const ids = new Set(peer.requests(before).map(({ header }) => header.messageId));
  expect(ids.size).toBe(1);
});

test("[MID-09] requests outside of the window are ignored", () => {
  const { b, peer } = connected();
  for (const messageId of [3, 4, 100, 0xffffffff, 0])
    expect(peer.send(peer.seal(ExchangeType.INFORMATIONAL, messageId, []))).toEqual([]);
  expect(b.machine.drops().get("outsideWindow")).toBe(5);
  expect(peer.ask(ExchangeType.INFORMATIONAL, [])?.header.messageId).toBe(2);
});

test("[MID-10] SET_WINDOW_SIZE has four octets, and does not make us send two requests at once", () => {
  const { world, b, peer } = connected();
  const size = (...octets: number[]): Payload => notify(NotifyType.SET_WINDOW_SIZE, Uint8Array.from(octets));
  expect(peer.ask(ExchangeType.INFORMATIONAL, [size(0, 0, 0, 5)])?.payloads).toEqual([]);
  expect(peer.ask(ExchangeType.INFORMATIONAL, [size(1, 2)])?.payloads).toEqual([]);
  const before = world.wire.length;
  b.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
  b.command({ kind: "rekey", target: { connection: "net" } });
  world.run(10);
  expect(peer.requests(before)).toHaveLength(1);
});

test("[MID-12] a response without outstanding request is dropped", () => {
  const { b, peer } = connected();
  for (const messageId of [0, 1, 7]) peer.send(peer.seal(ExchangeType.INFORMATIONAL, messageId, [], true));
  expect(b.machine.drops().get("noOutstandingRequest")).toBe(3);
  expect(b.state().state).toBe("up");
});

test("replayed messages of an IKE SA change nothing", () => {
  const world = new World();
  const [a, b] = pair(world);
  world.run(minutes(3));
  const recorded = [...world.wire];
  const before = [a, b].map(({ dataPlane, machine }) => [[...dataPlane.pairs.keys()], machine.ikeSaCount()]);
  world.run(minutes(1));
  for (const { from, to, bytes } of recorded)
    for (const node of [a, b])
      if (node.address[3] === to.address[3]) node.feed({ kind: "datagram", local: to, remote: from, bytes });
  world.run(minutes(1));
  expect([a, b].map(({ dataPlane, machine }) => [[...dataPlane.pairs.keys()], machine.ikeSaCount()])).toEqual(
    before,
  );
  expect(a.count("ikeSaDown") + b.count("ikeSaDown") + a.count("childSaDown") + b.count("childSaDown")).toBe(
    0,
  );
});

test("an exchange that belongs to no state is not answered", () => {
  const { peer } = connected();
  expect(peer.ask(ExchangeType.IKE_AUTH, peer.authPayloads())).toBeUndefined();
});
