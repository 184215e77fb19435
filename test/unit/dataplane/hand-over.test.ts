/** Packets that come to another lane than that of their SA. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createFrameBatch, FRAME_TCP4 } from "../../../src/base/frame-batch.ts";
import { Instant } from "../../../src/base/instant.ts";
import { createReceiveBatch, DATAGRAM_META_STRIDE } from "../../../src/base/packet-batch.ts";
import type { Spi } from "../../../src/base/spi.ts";
import { HAND_OVER_COUNTERS, HandOver, inboxOctets } from "../../../src/dataplane/hand-over.ts";
import { RING_RECORDS_MAX } from "../../../src/dataplane/hand-over-ring.ts";
import { laneOfSpi } from "../../../src/policy/lane-of-spi.ts";
import {
  copyInMemory,
  type Gateway,
  installPair,
  makeGateway,
  makePair,
  selectors,
} from "./gateway-fixture.ts";
import { type Datagram, exchange } from "./memory-packet-io.ts";
import { packet } from "./packets.ts";

const START = Instant(0);
const SELECTORS = selectors("10.1.0.0/16", "10.2.0.0/16");
const FLOW = { source: "10.1.0.5", destination: "10.2.0.9" };

function numbered(flow: number, number: number): Uint8Array {
  const payload = new Uint8Array(8);
  new DataView(payload.buffer).setUint32(0, flow);
  new DataView(payload.buffer).setUint32(4, number);
  return packet({ ...FLOW, ports: [1000 + flow, 2000], payload });
}

function numbersOf(inner: Uint8Array): readonly [flow: number, number: number] {
  const view = new DataView(inner.buffer, inner.byteOffset);
  return [view.getUint32(28), view.getUint32(32)];
}

/** A with several lanes, B with one, one SA pair; which lane of A owns it. */
function laned(lanes: number) {
  const a = makeGateway({ lanes, seed: 11 });
  const b = makeGateway({ seed: 22 });
  a.setSpd([a.protect("net/lan", SELECTORS)]);
  b.setSpd([b.protect("net/lan", { local: SELECTORS.remote, remote: SELECTORS.local })]);
  const { aInbound, bInbound } = installPair(a, b, { selectors: SELECTORS });
  const owner = laneOfSpi(aInbound, lanes);
  return { a, b, aInbound, bInbound, owner, other: (owner + 1) % lanes };
}

/** What B sends arrives at a lane of A. */
function arriveAt(a: Gateway, lane: number, datagrams: readonly Datagram[]): void {
  for (const { local, remote, tos, bytes } of datagrams)
    a.ios[lane]!.arrive({ local: remote, remote: local, tos, bytes });
}

describe("outbound", () => {
  test("a packet read by another lane leaves by the one that owns its SA", () => {
    const { a, b, owner, other } = laned(2);
    const inner = packet(FLOW);
    a.ios[other]!.fromHost[0]!.push(inner);

    a.turn();

    expect(a.ios[other]!.sent).toEqual([]);
    expect(a.ios[owner]!.sent).toHaveLength(1);
    expect(a.handedOver()).toBe(1);
    exchange(a.ios[owner]!, b.io);
    b.turn();
    expect(b.io.toHost[0]).toEqual([inner]);
    expect(a.allDrops()).toEqual({});
  });

  test("one SA takes its sequence numbers in one lane, whichever lanes read the packets", () => {
    const { a, owner } = laned(4);
    for (let i = 0; i < 40; i++) a.ios[i % 4]!.fromHost[0]!.push(numbered(i % 4, i));
    a.turn();
    const sent = a.ios[owner]!.sent.map(({ bytes }) =>
      new DataView(bytes.buffer, bytes.byteOffset).getUint32(4),
    );
    expect(sent).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    expect(a.ios.filter((_, lane) => lane !== owner).flatMap(({ sent: others }) => others)).toEqual([]);
  });

  test("packets that waited for the SA are handed over before newer ones", () => {
    const a = makeGateway({ lanes: 2, seed: 11 });
    const b = makeGateway({ seed: 22 });
    a.setSpd([a.protect("net/lan", SELECTORS)]);
    b.setSpd([b.protect("net/lan", { local: SELECTORS.remote, remote: SELECTORS.local })]);
    for (let i = 0; i < 5; i++) a.ios[1]!.fromHost[0]!.push(numbered(0, i));
    a.turn();
    expect(a.upcalls).toHaveLength(1);
    const { aInbound } = installPair(a, b, { selectors: SELECTORS });
    expect(laneOfSpi(aInbound, 2)).toBe(0);
    for (let i = 5; i < 9; i++) a.ios[1]!.fromHost[0]!.push(numbered(0, i));
    a.turn();
    exchange(a.ios[0]!, b.io);
    b.turn();
    expect(b.io.toHost[0]!.map((inner) => numbersOf(inner)[1])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(a.handedOver()).toBe(9);
  });

  test("two lanes that wait for one policy ask for its SA once", () => {
    const a = makeGateway({ lanes: 2 });
    a.setSpd([a.protect("net/lan", SELECTORS)]);
    a.ios[0]!.fromHost[0]!.push(numbered(0, 1));
    a.ios[1]!.fromHost[0]!.push(numbered(1, 1));
    a.turn();
    expect(a.upcalls.map(({ kind }) => kind)).toEqual(["acquire"]);
    a.dataPlane.execute({ kind: "acquireFailed", policy: "net/lan" });
    a.turn(1);
    expect(a.drops("acquireFailed")).toBe(2);
  });

  test("a full queue drops and counts, and goes on when it is drained", () => {
    const { a, owner, other } = laned(2);
    const count = RING_RECORDS_MAX + 10;
    for (let i = 0; i < count; i++) a.ios[other]!.fromHost[0]!.push(numbered(0, i));
    while (a.lanes[other]!.turn(START) > 0);
    expect(a.drops("handOverFull")).toBe(10);
    a.turn();
    expect(a.ios[owner]!.sent).toHaveLength(RING_RECORDS_MAX);
    a.ios[other]!.fromHost[0]!.push(numbered(0, 9999));
    a.turn();
    expect(a.ios[owner]!.sent).toHaveLength(RING_RECORDS_MAX + 1);
    expect(a.allDrops()).toEqual({ handOverFull: 10 });
  });

  test("an SA that went while a packet was on its way: another SA in its slot does not get the packet", () => {
    const { a, b, aInbound, owner, other } = laned(2);
    a.ios[other]!.fromHost[0]!.push(packet(FLOW));
    a.lanes[other]!.turn(START);
    a.dataPlane.execute({ kind: "removePair", inboundSpi: aInbound });
    a.dataPlane.reclaim();
    // The slots are free again at once: no lane is within a turn.
    const pair = selectors("10.7.0.0/16", "10.8.0.0/16");
    a.setSpd([a.protect("net/else", pair)]);
    b.setSpd([b.protect("net/else", { local: pair.remote, remote: pair.local })]);
    let next: Spi;
    do next = installPair(a, b, { policy: "net/else", selectors: pair }).aInbound;
    while (laneOfSpi(next, 2) !== owner);

    a.turn();

    expect(a.ios.flatMap(({ sent }) => sent)).toEqual([]);
    expect(a.allDrops()).toEqual({ noPolicy: 1 });
  });
});

describe("inbound", () => {
  test("a datagram received by another lane is opened by the one that owns its SA", () => {
    const { a, b, owner, other } = laned(2);
    const inner = packet({ source: FLOW.destination, destination: FLOW.source });
    b.io.fromHost[0]!.push(inner);
    b.turn();
    arriveAt(a, other, b.io.sent);
    a.turn();
    expect(a.ios[other]!.toHost[0]).toEqual([]);
    expect(a.ios[owner]!.toHost[0]).toEqual([inner]);
    expect(a.handedOver()).toBe(1);
    expect(a.allDrops()).toEqual({});
  });

  test("[ESP-04] a copy at each lane is delivered once", () => {
    const { a, b } = laned(4);
    b.io.fromHost[0]!.push(packet({ source: FLOW.destination, destination: FLOW.source }));
    b.turn();
    for (let lane = 0; lane < 4; lane++) arriveAt(a, lane, b.io.sent);
    a.turn();
    expect(a.ios.flatMap(({ toHost }) => toHost[0]!)).toHaveLength(1);
    expect(a.allDrops()).toEqual({ replayed: 3 });
  });

  test("[NAT-07] where it came from and its TOS travel along", () => {
    const { a, b, aInbound, other } = laned(2);
    b.io.fromHost[0]!.push(packet({ source: FLOW.destination, destination: FLOW.source, tos: 2 }));
    b.turn();
    const moved = b.io.sent.map((one) => ({
      ...one,
      tos: 3,
      local: { address: one.local.address, port: 61234 },
    }));
    arriveAt(a, other, moved);
    a.turn();
    expect(a.upcalls).toEqual([
      {
        kind: "peerMoved",
        inboundSpi: aInbound,
        local: moved[0]!.remote,
        remote: moved[0]!.local,
      },
    ]);
    // Congestion experienced on the way is told to the inner packet [ECN-02].
    expect(a.ios.flatMap(({ toHost }) => toHost[0]!).map((inner) => inner[1])).toEqual([3]);
  });

  test("IKE goes to the main thread from any lane", () => {
    const { a } = laned(3);
    const message = new Uint8Array(60).fill(5);
    message.fill(0, 0, 4);
    const end = (port: number) => ({ address: a.dataPlane.pairs()[0]!.remote.address, port });
    for (const io of a.ios) io.arrive({ local: end(4500), remote: end(4500), tos: 0, bytes: message });
    a.turn();
    expect(a.ike).toHaveLength(3);
    expect(a.handedOver()).toBe(0);
  });

  test("a full queue drops and counts", () => {
    const { a, b, owner, other } = laned(2);
    const back = { source: FLOW.destination, destination: FLOW.source };
    for (let i = 0; i < RING_RECORDS_MAX + 7; i++) b.io.fromHost[0]!.push(packet(back));
    while (b.turn() > 0);
    arriveAt(a, other, b.io.sent);
    while (a.lanes[other]!.turn(START) > 0);
    a.turn();
    expect(a.drops("handOverFull")).toBe(7);
    expect(a.ios[owner]!.toHost[0]).toHaveLength(RING_RECORDS_MAX);
  });
});

test("lanes in any number that read and receive anything: nothing is lost or doubled, each flow keeps its order", () => {
  const step = fc.record({
    lane: fc.nat(7),
    flow: fc.nat(5),
    count: fc.integer({ min: 1, max: 40 }),
    turns: fc.array(fc.nat(7), { maxLength: 4 }),
  });
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 8 }),
      fc.array(step, { minLength: 1, maxLength: 12 }),
      (lanes, steps) => {
        const { a, b } = makePair({ lanes, selectors: SELECTORS });
        installPair(a, b, { selectors: SELECTORS });
        // A flow comes out of one queue of the device, and one queue of the network.
        const laneOf = (flow: number) => (steps[flow % steps.length]!.lane + flow) % lanes;
        const next = new Array<number>(6).fill(0);
        const deliver = () => {
          for (const [lane, io] of a.ios.entries())
            for (const { bytes, local, remote, tos } of io.sent.splice(0)) {
              const to = (lane * 3 + 1) % lanes;
              b.ios[to]!.arrive({ bytes, tos, local: remote, remote: local });
            }
        };
        for (const { flow, count, turns } of steps) {
          for (let i = 0; i < count; i++)
            a.ios[laneOf(flow)]!.fromHost[0]!.push(numbered(flow, next[flow]!++));
          for (const lane of turns) {
            a.lanes[lane % lanes]!.turn(START);
            deliver();
            b.lanes[(lane + 1) % lanes]!.turn(START);
          }
        }
        a.turn();
        deliver();
        b.turn();
        const arrived = b.ios.flatMap(({ toHost }) => toHost[0]!.map(numbersOf));
        for (const [flow, count] of next.entries())
          expect(arrived.filter(([one]) => one === flow).map(([, number]) => number)).toEqual(
            Array.from({ length: count }, (_, i) => i),
          );
        expect([a.allDrops(), b.allDrops()]).toEqual([{}, {}]);
      },
    ),
    { numRuns: 25 },
  );
});

describe("the queues between lanes", () => {
  function three() {
    const inboxes = Array.from({ length: 3 }, () => new SharedArrayBuffer(inboxOctets(3)));
    const woken: number[] = [];
    const make = (index: number) =>
      new HandOver({
        lanes: 3,
        index,
        inboxes,
        copy: copyInMemory,
        wake: (lane) => woken.push(lane),
        counters: new Float64Array(HAND_OVER_COUNTERS),
      });
    return { overs: [make(0), make(1), make(2)] as const, woken };
  }

  function frameOf(length: number) {
    const frames = createFrameBatch(4, 200_000);
    frames.count = 1;
    frames.offset[0] = 77;
    frames.length[0] = length;
    frames.bytes.fill(0x5a, 77, 77 + length);
    return frames;
  }

  test("carry superpackets whole, with all that says what becomes of them", () => {
    const { overs } = three();
    const frames = frameOf(60_000);
    frames.kind[0] = FRAME_TCP4;
    frames.segmentLength[0] = 1400;
    frames.segments[0] = 43;
    frames.packetLength[0] = 1440;
    expect(overs[2].giveFrame(0, frames, 0, 30)).toBe(true);
    const into = createFrameBatch(4, 200_000);
    const hops = new Uint8Array(4);
    overs[0].takeFrames(1, into, hops);
    expect(into.count).toBe(0);
    overs[0].takeFrames(2, into, hops);
    expect([into.count, overs[0].device, hops[0]]).toEqual([1, 30, 1]);
    expect([into.kind[0], into.segmentLength[0], into.segments[0], into.packetLength[0]]).toEqual([
      FRAME_TCP4,
      1400,
      43,
      1440,
    ]);
    const octets = into.bytes.subarray(into.offset[0], into.offset[0]! + into.length[0]!);
    expect(octets).toEqual(new Uint8Array(60_000).fill(0x5a));
    overs[0].takeFrames(2, into, hops);
    expect(into.count).toBe(0);
  });

  test("give frames of one device at a time, in order", () => {
    const { overs } = three();
    for (const device of [1, 1, 2, 1]) expect(overs[0].giveFrame(1, frameOf(100), 0, device)).toBe(true);
    const into = createFrameBatch(8, 200_000);
    const seen: [number, number][] = [];
    for (let i = 0; i < 4; i++) {
      overs[1].takeFrames(0, into, new Uint8Array(8));
      seen.push([overs[1].device, into.count]);
    }
    expect(seen).toEqual([
      [1, 2],
      [2, 1],
      [1, 1],
      [1, 0],
    ]);
  });

  test("leave what has no room in the batch for the next time", () => {
    const { overs } = three();
    for (let i = 0; i < 3; i++) overs[0].giveFrame(1, frameOf(60_000), 0, 0);
    const into = createFrameBatch(8, 130_000);
    overs[1].takeFrames(0, into, new Uint8Array(8));
    expect(into.count).toBe(2);
    overs[1].takeFrames(0, into, new Uint8Array(8));
    expect(into.count).toBe(1);
  });

  test("carry a datagram's socket, source and TOS", () => {
    const { overs } = three();
    const batch = createReceiveBatch(1);
    batch.count = 2;
    batch.offset.set([100, 3000]);
    batch.length.set([200, 1]);
    batch.tos.set([0xff, 3]);
    for (let i = 0; i < 2 * DATAGRAM_META_STRIDE; i++) batch.meta[i] = i + 1;
    batch.bytes.fill(9, 100, 300);
    expect(overs[1].giveDatagram(2, batch, 1, 7)).toBe(true);
    expect(overs[1].giveDatagram(2, batch, 0, 30)).toBe(true);
    const into = createReceiveBatch(1);
    const [sockets, hops] = [new Uint8Array(into.capacity), new Uint8Array(into.capacity)];
    overs[2].takeDatagrams(1, into, sockets, hops);
    expect([into.count, ...sockets.subarray(0, 2), ...into.tos.subarray(0, 2)]).toEqual([2, 7, 30, 3, 0xff]);
    expect([...into.length.subarray(0, 2)]).toEqual([1, 200]);
    expect([...into.meta.subarray(0, DATAGRAM_META_STRIDE)]).toEqual([
      ...batch.meta.subarray(DATAGRAM_META_STRIDE, 2 * DATAGRAM_META_STRIDE),
    ]);
    expect([...into.meta.subarray(DATAGRAM_META_STRIDE, 2 * DATAGRAM_META_STRIDE)]).toEqual([
      ...batch.meta.subarray(0, DATAGRAM_META_STRIDE),
    ]);
    expect(into.bytes.subarray(into.offset[1], into.offset[1]! + 200)).toEqual(new Uint8Array(200).fill(9));
  });

  test("do not hand on for ever what nobody keeps", () => {
    const { overs } = three();
    const into = createFrameBatch(4, 200_000);
    const hops = new Uint8Array(4);
    let given = 0;
    let frames = frameOf(100);
    for (let from = 0; overs[from % 2]!.mayGive; from++) {
      expect(overs[from % 2]!.giveFrame((from + 1) % 2, frames, 0, 0)).toBe(true);
      given++;
      overs[(from + 1) % 2]!.takeFrames(from % 2, into, hops);
      overs[(from + 1) % 2]!.hops = hops[0]!;
      frames = into;
    }
    expect(given).toBe(3);
  });

  test("wake a lane that sleeps, once, and none that is awake", () => {
    const { overs, woken } = three();
    overs[0].giveFrame(1, frameOf(100), 0, 0);
    overs[0].wakeOthers();
    expect(woken).toEqual([]);
    expect(overs[2].fallAsleep()).toBe(true);
    for (let i = 0; i < 3; i++) {
      overs[0].giveFrame(2, frameOf(100), 0, 0);
      overs[0].giveFrame(1, frameOf(100), 0, 0);
      overs[0].wakeOthers();
      overs[1].giveFrame(2, frameOf(100), 0, 0);
      overs[1].wakeOthers();
    }
    expect(woken).toEqual([2]);
    overs[2].stayAwake();
    overs[0].giveFrame(2, frameOf(100), 0, 0);
    overs[0].wakeOthers();
    expect(woken).toEqual([2]);
  });

  test("let no lane fall asleep that was given something, whichever came first", () => {
    const { overs, woken } = three();
    overs[0].giveFrame(1, frameOf(100), 0, 0);
    expect(overs[1].fallAsleep()).toBe(false);
    overs[0].wakeOthers();
    expect(woken).toEqual([]);
    const into = createFrameBatch(4, 200_000);
    overs[1].takeFrames(0, into, new Uint8Array(4));
    expect(overs[1].fallAsleep()).toBe(true);
    overs[1].stayAwake();
    const batch = createReceiveBatch(1);
    batch.length[0] = 50;
    overs[2].giveDatagram(1, batch, 0, 0);
    expect(overs[1].fallAsleep()).toBe(false);
  });
});
