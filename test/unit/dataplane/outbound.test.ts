import { describe, expect, test } from "vitest";
import { parseSelector } from "../../../src/policy/selector-text.ts";
import { internetChecksum } from "../../../src/wire/ip/checksum.ts";
import { ipv4ChecksumIsValid } from "../../../src/wire/ip/ipv4.ts";
import {
  acquires,
  endpoint,
  installPair,
  makeGateway,
  makePair,
  SUITES,
  selectors,
  send,
} from "./gateway-fixture.ts";
import { exchange } from "./memory-packet-io.ts";
import { packet } from "./packets.ts";

const A_TO_B = { source: "10.1.0.5", destination: "10.2.0.9" };
const A_TO_B_V6 = { source: "fd01::5", destination: "fd02::9" };

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
    expect(named.a.allDrops()).toEqual({ fragmentHeld: 1 });
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
