import { describe, expect, test } from "vitest";
import {
  HELD_AGE_MAX_MS,
  HELD_OCTETS_MAX,
  HELD_PACKETS_MAX,
  HELD_PACKETS_PER_POLICY_MAX,
} from "../../../src/dataplane/held-packets.ts";
import { ICMP_ERRORS_BURST } from "../../../src/dataplane/icmp-errors.ts";
import type { LaneUpcall } from "../../../src/dataplane/lane.ts";
import { ACQUIRE_INTERVAL_MS } from "../../../src/dataplane/outbound.ts";
import { formatSelector, parseSelector } from "../../../src/policy/selector-text.ts";
import { internetChecksum } from "../../../src/wire/ip/checksum.ts";
import { ipv4ChecksumIsValid } from "../../../src/wire/ip/ipv4.ts";
import {
  endpoint,
  type Gateway,
  installPair,
  makeGateway,
  makePair,
  SUITES,
  selectors,
} from "./gateway-fixture.ts";
import { exchange } from "./memory-packet-io.ts";
import { icmpError, packet } from "./packets.ts";

const A_TO_B = { source: "10.1.0.5", destination: "10.2.0.9" };
const A_TO_B_V6 = { source: "fd01::5", destination: "fd02::9" };

function send(gateway: Gateway, ...packets: Uint8Array[]): void {
  gateway.io.fromHost[0]!.push(...packets);
}

function acquires(gateway: Gateway): Extract<LaneUpcall, { kind: "acquire" }>[] {
  return gateway.upcalls.filter((upcall) => upcall.kind === "acquire");
}

describe("policy", () => {
  test("[SPD-01] DISCARD and no match are dropped, counted and answered; nothing leaves", () => {
    const gateway = makeGateway();
    const any = [parseSelector("0.0.0.0/0")!];
    gateway.setSpd([
      { action: "discard", selectors: { local: any, remote: [parseSelector("10.99.0.0/16")!] } },
      { action: "bypass", selectors: { local: any, remote: [parseSelector("10.98.0.0/16")!] } },
    ]);
    const discarded = packet({ source: "10.1.0.5", destination: "10.99.0.1" });
    const bypassed = packet({ source: "10.1.0.5", destination: "10.98.0.1" });
    const unknown = packet({ source: "10.1.0.5", destination: "10.97.0.1" });
    send(gateway, discarded, bypassed, unknown);

    gateway.turn();

    expect(gateway.allDrops()).toEqual({ policyDiscard: 1, policyBypass: 1, noPolicy: 1 });
    expect(gateway.io.sent).toEqual([]);
    const answers = gateway.io.toHost[0]!;
    expect(answers.map((one) => [...one.subarray(12, 22)])).toEqual([
      [10, 99, 0, 1, 10, 1, 0, 5, 3, 13],
      [10, 97, 0, 1, 10, 1, 0, 5, 3, 13],
    ]);
    expect(answers[0]!.subarray(28)).toEqual(discarded);
    expect(ipv4ChecksumIsValid(answers[0]!, 0)).toBe(true);
    expect(internetChecksum(answers[0]!, 20, answers[0]!.length - 20)).toBe(0);
  });

  test("a new SPD counts from the next packet on, whatever was remembered", () => {
    const { a } = makePair();
    send(a, packet(A_TO_B));
    a.turn();
    a.setSpd([]);
    send(a, packet(A_TO_B));
    a.turn();
    expect(a.io.sent).toHaveLength(1);
    expect(a.drops("noPolicy")).toBe(1);
  });

  test("each device has its own policy, and what comes in leaves by the SA's device", () => {
    const { a, b } = makePair({ tunCount: 2 });
    const other = selectors("10.1.0.0/16", "10.3.0.0/16");
    a.setSpd([a.protect("other/lan", other)], 1);
    b.setSpd([b.protect("other/lan", { local: other.remote, remote: other.local })], 1);
    installPair(a, b, { policy: "other/lan", selectors: other });
    const toThree = packet({ source: "10.1.0.5", destination: "10.3.0.9" });
    a.io.fromHost[0]!.push(packet(A_TO_B), toThree);
    a.io.fromHost[1]!.push(packet(A_TO_B), toThree);

    a.turn();
    exchange(a.io, b.io);
    b.turn();

    expect(a.drops("noPolicy")).toBe(2);
    expect(b.io.toHost).toEqual([[packet(A_TO_B)], [toThree]]);
  });

  test.each([
    ["nothing", new Uint8Array()],
    ["one octet", Uint8Array.of(0x45)],
    ["version 7", packet(A_TO_B).fill(0x75, 0, 1)],
    ["a total length beyond the packet", packet(A_TO_B).fill(0xff, 2, 4)],
    ["an IPv6 header cut off", packet(A_TO_B_V6).slice(0, 39)],
  ])("%s on the device is a counted drop", (_, bytes) => {
    const { a } = makePair();
    send(a, bytes);
    a.turn();
    expect(a.allDrops()).toEqual({ malformedPacket: 1 });
  });

  test("[SPD-13] a later fragment goes where ports are ANY, not where one port is named", () => {
    const fragment = packet({ ...A_TO_B, dontFragment: false, fragmentOffset: 1480, protocol: 6 });
    const open = makePair();
    send(open.a, fragment);
    open.a.turn();
    expect(open.a.io.sent).toHaveLength(1);

    const named = makePair({ selectors: selectors("10.1.0.0/16", "10.2.0.0/16[tcp/443]") });
    send(named.a, fragment);
    named.a.turn();
    expect(named.a.io.sent).toEqual([]);
    expect(named.a.allDrops()).toEqual({ noPolicy: 1 });
  });
});

describe("loops", () => {
  test("our own outer packets that come back through the device are dropped", () => {
    const everything = selectors("0.0.0.0/0", "0.0.0.0/0");
    const { a } = makePair({ selectors: everything });
    const outer = { source: "192.0.2.1", destination: "198.51.100.2" };
    send(
      a,
      packet({ ...outer, ports: [4500, 4500] }),
      packet({ ...outer, protocol: 50 }),
      packet({ ...outer, ports: [5353, 4500] }),
      packet({ ...outer, source: "192.0.2.77", ports: [4500, 4500] }),
    );
    a.turn();
    expect(a.drops("loop")).toBe(2);
    expect(a.io.sent).toHaveLength(2);
  });

  test("before the first SA the addresses are those that were told", () => {
    const gateway = makeGateway();
    gateway.lane.setOuterAddresses([endpoint("192.0.2.1").address, endpoint("2001:db8::1").address]);
    send(
      gateway,
      packet({ source: "192.0.2.1", destination: "198.51.100.2", ports: [500, 500] }),
      packet({ source: "2001:db8::1", destination: "2001:db8::2", ports: [500, 500] }),
    );
    gateway.turn();
    expect(gateway.allDrops()).toEqual({ loop: 2 });
  });

  test("an IPv6 address is not an IPv4 address that starts alike", () => {
    const gateway = makeGateway();
    gateway.lane.setOuterAddresses([endpoint("192.0.2.1").address]);
    send(gateway, packet({ source: "c000:201::", destination: "2001:db8::2", ports: [500, 500] }));
    gateway.turn();
    expect(gateway.allDrops()).toEqual({ noPolicy: 1 });
  });
});

describe("without an SA", () => {
  function makeWaiting() {
    const a = makeGateway({ seed: 11 });
    const b = makeGateway({ seed: 22 });
    const pair = selectors("10.1.0.0/16, fd01::/32", "10.2.0.0/16, fd02::/32");
    a.setSpd([a.protect("net/lan", pair)]);
    b.setSpd([b.protect("net/lan", { local: pair.remote, remote: pair.local })]);
    return { a, b };
  }
  const numbered = (id: number) => packet({ ...A_TO_B, id });

  test("one acquire is raised with the packet's own selectors", () => {
    const { a } = makeWaiting();
    send(
      a,
      packet({ ...A_TO_B, protocol: 6, ports: [40000, 443] }),
      packet({ ...A_TO_B, destination: "10.2.0.10" }),
    );
    a.turn();
    send(a, packet(A_TO_B));
    a.turn(5);

    expect(acquires(a)).toHaveLength(1);
    const { packet: wanted } = acquires(a)[0]!;
    expect(formatSelector(wanted.local)).toBe("10.1.0.5[tcp/40000]");
    expect(formatSelector(wanted.remote)).toBe("10.2.0.9[tcp/443]");
    expect(a.dataPlane.event(acquires(a)[0]!)).toMatchObject({ kind: "acquire", policy: "net/lan" });
    expect(a.io.sent).toEqual([]);
    expect(a.allDrops()).toEqual({});
  });

  test("what was held leaves in order, and before newer packets", () => {
    const { a, b } = makeWaiting();
    send(a, numbered(1), numbered(2));
    a.turn();
    send(a, numbered(3));
    a.turn(1);
    installPair(a, b);
    send(a, numbered(4), numbered(5));
    a.turn(2);
    exchange(a.io, b.io);
    b.turn(2);

    expect(b.io.toHost[0]).toEqual([1, 2, 3, 4, 5].map(numbered));
    expect(a.allDrops()).toEqual({});
    expect(a.lane.nextTimeout()).toBeUndefined();
  });

  function makeManyWaiting(count: number) {
    const { a } = makeWaiting();
    const names = Array.from({ length: count }, (_, i) => `net/${i}`);
    a.setSpd(names.map((name, i) => a.protect(name, selectors("10.1.0.0/16", `10.${100 + i}.0.0/16`))));
    return {
      a,
      flood(each: number, payload = new Uint8Array(32)) {
        for (const [i] of names.entries())
          for (let j = 0; j < each; j++)
            send(a, packet({ source: "10.1.0.5", destination: `10.${100 + i}.0.1`, payload }));
        while (a.turn() > 0);
      },
    };
  }

  test("no policy holds more than its share", () => {
    const { a, flood } = makeManyWaiting(2);
    flood(HELD_PACKETS_PER_POLICY_MAX);
    expect(a.drops("heldTooMany")).toBe(0);
    flood(3);
    expect(a.drops("heldTooMany")).toBe(6);
    expect(acquires(a)).toHaveLength(2);
  });

  test("no lane holds more packets or octets than its memory", () => {
    const many = makeManyWaiting(10);
    many.flood(HELD_PACKETS_PER_POLICY_MAX);
    expect(many.a.drops("heldTooMany")).toBe(10 * HELD_PACKETS_PER_POLICY_MAX - HELD_PACKETS_MAX);
    const large = makeManyWaiting(2);
    large.flood(20, new Uint8Array(8192 - 28));
    expect(large.a.drops("heldTooMany")).toBe(40 - HELD_OCTETS_MAX / 8192);
  });

  test("too old is dropped, one moment earlier is not", () => {
    const { a, b } = makeWaiting();
    send(a, numbered(1));
    a.turn(0);
    expect(a.lane.nextTimeout()).toBe(HELD_AGE_MAX_MS);
    a.turn(HELD_AGE_MAX_MS - 1);
    expect(a.drops("heldTooOld")).toBe(0);
    a.turn(HELD_AGE_MAX_MS);
    expect(a.drops("heldTooOld")).toBe(1);
    installPair(a, b);
    a.turn(HELD_AGE_MAX_MS + 1);
    expect(a.io.sent).toEqual([]);
  });

  test("a failed acquire drops what waits, and a later packet may ask again", () => {
    const { a } = makeWaiting();
    send(a, numbered(1), numbered(2));
    a.turn(0);
    a.dataPlane.execute({ kind: "acquireFailed", policy: "net/lan" });
    a.turn(100);
    expect(a.allDrops()).toEqual({ acquireFailed: 2 });

    send(a, numbered(3));
    a.turn(200);
    expect(acquires(a)).toHaveLength(1);
    expect(a.lane.nextTimeout()).toBe(ACQUIRE_INTERVAL_MS);
    a.turn(ACQUIRE_INTERVAL_MS);
    expect(acquires(a)).toHaveLength(2);
  });

  test("an acquire, limit or move that the main thread had no room for is raised again", () => {
    const { a, b } = makeWaiting();
    a.upcallRoom = 0;
    send(a, numbered(1));
    a.turn(0);
    expect(a.upcalls).toEqual([]);
    expect(a.lane.nextTimeout()).toBe(ACQUIRE_INTERVAL_MS);
    a.upcallRoom = 1;
    a.turn(ACQUIRE_INTERVAL_MS);
    expect(acquires(a)).toHaveLength(1);
    installPair(a, b, { lifetime: { softPackets: 2 } });
    send(a, numbered(2), numbered(3));
    a.turn(2000);
    expect(a.upcalls).toHaveLength(1);
    a.upcallRoom = 2;
    send(a, numbered(4));
    a.turn(2001);
    expect(a.upcalls[1]).toMatchObject({ kind: "softLimit", reason: "packets" });
    expect(a.allDrops()).toEqual({});
  });

  test("an SA that appears in the middle of a turn lets nothing overtake what is held", () => {
    const { a, b } = makeWaiting();
    send(a, numbered(1));
    a.turn(0);
    a.io.beforeRead = () => installPair(a, b);
    send(a, numbered(2));
    a.turn(1);
    expect(a.io.sent).toEqual([]);
    send(a, numbered(3));
    a.turn(2);
    exchange(a.io, b.io);
    b.turn(2);
    expect(b.io.toHost[0]).toEqual([1, 2, 3].map(numbered));
  });

  test("a failure in the middle of a turn is not covered up by a newer packet", () => {
    const { a } = makeWaiting();
    send(a, numbered(1));
    a.turn(0);
    a.io.beforeRead = () => a.dataPlane.execute({ kind: "acquireFailed", policy: "net/lan" });
    send(a, numbered(2));
    a.turn(5000);
    a.turn(5001);
    expect(a.allDrops()).toEqual({ acquireFailed: 2 });
    expect(acquires(a)).toHaveLength(1);
  });

  test("policies that wait together are told apart packet by packet", () => {
    const { a, b } = makeWaiting();
    const other = selectors("10.1.0.0/16", "10.3.0.0/16");
    const lan = selectors("10.1.0.0/16", "10.2.0.0/16");
    a.setSpd([a.protect("net/lan", lan), a.protect("net/other", other)]);
    const toOther = packet({ source: "10.1.0.5", destination: "10.3.0.9" });
    send(a, packet(A_TO_B), toOther, packet(A_TO_B), toOther);
    a.turn(0);
    a.dataPlane.execute({ kind: "acquireFailed", policy: "net/other" });
    installPair(a, b, { selectors: lan });
    a.turn(1);
    expect(a.io.sent).toHaveLength(2);
    expect(a.allDrops()).toEqual({ acquireFailed: 2 });
  });

  test("after the SA is removed again a packet asks again", () => {
    const { a, b } = makeWaiting();
    send(a, numbered(1));
    a.turn(0);
    const { aInbound } = installPair(a, b);
    a.turn(1);
    a.dataPlane.execute({ kind: "removePair", inboundSpi: aInbound });
    send(a, numbered(2));
    a.turn(5000);
    expect(acquires(a)).toHaveLength(2);
    expect(a.io.sent).toHaveLength(1);
  });

  test("an SA narrowed past the packet releases others and drops it", () => {
    const { a, b } = makeWaiting();
    send(a, numbered(1), packet({ ...A_TO_B, destination: "10.2.1.1" }));
    a.turn(0);
    installPair(a, b, { selectors: selectors("10.1.0.0/16", "10.2.0.0/24") });
    a.turn(10);
    expect(a.io.sent).toHaveLength(1);
    expect(a.allDrops()).toEqual({ acquireFailed: 1 });
  });

  test("without SPD entry any more, held packets are dropped", () => {
    const { a } = makeWaiting();
    send(a, numbered(1));
    a.turn(0);
    a.setSpd([]);
    a.turn(10);
    expect(a.allDrops()).toEqual({ noPolicy: 1 });
  });
});

describe("replacing SAs", () => {
  test("what is removed in the middle of a turn keeps its slot and key until the turn is over", () => {
    const { a, spis } = makePair();
    const wiped: number[] = [];
    const { wipe } = a.keys;
    a.keys.wipe = (slot) => {
      wiped.push(slot);
      wipe(slot);
    };
    a.io.beforeRead = () => a.dataPlane.execute({ kind: "removePair", inboundSpi: spis.aInbound });
    send(a, packet(A_TO_B));
    a.turn();
    expect(wiped).toEqual([]);
    a.dataPlane.reclaim();
    expect(wiped).toHaveLength(2);
  });

  test("[CHILD-11] from the next packet on the newest SA is used, and the old one still receives", () => {
    const { a, b, spis } = makePair();
    send(a, packet(A_TO_B));
    a.turn();
    const rekeyed = installPair(a, b);
    send(a, packet(A_TO_B));
    a.turn();
    const used = a.io.sent.map(({ bytes }) => new DataView(bytes.buffer).getUint32(0));
    expect(used).toEqual([spis.bInbound, rekeyed.bInbound]);
    a.dataPlane.execute({ kind: "removePair", inboundSpi: spis.aInbound });
    exchange(a.io, b.io);
    b.turn();
    expect(b.io.toHost[0]).toHaveLength(2);
  });

  test("a removed outbound half stops sending at once, its inbound half goes on", () => {
    const { a, b, spis } = makePair();
    a.dataPlane.execute({ kind: "removeOutboundSa", inboundSpi: spis.aInbound });
    send(a, packet(A_TO_B));
    send(b, packet({ source: "10.2.0.9", destination: "10.1.0.5" }));
    a.turn();
    b.turn();
    exchange(a.io, b.io);
    a.turn();
    expect(a.io.sent).toEqual([]);
    expect(a.io.toHost[0]).toHaveLength(1);
    expect(acquires(a)).toHaveLength(1);
  });

  test("a moved SA sends to the new address with the same keys and numbers", () => {
    const { a, b, spis } = makePair();
    send(a, packet(A_TO_B));
    a.turn();
    a.dataPlane.execute({
      kind: "moveSa",
      inboundSpi: spis.aInbound,
      local: endpoint("192.0.2.1"),
      remote: endpoint("203.0.113.7", 61000),
      encapsulation: "udp",
    });
    send(a, packet(A_TO_B));
    a.turn();
    expect(a.io.sent.map(({ remote }) => remote)).toEqual([
      endpoint("198.51.100.2"),
      endpoint("203.0.113.7", 61000),
    ]);
    expect(a.io.sent.map(({ bytes }) => new DataView(bytes.buffer).getUint32(4))).toEqual([1, 2]);
    exchange(a.io, b.io, (datagram) => [{ ...datagram, remote: endpoint("198.51.100.2") }]);
    b.turn();
    expect(b.io.toHost[0]).toHaveLength(2);
  });
});

describe("limits", () => {
  test("[ESP-02] the first packet has number 1", () => {
    const { a } = makePair();
    send(a, packet(A_TO_B), packet(A_TO_B));
    a.turn();
    expect(a.io.sent.map(({ bytes }) => new DataView(bytes.buffer).getUint32(4))).toEqual([1, 2]);
  });

  test("[ESP-03] the last number is used, the next is not, and both limits are reported once", () => {
    const { a, spis } = makePair({ suite: SUITES.aes256gcm16, firstSequenceNumber: 2 ** 32 - 10 });
    for (let i = 0; i < 8; i++) send(a, packet(A_TO_B));
    a.turn();
    expect(a.upcalls).toEqual([]);
    send(a, packet(A_TO_B), new Uint8Array(3));
    a.turn();
    for (let i = 0; i < 4; i++) send(a, packet(A_TO_B));
    a.turn();
    expect(a.io.sent.map(({ bytes }) => new DataView(bytes.buffer).getUint32(4)).at(-1)).toBe(2 ** 32 - 1);
    expect(a.io.sent).toHaveLength(10);
    expect(a.allDrops()).toEqual({ sequenceExhausted: 3, malformedPacket: 1 });
    expect(a.upcalls).toEqual([
      { kind: "softLimit", inboundSpi: spis.aInbound, reason: "sequenceNumbers" },
      { kind: "hardLimit", inboundSpi: spis.aInbound, reason: "sequenceNumbers" },
    ]);
  });

  test("[ESP-06] with ESN the numbers go past 2^32 and the peer follows", () => {
    const { a, b } = makePair({ suite: SUITES.aes128sha256esn, firstSequenceNumber: 2 ** 32 - 100 });
    // The receiver starts where the sender does: it has seen the numbers before.
    b.table.f64[(b.table.regions.slots + 136) / 8] = 2 ** 32 - 101;
    for (let i = 0; i < 200; i++) {
      send(a, packet({ ...A_TO_B, id: i }));
      a.turn();
      exchange(a.io, b.io);
      b.turn();
    }
    expect(b.io.toHost[0]).toHaveLength(200);
    expect(a.dataPlane.pairs()[0]!.usage.nextSequenceNumber).toBe(2 ** 32 + 100);
  });

  test("[CHILD-24] after the hard limit nothing is carried, whatever else is in the batch", () => {
    const { a, spis } = makePair({ lifetime: { softPackets: 2, hardPackets: 3 } });
    for (let i = 0; i < 5; i++) send(a, packet(A_TO_B));
    a.turn();
    expect(a.io.sent).toHaveLength(3);
    expect(a.allDrops()).toEqual({ saExpired: 2 });
    expect(a.upcalls.map((upcall) => a.dataPlane.event(upcall))).toEqual([
      { kind: "softLimit", inboundSpi: spis.aInbound, reason: "packets" },
      { kind: "hardLimit", inboundSpi: spis.aInbound, reason: "packets" },
    ]);
  });

  test("[ESP-03] a manual SA stops at what is reserved and goes on when more is", () => {
    const { a, spis } = makePair({ firstSequenceNumber: 101, lastSequenceNumber: 104 });
    for (let i = 0; i < 6; i++) send(a, packet(A_TO_B));
    a.turn();
    expect(a.io.sent).toHaveLength(4);
    a.dataPlane.extendSequence(spis.aInbound, 204);
    send(a, packet(A_TO_B));
    a.turn();
    expect(a.io.sent).toHaveLength(5);
    expect(a.upcalls.filter(({ kind }) => kind === "hardLimit")).toHaveLength(1);
  });
});

describe("path MTU", () => {
  const offer = (a: Gateway, length: number, dontFragment = true) => {
    send(a, packet({ ...A_TO_B, payload: new Uint8Array(length - 28), dontFragment }));
    a.turn();
  };

  test("[SPD-10] 1438 octets fit 1500 outside, 1439 are answered with the true MTU", () => {
    const { a } = makePair();
    offer(a, 1438);
    expect(a.io.sent).toHaveLength(1);
    expect(a.io.sent[0]!.bytes.length + 28).toBeLessThanOrEqual(1500);
    offer(a, 1439);
    expect(a.io.sent).toHaveLength(1);
    expect(a.allDrops()).toEqual({ tooBig: 1 });
    const answer = a.io.toHost[0]![0]!;
    expect([...answer.subarray(20, 22)]).toEqual([3, 4]);
    expect(new DataView(answer.buffer).getUint16(26)).toBe(1438);
    expect(answer.length).toBe(576);
  });

  test("[SPD-10] IPv6 gets Packet Too Big, never below 1280", () => {
    const { a, spis } = makePair();
    const long = packet({ ...A_TO_B_V6, payload: new Uint8Array(1400) });
    send(a, long);
    a.turn();
    a.dataPlane.setPathMtu(spis.aInbound, 1280);
    send(a, long);
    a.turn();
    const [first, second] = a.io.toHost[0]!;
    expect([...first!.subarray(40, 42)]).toEqual([2, 0]);
    expect(new DataView(first!.buffer).getUint32(44)).toBe(1438);
    expect(new DataView(second!.buffer).getUint32(44)).toBe(1280);
    expect(first!.length).toBe(1280);
  });

  test("what the system finds too big is counted", () => {
    const { a } = makePair();
    a.io.pathMtu = 1400;
    offer(a, 1400);
    expect(a.allDrops()).toEqual({ sendTooBig: 1 });
    a.io.isRefusingSends = true;
    offer(a, 100);
    expect(a.allDrops()).toEqual({ sendTooBig: 1, sendFailed: 1 });
  });
});

describe("ICMP errors", () => {
  test("are never made about errors, later fragments, groups or no one", () => {
    const gateway = makeGateway();
    send(
      gateway,
      icmpError("10.1.0.5", "10.9.0.1", 3, 3, packet(A_TO_B)),
      packet({ source: "10.1.0.5", destination: "10.9.0.1", dontFragment: false, fragmentOffset: 8 }),
      packet({ source: "10.1.0.5", destination: "224.0.0.5" }),
      packet({ source: "0.0.0.0", destination: "10.9.0.1" }),
      packet({ source: "fd01::1", destination: "ff02::1" }),
      packet({ source: "::", destination: "fd09::1" }),
      icmpError("fd01::1", "fd09::1", 1, 0, packet(A_TO_B_V6)),
    );
    gateway.turn();
    expect(gateway.drops("noPolicy")).toBe(7);
    expect(gateway.io.toHost[0]).toEqual([]);
  });

  test("are limited in rate", () => {
    const gateway = makeGateway();
    const total = ICMP_ERRORS_BURST + 20;
    for (let i = 0; i < total; i++) send(gateway, packet({ ...A_TO_B, id: i }));
    while (gateway.turn(0) > 0);
    expect(gateway.io.toHost[0]).toHaveLength(ICMP_ERRORS_BURST);
    expect(gateway.drops("icmpRateLimited")).toBe(20);
    expect(gateway.drops("noPolicy")).toBe(total);
    send(gateway, packet(A_TO_B));
    gateway.turn(1000);
    expect(gateway.io.toHost[0]).toHaveLength(ICMP_ERRORS_BURST + 1);
  });

  test("[SPD-12] an error of a router about a packet that came in through the SA goes back through it", () => {
    const { a, b } = makePair();
    const arrived = packet({ source: "10.2.0.9", destination: "10.1.0.5" });
    const report = icmpError("172.16.0.1", "10.2.0.9", 11, 0, arrived);
    const stray = icmpError(
      "172.16.0.1",
      "10.2.0.9",
      11,
      0,
      packet({ source: "10.2.0.9", destination: "10.7.0.1" }),
    );
    const bent = icmpError("172.16.0.1", "10.2.0.10", 11, 0, arrived);
    send(a, report, stray, bent);
    a.turn();
    exchange(a.io, b.io);
    b.turn();
    expect(b.io.toHost[0]).toEqual([report]);
    expect(a.drops("noPolicy")).toBe(2);
  });
});

test("the TOS of the outer packet follows the SA's settings [ECN-01] [SPD-08]", () => {
  const tosOf = (handling: { dscp?: "copy" | number; ecn?: "copy" | "clear" }) => {
    const { a } = makePair({ handling });
    send(a, packet({ ...A_TO_B, tos: 0xba }), packet({ ...A_TO_B_V6, tos: 0xba }));
    a.turn();
    return a.io.sent.map(({ tos }) => tos);
  };
  expect(tosOf({})).toEqual([0xba, 0xba]);
  expect(tosOf({ ecn: "clear" })).toEqual([0xb8, 0xb8]);
  expect(tosOf({ dscp: 10 })).toEqual([0x2a, 0x2a]);
});

describe("DF of the outer packet", () => {
  const dfOf = (df: "copy" | "set" | "clear", more: { a?: string; b?: string } = {}) => {
    const { a } = makePair({ handling: { df }, ...more });
    send(
      a,
      packet({ ...A_TO_B, dontFragment: true, id: 1 }),
      packet({ ...A_TO_B, dontFragment: false, id: 2 }),
      packet(A_TO_B_V6),
    );
    a.turn();
    const inOrder = [...a.io.sent].sort((x, y) => x.bytes[7]! - y.bytes[7]!);
    expect(a.allDrops()).toEqual({});
    return inOrder.map(({ hasDf }) => hasDf);
  };

  test("is copied, set or cleared as the SA says", () => {
    expect(dfOf("copy")).toEqual([true, false, true]);
    expect(dfOf("set")).toEqual([true, true, true]);
    expect(dfOf("clear")).toEqual([false, false, false]);
  });

  test("does not exist in IPv6", () => {
    expect(dfOf("clear", { a: "2001:db8::1", b: "2001:db8::2" })).toEqual([true, true, true]);
  });

  test("refusals of either kind are counted once each", () => {
    const { a } = makePair({ handling: { df: "copy" } });
    a.io.pathMtu = 100;
    for (const dontFragment of [true, false, true]) send(a, packet({ ...A_TO_B, dontFragment }));
    a.turn();
    expect(a.allDrops()).toEqual({ sendTooBig: 3 });
  });
});

test("an SA leaves by the socket of its local port, or by any that carries ESP", () => {
  const sockets = [
    { role: "ike", family: 4, localPort: 500 },
    { role: "nat", family: 4, localPort: 4510 },
    { role: "nat", family: 4, localPort: 4500 },
  ] as const;
  const { a } = makePair({ sockets });
  send(a, packet(A_TO_B));
  a.turn();
  expect(a.io.sent.map(({ socket }) => socket)).toEqual([2]);
  const other = makePair({ sockets: sockets.slice(0, 2) });
  send(other.a, packet(A_TO_B));
  other.a.turn();
  expect(other.a.io.sent.map(({ socket }) => socket)).toEqual([1]);
  const none = makePair({ sockets: sockets.slice(0, 1) });
  send(none.a, packet(A_TO_B));
  none.a.turn();
  expect(none.a.allDrops()).toEqual({ noSocket: 1 });
});

test("SAs of both families and encapsulations share a batch", () => {
  const { a, b } = makePair();
  const six = selectors("10.1.0.0/16", "10.6.0.0/16");
  const raw = selectors("10.1.0.0/16", "10.7.0.0/16");
  const mirrored = (pair: typeof six) => ({ local: pair.remote, remote: pair.local });
  const lan = selectors("10.1.0.0/16, fd01::/32", "10.2.0.0/16, fd02::/32");
  a.setSpd([a.protect("net/lan", lan), a.protect("net/six", six), a.protect("net/raw", raw)]);
  b.setSpd([
    b.protect("net/lan", mirrored(lan)),
    b.protect("net/six", mirrored(six)),
    b.protect("net/raw", mirrored(raw)),
  ]);
  installPair(a, b, { policy: "net/six", selectors: six, a: "2001:db8::1", b: "2001:db8::2" });
  installPair(a, b, { policy: "net/raw", selectors: raw, encapsulation: "esp" });
  const packets = ["10.2.0.9", "10.6.0.9", "10.7.0.9", "10.99.0.9", "10.2.0.10"].map((destination) =>
    packet({ source: "10.1.0.5", destination }),
  );
  send(a, ...packets);
  a.turn();
  expect(
    a.io.sent.map(({ socket }) => a.io.sockets[socket]!.role + a.io.sockets[socket]!.family).sort(),
  ).toEqual(["esp4", "nat4", "nat4", "nat6"]);
  exchange(a.io, b.io);
  b.turn();
  expect(b.io.toHost[0]).toHaveLength(4);
  expect(a.allDrops()).toEqual({ noPolicy: 1 });
});

test("an SA whose keys are gone sends nothing", () => {
  const { a } = makePair();
  a.keys.wipe(1);
  send(a, packet(A_TO_B));
  a.turn();
  expect(a.io.sent).toEqual([]);
  expect(a.allDrops()).toEqual({ sealFailed: 1 });
});
