/** Two gateways that hide their traffic: padding, dummies and AGGFRAG over a network with loss, reordering and small MTUs. */
import { describe, expect, test } from "vitest";
import { toHex } from "../../src/base/bytes.ts";
import { DurationMs } from "../../src/base/instant.ts";
import { REORDER_MS } from "../../src/esp/aggfrag-receiver.ts";
import { CATCH_UP_MS } from "../../src/esp/constant-rate.ts";
import type { AggfragHandling, SaHandling, TfcHandling } from "../../src/policy/data-plane.ts";
import { laneOfSpi } from "../../src/policy/lane-of-spi.ts";
import {
  type Gateway,
  type GatewayOptions,
  installPair,
  makePair,
  type PairOptions,
  SUITES,
  seededRandom,
  send,
} from "../unit/dataplane/gateway-fixture.ts";
import type { SentDatagram } from "../unit/dataplane/memory-packet-io.ts";
import { packet } from "../unit/dataplane/packets.ts";

const TFC: TfcHandling = { padTo: "mtu", dummiesPerSecond: 0, isRefused: false };
const AGGREGATE: AggfragHandling = {
  mode: "aggregate",
  octetsPerSecond: 0,
  packetSize: "mtu",
  delay: DurationMs(1),
  mayFragment: true,
  reorderWindow: 3,
  congestion: "off",
};
/** 100 outer packets of 1,000 octets a second. */
const CONSTANT: AggfragHandling = {
  ...AGGREGATE,
  mode: "constant",
  octetsPerSecond: 100_000,
  packetSize: 1000,
};

function pairWith(handling: Partial<SaHandling>, options: GatewayOptions & PairOptions = {}) {
  return makePair({ ...options, handling });
}

function inner(
  payload: number,
  mark = 0,
  more: { source?: string; destination?: string; tos?: number } = {},
) {
  const octets = Uint8Array.from({ length: payload }, (_, i) => (mark + i * 3) & 0xff);
  if (payload >= 4) new DataView(octets.buffer).setUint32(0, mark);
  const { source = "10.1.0.5", destination = "10.2.0.7", tos } = more;
  const made = packet({ source, destination, payload: octets });
  if (tos !== undefined) {
    made[1] = tos;
    fixChecksum(made);
  }
  return made;
}

function fixChecksum(made: Uint8Array): void {
  made[10] = 0;
  made[11] = 0;
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += (made[i]! << 8) | made[i + 1]!;
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  new DataView(made.buffer).setUint16(10, ~sum & 0xffff);
}

type Network = (datagrams: readonly SentDatagram[]) => readonly SentDatagram[];
const perfect: Network = (datagrams) => datagrams;

/** Everything that A has sent since the last call goes to B. */
function carry(a: Gateway, b: Gateway, network: Network = perfect): readonly SentDatagram[] {
  const sent = a.io.sent.splice(0);
  for (const { local, remote, tos, bytes } of network(sent))
    b.io.arrive({ local: remote, remote: local, tos, bytes });
  return sent;
}

function taken(gateway: Gateway): string[] {
  return gateway.io.toHost[0]!.splice(0).map(toHex);
}

/** Outer octets of a datagram in UDP over IPv4. */
const outerLength = ({ bytes, remote }: SentDatagram) =>
  bytes.length + (remote.address.length === 4 ? 28 : 48);

/** Both lanes turn every millisecond. */
function run(a: Gateway, b: Gateway, from: number, to: number, network: Network = perfect) {
  const wire: { at: number; datagram: SentDatagram }[] = [];
  for (let now = from; now <= to; now++) {
    a.turn(now);
    for (const datagram of carry(a, b, network)) wire.push({ at: now, datagram });
    b.turn(now);
    carry(b, a);
  }
  return wire;
}

describe("padding", () => {
  test("[ESP-11] packets of any length are equally long on the wire and whole behind it", () => {
    for (const suite of Object.values(SUITES)) {
      const { a, b } = pairWith({ tfc: TFC }, { suite });
      const packets = [0, 1, 31, 500, 1300].map((length, i) => inner(length, i));
      send(a, ...packets);
      a.turn();
      const sent = carry(a, b);
      expect(new Set(sent.map(outerLength)).size).toBe(1);
      expect(outerLength(sent[0]!)).toBeGreaterThan(1480);
      expect(outerLength(sent[0]!)).toBeLessThanOrEqual(1500);
      b.turn();
      expect(taken(b)).toEqual(packets.map(toHex));
      expect(b.allDrops()).toEqual({});
    }
  });

  test("[ESP-11] a length pads what is shorter, and leaves the longer and the path's limit alone", () => {
    const { a, b } = pairWith({ tfc: { ...TFC, padTo: 600 } });
    send(a, inner(10), inner(400), inner(900));
    a.turn();
    const lengths = carry(a, b).map(outerLength);
    expect(lengths[0]).toBe(lengths[1]);
    expect(lengths[2]).toBeGreaterThan(lengths[1]!);
    const narrow = pairWith({ tfc: { ...TFC, padTo: 9000 } }, { pathMtu: 1280 });
    send(narrow.a, inner(10));
    narrow.a.turn();
    const [only] = carry(narrow.a, narrow.b);
    expect(outerLength(only!)).toBeLessThanOrEqual(1280);
    narrow.b.turn();
    expect(taken(narrow.b)).toEqual([toHex(inner(10))]);
  });

  test("[ESP-11] IPv6 inside, and padding counts for the limits of the SA", () => {
    const { a, b } = pairWith({ tfc: TFC }, { lifetime: { hardOctets: 3000 } });
    const packets = [1, 2, 3].map((mark) => inner(20, mark, { source: "fd01::5", destination: "fd02::7" }));
    send(a, ...packets);
    a.turn();
    carry(a, b);
    b.turn();
    expect(taken(b)).toEqual(packets.slice(0, 2).map(toHex));
    expect(a.drops("saExpired")).toBe(1);
  });
});

describe("dummies", () => {
  const DUMMIES: TfcHandling = { ...TFC, dummiesPerSecond: 20 };

  test("[ESP-10] an idle SA sends as many as configured, like padded packets, which are counted and dropped", () => {
    const { a, b } = pairWith({ tfc: DUMMIES });
    a.turn(0);
    expect(a.lane.nextTimeout()).toBe(50);
    const wire = run(a, b, 1, 1000);
    expect(wire).toHaveLength(20);
    expect(b.allDrops()).toEqual({ dummy: 20 });
    expect(taken(b)).toEqual([]);
    send(a, inner(5));
    const [real] = run(a, b, 1001, 1001);
    expect(new Set([real!, ...wire].map(({ datagram }) => outerLength(datagram))).size).toBe(1);
  });

  test("[ESP-10] there are none while there is enough traffic, and they count for the limits", () => {
    const { a, b } = pairWith({ tfc: DUMMIES }, { lifetime: { softPackets: 45, hardPackets: 50 } });
    for (let at = 0; at < 1000; at += 25) {
      send(a, inner(30));
      run(a, b, at, at + 24);
    }
    expect(taken(b)).toHaveLength(40);
    expect(b.drops("dummy")).toBe(0);
    run(a, b, 1000, 5000);
    expect(b.drops("dummy")).toBe(10);
    expect(a.upcalls.map(({ kind }) => kind)).toEqual(expect.arrayContaining(["softLimit", "hardLimit"]));
  });

  test("[ESP-10] a dummy holds nothing of what was sent before", () => {
    const { a, b } = pairWith({ tfc: DUMMIES });
    const { seal } = a.engine;
    const most: number[] = [];
    a.engine.seal = (frames, packets) => {
      const at = frames.offset[0]!;
      most.push(Math.max(...frames.bytes.subarray(at, at + frames.length[0]!)));
      seal(frames, packets);
      frames.bytes.fill(0xaa);
    };
    run(a, b, 0, 300);
    expect(most).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test("[ESP-10] an SA that is gone sends none, and its successor does", () => {
    const { a, b, spis } = pairWith({ tfc: DUMMIES });
    run(a, b, 0, 100);
    const next = installPair(a, b, { handling: { tfc: DUMMIES } });
    a.dataPlane.execute({ kind: "removePair", inboundSpi: spis.aInbound });
    expect(run(a, b, 101, 1101)).toHaveLength(20);
    expect(a.dataPlane.usage(next.aInbound)?.outboundPackets).toBe(20);
    a.dataPlane.execute({ kind: "removePair", inboundSpi: next.aInbound });
    expect(run(a, b, 1102, 2000)).toHaveLength(0);
  });
});

describe("aggregate", () => {
  test("[TFS-13] many short packets leave in few, and long ones in pieces, all of them whole behind it", () => {
    const { a, b } = pairWith({ aggfrag: AGGREGATE });
    const packets = Array.from({ length: 60 }, (_, i) => inner(i % 7 === 0 ? 1400 + i * 20 : 12, i));
    send(a, ...packets);
    const wire = run(a, b, 0, 5);
    expect(taken(b)).toEqual(packets.map(toHex));
    expect(wire.length).toBeLessThan(25);
    expect(Math.max(...wire.map(({ datagram }) => outerLength(datagram)))).toBeLessThanOrEqual(1500);
    expect(b.allDrops()).toEqual({});
    expect(a.dataPlane.pairs()[0]?.usage.outboundPackets).toBe(wire.length);
  });

  test("[TFS-15] packets far longer than the path go without ICMP errors", () => {
    const { a, b } = pairWith({ aggfrag: AGGREGATE }, { pathMtu: 1280 });
    const packets = [inner(9000, 1), inner(30_000, 2)];
    send(a, ...packets);
    run(a, b, 0, 5);
    expect(taken(b)).toEqual(packets.map(toHex));
    expect(a.allDrops()).toEqual({});
  });

  test("[TFS-07] without fragmentation a longer packet is too big, and its sender told the length that fits", () => {
    const { a, b } = pairWith({ aggfrag: { ...AGGREGATE, mayFragment: false } });
    const long = inner(1500, 1);
    long[6] = 0x40;
    fixChecksum(long);
    send(a, inner(20, 2), long, inner(20, 3));
    run(a, b, 0, 5);
    expect(taken(b)).toEqual([inner(20, 2), inner(20, 3)].map(toHex));
    expect(a.drops("tooBig")).toBe(1);
    const [icmp] = a.io.toHost[0]!;
    const mtu = new DataView(icmp!.buffer, icmp!.byteOffset).getUint16(26);
    const fitting = inner(mtu - 28, 4);
    send(a, fitting);
    run(a, b, 6, 10);
    expect(taken(b)).toEqual([toHex(fitting)]);
  });

  test("a packet waits for others no longer than the delay", () => {
    const { a, b } = pairWith({ aggfrag: { ...AGGREGATE, delay: DurationMs(20) } });
    send(a, inner(10, 1));
    a.turn(100);
    expect(a.io.sent).toEqual([]);
    expect(a.lane.nextTimeout()).toBe(120);
    send(a, inner(10, 2));
    a.turn(119);
    expect(a.io.sent).toEqual([]);
    a.turn(120);
    expect(carry(a, b)).toHaveLength(1);
    b.turn(121);
    expect(taken(b)).toHaveLength(2);
    expect(a.lane.nextTimeout()).toBeUndefined();
  });

  test("without a delay what came together leaves together, at once", () => {
    const { a, b } = pairWith({ aggfrag: { ...AGGREGATE, delay: DurationMs(0) } });
    send(a, inner(10, 1), inner(10, 2), inner(10, 3));
    a.turn(7);
    expect(carry(a, b)).toHaveLength(1);
  });

  test("superpackets are cut before they are packed", () => {
    const { a, b } = pairWith({ aggfrag: AGGREGATE });
    const segmentLength = 500;
    const superpacket = packet({
      source: "10.1.0.5",
      destination: "10.2.0.7",
      payload: new Uint8Array(2200),
    });
    a.io.fromHost[0]!.push({ bytes: superpacket, segmentLength });
    run(a, b, 0, 5);
    expect(b.io.toHost[0]!.map(({ length }) => length)).toEqual([528, 528, 528, 528, 228]);
  });

  test("[TFS-14] [TFS-09] the outer header shows nothing of the inner ones; DSCP and DF are the configuration's", () => {
    const { a, b } = pairWith({ aggfrag: AGGREGATE });
    send(a, inner(10, 1, { tos: 0xb9 }), inner(10, 2, { tos: 0x03 }));
    expect(run(a, b, 0, 3).map(({ datagram }) => [datagram.tos, datagram.hasDf])).toEqual([[0, true]]);
    const set = pairWith({ aggfrag: AGGREGATE, dscp: 46, df: "clear" });
    send(set.a, inner(10, 1));
    expect(run(set.a, set.b, 0, 3).map(({ datagram }) => [datagram.tos, datagram.hasDf])).toEqual([
      [46 << 2, false],
    ]);
  });

  test("[TFS-09] a mark on the way reaches the packets that can show it, and costs the others nothing", () => {
    const { a, b } = pairWith({ aggfrag: AGGREGATE });
    send(a, inner(10, 1, { tos: 2 }), inner(10, 2, { tos: 0 }));
    const mark: Network = (datagrams) => datagrams.map((one) => ({ ...one, tos: 3 }));
    run(a, b, 0, 3, mark);
    expect(b.io.toHost[0]!.map((one) => one[1]! & 3)).toEqual([3, 0]);
    expect(b.allDrops()).toEqual({});
  });

  test("[TFS-06] inner packets outside the selectors are dropped one by one", () => {
    const { a, b } = pairWith({ aggfrag: AGGREGATE });
    b.setSpd([]);
    send(a, inner(10, 1), inner(10, 2));
    run(a, b, 0, 3);
    expect(taken(b)).toEqual([]);
    expect(b.drops("noInterface")).toBe(2);
  });
});

describe("loss and reordering", () => {
  /** Loses some, and moves some back by a few places. */
  function badNetwork(seed: number, loss: number, shift: number): Network {
    const random = seededRandom(seed);
    return (datagrams) =>
      datagrams
        .filter(() => random.fraction() >= loss)
        .map((datagram, i) => ({ datagram, key: i + random.fraction() * shift }))
        .sort((one, other) => one.key - other.key)
        .map(({ datagram }) => datagram);
  }

  for (const seed of Array.from({ length: 20 }, (_, i) => i + 1))
    test(`[TFS-06] seed ${seed}: what comes out went in, in order, once; without loss all of it`, () => {
      const random = seededRandom(seed * 77);
      const isLossy = seed % 2 === 0;
      const reorderWindow = 1 + (seed % 5) * 4;
      const { a, b } = pairWith(
        { aggfrag: { ...AGGREGATE, reorderWindow } },
        { suite: SUITES.aes128sha256esn },
      );
      const network = badNetwork(seed, isLossy ? 0.05 : 0, reorderWindow);
      const sent: string[] = [];
      const heard: string[] = [];
      for (let now = 0; now < 200; now += 1) {
        const packets = Array.from({ length: Math.floor(random.fraction() * 6) }, () =>
          inner(Math.floor(random.fraction() ** 3 * 4000), sent.length + 1000 * now),
        );
        sent.push(...packets.map(toHex));
        send(a, ...packets);
        run(a, b, now, now, network);
        heard.push(...taken(b));
      }
      run(a, b, 200, 210, network);
      b.turn(210 + REORDER_MS + 1);
      heard.push(...taken(b));
      let next = 0;
      for (const one of heard) {
        next = sent.indexOf(one, next) + 1;
        expect(next).toBeGreaterThan(0);
      }
      if (isLossy) expect(heard.length).toBeGreaterThan(sent.length / 2);
      else expect(heard).toEqual(sent);
    });

  test("[TFS-06] a payload that is lost at the end of a burst holds nothing back for long", () => {
    const { a, b } = pairWith({ aggfrag: AGGREGATE });
    send(a, inner(1300, 1));
    run(a, b, 0, 2, () => []);
    send(a, inner(10, 2));
    run(a, b, 3, 5);
    expect(taken(b)).toEqual([]);
    const due = b.lane.nextTimeout()!;
    expect(due).toBeLessThanOrEqual(5 + REORDER_MS);
    b.turn(due);
    expect(taken(b)).toEqual([toHex(inner(10, 2))]);
    expect(b.lane.nextTimeout()).toBeUndefined();
  });

  test("[TFS-10] where AGGFRAG was not agreed its payloads are refused", () => {
    const { a, b } = pairWith({ aggfrag: AGGREGATE });
    const { b: other } = pairWith({});
    send(a, inner(10, 1));
    run(a, b, 0, 3);
    expect(taken(b)).toHaveLength(1);
    // The same keys and SPI, as both pairs are made from the same seeds.
    send(a, inner(10, 2));
    a.turn(4);
    a.turn(5);
    carry(a, other);
    other.turn(6);
    expect(taken(other)).toEqual([]);
    expect(other.allDrops()).toEqual({ badNextHeader: 1 });
  });
});

describe("constant rate", () => {
  const lengths = (wire: readonly { datagram: SentDatagram }[]) =>
    new Set(wire.map(({ datagram }) => outerLength(datagram)));

  test("[TFS-03] [TFS-04] one size and one rate, with nothing to send, with little and with far too much", () => {
    const { a, b } = pairWith({ aggfrag: CONSTANT });
    run(a, b, 0, 199);
    const idle = run(a, b, 200, 999);
    for (let at = 1000; at < 2000; at += 100) {
      send(a, inner(40, at));
      idle.push(...run(a, b, at, at + 99));
    }
    expect(taken(b)).toHaveLength(10);
    const busy: typeof idle = [];
    for (let at = 2000; at < 3000; at++) {
      send(a, ...[1, 2, 3].map((mark) => inner(1200, at * 4 + mark)));
      busy.push(...run(a, b, at, at));
    }
    expect(lengths([...idle, ...busy])).toEqual(new Set([1000]));
    expect(idle.length).toBe(180);
    expect(busy.length).toBe(100);
    const gaps = [...idle, ...busy].map(({ at }, i, all) => (i === 0 ? 10 : at - all[i - 1]!.at));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(11);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(9);
    expect(a.drops("aggfragQueueFull")).toBeGreaterThan(0);
    expect(Object.keys(b.allDrops())).toEqual([]);
    expect(taken(b).length).toBeGreaterThan(60);
  });

  test("[TFS-04] a lane that was late catches up with no more than the bound", () => {
    const { a, b } = pairWith({ aggfrag: { ...CONSTANT, octetsPerSecond: 1_000_000 } });
    run(a, b, 0, 210);
    a.turn(5000);
    expect(a.io.sent.length).toBe(CATCH_UP_MS + 1);
    expect(a.lane.nextTimeout()).toBeLessThanOrEqual(5001);
  });

  test("[TFS-03] the size follows the path when that becomes narrower, and stays one", () => {
    const { a, b, spis } = pairWith({ aggfrag: { ...CONSTANT, packetSize: "mtu" } });
    expect(lengths(run(a, b, 0, 700)).size).toBe(1);
    a.dataPlane.setPathMtu(spis.aInbound, 1280);
    const narrow = lengths(run(a, b, 701, 1400));
    expect(narrow.size).toBe(1);
    expect(Math.max(...narrow)).toBeLessThanOrEqual(1280);
  });

  test("[TFS-05] [TFS-11] over a rekey the rate stays one, and nothing that waited is lost", () => {
    const { a, b, spis } = pairWith({ aggfrag: CONSTANT });
    const packets = Array.from({ length: 30 }, (_, i) => inner(900 + i * 13, i));
    send(a, ...packets);
    const before = run(a, b, 0, 305);
    installPair(a, b, { handling: { aggfrag: CONSTANT } });
    a.dataPlane.execute({ kind: "removeOutboundSa", inboundSpi: spis.aInbound });
    const after = run(a, b, 306, 1200);
    expect(taken(b)).toEqual(packets.map(toHex));
    expect(lengths([...before, ...after]).size).toBe(1);
    expect(before.length + after.length).toBeGreaterThanOrEqual(99);
    expect(before.length + after.length).toBeLessThanOrEqual(102);
    expect(a.allDrops()).toEqual({});
  });

  test("[TFS-05] a successor that comes a moment after its predecessor has stopped takes over what waits", () => {
    const { a, b, spis } = pairWith({ aggfrag: CONSTANT });
    const packets = Array.from({ length: 12 }, (_, i) => inner(900, i));
    send(a, ...packets);
    const before = run(a, b, 0, 255);
    a.dataPlane.execute({ kind: "removeOutboundSa", inboundSpi: spis.aInbound });
    const between = run(a, b, 256, 256);
    installPair(a, b, { handling: { aggfrag: CONSTANT } });
    const after = run(a, b, 257, 999);
    expect(taken(b)).toEqual(packets.map(toHex));
    expect(between).toEqual([]);
    expect(before.length + after.length).toBe(80);
    expect(a.allDrops()).toEqual({});
  });

  test("[CHILD-24] at its hard limit the SA falls silent", () => {
    const { a, b } = pairWith({ aggfrag: CONSTANT }, { lifetime: { softPackets: 5, hardPackets: 10 } });
    expect(run(a, b, 0, 1000)).toHaveLength(10);
    // Both directions, and the outbound one to its end.
    expect(a.upcalls.map(({ kind }) => kind)).toEqual(["softLimit", "softLimit", "hardLimit"]);
  });

  test("an SA that is removed sends nothing more, and what waits for it is counted", () => {
    const { a, b, spis } = pairWith({ aggfrag: CONSTANT });
    send(a, inner(1000, 1), inner(1000, 2), inner(1000, 3));
    run(a, b, 0, 205);
    a.dataPlane.execute({ kind: "removePair", inboundSpi: spis.aInbound });
    expect(run(a, b, 206, 700)).toHaveLength(0);
    expect(a.drops("aggfragQueueFull")).toBeGreaterThan(0);
    expect(a.lane.nextTimeout()).toBeUndefined();
  });
});

describe("several lanes", () => {
  test.each([2, 4])(
    "[TFS-06] [TFS-04] with %i lanes one of them packs, paces and unpacks for all",
    (lanes) => {
      for (const aggfrag of [AGGREGATE, CONSTANT]) {
        const { a, b, spis } = pairWith({ aggfrag }, { lanes });
        const owner = laneOfSpi(spis.aInbound, lanes);
        const others = a.lanes.map((_, lane) => lane).filter((lane) => lane !== owner);
        const packets = Array.from({ length: 40 }, (_, i) => inner(i % 3 === 0 ? 1400 : 60, i));
        for (const one of packets) a.ios[others[0]!]!.fromHost[0]!.push(one);
        const heard: string[] = [];
        let sent = 0;
        for (let now = 0; now <= 1200; now++) {
          a.turn(now);
          for (const lane of others) expect(a.ios[lane]!.sent).toEqual([]);
          const datagrams = a.ios[owner]!.sent.splice(0);
          sent += datagrams.length;
          // All come to a lane of B that may not be the owner.
          for (const { local, remote, tos, bytes } of datagrams)
            b.ios[(laneOfSpi(spis.bInbound, lanes) + 1) % lanes]!.arrive({
              local: remote,
              remote: local,
              tos,
              bytes,
            });
          b.turn(now);
          for (const io of b.ios) io.sent.splice(0);
          for (const io of b.ios) heard.push(...io.toHost[0]!.splice(0).map(toHex));
        }
        expect(heard).toEqual(packets.map(toHex));
        if (aggfrag === CONSTANT) expect(sent).toBe(101);
      }
    },
  );
});
