import { describe, expect, test } from "vitest";
import { PACKET_NO_KEY } from "../../../src/base/packet-batch.ts";
import { ICMP_ERRORS_BURST } from "../../../src/dataplane/icmp-errors.ts";
import { type Gateway, installPair, makeGateway, makePair, selectors, send } from "./gateway-fixture.ts";
import { exchange } from "./memory-packet-io.ts";
import { icmpError, packet } from "./packets.ts";

const A_TO_B = { source: "10.1.0.5", destination: "10.2.0.9" };
const A_TO_B_V6 = { source: "fd01::5", destination: "fd02::9" };

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

test.each([
  ["of one kind", [true, true]],
  ["with and without DF, which leave apart", [true, false]],
])("a packet that its cipher could not do is not sent, among packets %s", (_kind, dontFragment) => {
  const { a } = makePair();
  const { seal } = a.engine;
  a.engine.seal = (frames, packets) => {
    seal(frames, packets);
    packets.bytes.fill(0, packets.offset[0]!, packets.offset[0]! + packets.length[0]!);
    packets.status[0] = PACKET_NO_KEY;
  };
  send(a, ...dontFragment.map((df) => packet({ ...A_TO_B, dontFragment: df })));
  a.turn();
  expect(a.io.sent.map(({ bytes }) => bytes.some((octet) => octet !== 0))).toEqual([true]);
  expect(a.allDrops()).toEqual({ sendFailed: 1 });
});
