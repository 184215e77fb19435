import { expect, test } from "vitest";
import { parseIpAddress } from "../../../src/base/ip-address.ts";
import { CaptureRing, captureRingMemory } from "../../../src/dataplane/capture-ring.ts";
import { type Captured, readCaptured } from "../../../src/dataplane/captured.ts";
import type { CaptureFilter } from "../../../src/dataplane/tap.ts";
import { parseSelector } from "../../../src/policy/selector-text.ts";
import { createPacketFields, parseIpPacket } from "../../../src/wire/ip/ip-packet.ts";
import { copyInMemory, type Gateway, makeGateway, makePair, send } from "./gateway-fixture.ts";
import { exchange } from "./memory-packet-io.ts";
import { packet } from "./packets.ts";

const A_TO_B = { source: "10.1.0.5", destination: "10.2.0.9" };
const ALL = { snapLength: 65_536 };

function tap(gateway: Gateway, filter: CaptureFilter = ALL, octets = 2 ** 20) {
  const memory = captureRingMemory(octets);
  gateway.lane.setCapture({ memory, filter, copy: copyInMemory });
  const ring = new CaptureRing(memory);
  return {
    ring,
    take(): Captured[] {
      const found: Captured[] = [];
      ring.take((word) => found.push(readCaptured(ring, word, 4500)), 1000);
      return found;
    },
  };
}

const told = ({ device, direction, reason }: Captured) =>
  `${device === undefined ? "outer" : "inner"} ${direction}${reason === undefined ? "" : ` ${reason}`}`;

test("what passes is seen on both sides of the gateway, as it was", () => {
  const { a, b } = makePair();
  const [ofA, ofB] = [tap(a), tap(b)];
  const sent = packet(A_TO_B);
  send(a, sent);
  a.turn();
  exchange(a.io, b.io);
  b.turn();

  const [inner, outer] = ofA.take();
  expect([inner, outer].map((one) => told(one!))).toEqual(["inner outbound", "outer outbound"]);
  expect(inner!.octets).toEqual(sent);
  const [arrived, delivered] = ofB.take();
  expect([arrived, delivered].map((one) => told(one!))).toEqual(["outer inbound", "inner inbound"]);
  expect(delivered!.octets).toEqual(sent);
  // Both ends see the same ESP packet: it was copied before it was opened in place.
  expect(arrived!.octets).toEqual(outer!.octets);
  expect(arrived!.spi).toBe(outer!.spi);
  const fields = createPacketFields();
  expect(parseIpPacket(outer!.octets, 0, outer!.length, fields)).toBe(true);
  expect([fields.protocol, fields.totalLength]).toEqual([outer!.spi === undefined ? 0 : 17, outer!.length]);
});

test("a packet that is dropped bears the reason, and is there once", () => {
  const { a, b } = makePair();
  const [ofA, ofB] = [tap(a), tap(b)];
  send(a, packet({ source: "10.1.0.5", destination: "192.0.2.77" }));
  a.turn();
  expect(ofA.take().map(told)).toContain("inner outbound noPolicy");

  send(a, packet(A_TO_B));
  a.turn();
  const [datagram] = a.io.sent;
  exchange(a.io, b.io);
  b.turn();
  ofB.take();
  const back = { ...datagram!, local: datagram!.remote, remote: datagram!.local };
  b.io.arrive(back);
  const damaged = back.bytes.slice();
  damaged[damaged.length - 1]! ^= 1;
  new DataView(damaged.buffer).setUint32(4, 99);
  b.io.arrive({ ...back, bytes: damaged });
  b.turn();
  expect(ofB.take().map(told)).toEqual(["outer inbound replayed", "outer inbound notAuthentic"]);
});

test("what waits too long for an SA is seen when it comes and when it is dropped", () => {
  const gateway = makeGateway();
  const capture = tap(gateway);
  const any = [parseSelector("0.0.0.0/0")!];
  gateway.setSpd([{ action: "protect", policy: "p", selectors: { local: any, remote: any } }] as never);
  send(gateway, packet(A_TO_B));
  gateway.turn();
  expect(capture.take().map(told)).toEqual(["inner outbound"]);
  gateway.dataPlane.execute({ kind: "acquireFailed", policy: "p" });
  gateway.turn(60_000);
  const [dropped] = capture.take();
  expect(told(dropped!)).toMatch(/^inner outbound (acquireFailed|heldTooOld)$/);
});

test("packets are cut to the snap length, and their own length is told", () => {
  const { a } = makePair();
  const capture = tap(a, { snapLength: 64 });
  send(a, packet({ ...A_TO_B, payload: new Uint8Array(800) }));
  a.turn();
  for (const { octets, length } of capture.take()) {
    expect(octets.length).toBeLessThanOrEqual(64 + 28);
    expect(length).toBeGreaterThan(800);
  }
});

test("a filter of a host or a connection leaves out what is of another", () => {
  const { a } = makePair();
  const address = (text: string) => parseIpAddress(text)!;
  const byHost = tap(a, { ...ALL, host: address("10.2.0.9") });
  send(a, packet(A_TO_B), packet({ ...A_TO_B, destination: "10.2.0.10" }));
  a.turn();
  expect(byHost.take().map(told)).toEqual(["inner outbound"]);
  const nothing = tap(a, { ...ALL, only: { policies: [], peers: [] } });
  send(a, packet(A_TO_B));
  a.turn();
  expect(nothing.take()).toEqual([]);
  const [pair] = a.dataPlane.pairs();
  const policies = [a.dataPlane.policyIndex(pair!.policy)];
  const own = tap(a, { ...ALL, only: { policies, peers: [pair!.remote.address] } });
  send(a, packet(A_TO_B));
  a.turn();
  expect(own.take().map(told)).toEqual(["inner outbound", "outer outbound"]);
});

test("a ring that nobody empties takes no more, counts what is lost, and the packets go on", () => {
  const { a } = makePair();
  const { ring, take } = tap(a, ALL, 4096);
  const count = 100;
  for (let i = 0; i < count; i++) {
    send(a, packet({ ...A_TO_B, payload: new Uint8Array(100 + i) }));
    a.turn();
  }
  expect(a.io.sent).toHaveLength(count);
  const kept = take();
  expect(kept.length).toBeGreaterThan(5);
  expect(kept.length + ring.lost(0) + ring.lost(1)).toBe(2 * count);
  // It takes packets again, and none of them is damaged.
  for (let round = 0; round < 50; round++) {
    const sent = packet({ ...A_TO_B, payload: new Uint8Array(37 * (round % 20)).fill(round) });
    send(a, sent);
    a.turn();
    const [inner, outer, ...more] = take();
    expect(inner!.octets).toEqual(sent);
    expect(told(outer!)).toBe("outer outbound");
    expect(more).toEqual([]);
  }
});

test("without a capture nothing is copied, and afterwards nothing more", () => {
  const { a } = makePair();
  const capture = tap(a);
  a.lane.setCapture(undefined);
  send(a, packet(A_TO_B));
  a.turn();
  expect(a.io.sent).toHaveLength(1);
  expect(capture.take()).toEqual([]);
});
