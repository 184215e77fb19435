import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DropReason } from "../../../src/dataplane/drop-reason.ts";
import { IKE_INITIAL_BURST, IKE_OTHER_BURST, IKE_PEERS_BURST } from "../../../src/dataplane/ike-gate.ts";
import { AUDITS_BURST, PEER_MOVED_INTERVAL_MS } from "../../../src/dataplane/inbound.ts";
import { Slot } from "../../../src/policy/sa-table.ts";
import { ipv4ChecksumIsValid } from "../../../src/wire/ip/ipv4.ts";
import { endpoint, type Gateway, makeGateway, makePair, SUITES, selectors } from "./gateway-fixture.ts";
import type { Datagram } from "./memory-packet-io.ts";
import { icmpError, packet } from "./packets.ts";
import { PlainSender } from "./plain-sender.ts";

const A_TO_B = { source: "10.1.0.5", destination: "10.2.0.9" };
const A_END = endpoint("192.0.2.1");
const B_END = endpoint("198.51.100.2");

/** What A sends for each packet, as it arrives at B. */
function sealed(a: Gateway, ...packets: Uint8Array[]): Datagram[] {
  a.io.fromHost[0]!.push(...packets);
  a.turn();
  return a.io.sent
    .splice(0)
    .map(({ local, remote, tos, bytes }) => ({ local: remote, remote: local, tos, bytes }));
}

function receive(b: Gateway, datagrams: readonly Datagram[], at = 0): Uint8Array[] {
  for (const datagram of datagrams) b.io.arrive(datagram);
  b.turn(at);
  return b.io.toHost[0]!.splice(0);
}

function onNatPort(bytes: Uint8Array): Datagram {
  return { local: B_END, remote: A_END, tos: 0, bytes };
}

describe("demultiplexing", () => {
  const ike = Uint8Array.from({ length: 28 }, (_, i) => i);

  test("[NAT-04] behind four zero octets it is IKE, without them ESP; on port 500 it is IKE", () => {
    const gateway = makeGateway();
    const local500 = endpoint("198.51.100.2", 500);
    receive(gateway, [
      onNatPort(Uint8Array.of(0, 0, 0, 0, ...ike)),
      onNatPort(Uint8Array.of(...ike)),
      { local: local500, remote: endpoint("192.0.2.1", 500), tos: 0, bytes: ike },
    ]);
    expect(gateway.ike).toEqual([
      { local: local500, remote: endpoint("192.0.2.1", 500), bytes: ike },
      { local: B_END, remote: A_END, bytes: ike },
    ]);
    expect(gateway.allDrops()).toEqual({ unknownSpi: 1 });
  });

  test("[NAT-06] keepalives are dropped on either port", () => {
    const gateway = makeGateway();
    const keepalive = Uint8Array.of(0xff);
    receive(gateway, [
      onNatPort(keepalive),
      { ...onNatPort(keepalive), local: endpoint("198.51.100.2", 500) },
    ]);
    expect(gateway.allDrops()).toEqual({ keepalive: 2 });
    expect(gateway.ike).toEqual([]);
  });

  test.each<[string, number[], DropReason]>([
    ["nothing at all", [], "shortDatagram"],
    ["one octet that is no keepalive", [0xfe], "shortDatagram"],
    ["the marker alone", [0, 0, 0, 0], "shortDatagram"],
    ["marker and half an IKE header", new Array<number>(4 + 27).fill(0), "shortDatagram"],
    ["ESP cut off", [1, 2, 3, 4, 0, 0, 0, 1, 0, 0, 0], "shortDatagram"],
    ["SPI 1", [0, 0, 0, 1, ...new Array<number>(60).fill(0)], "reservedSpi"],
    ["SPI 255", [0, 0, 0, 255, ...new Array<number>(60).fill(0)], "reservedSpi"],
    ["SPI 256, which nobody has", [0, 0, 1, 0, ...new Array<number>(60).fill(0)], "unknownSpi"],
  ])("[ESP-01] [ESP-15] [NAT-11] %s is a counted drop", (_, octets, reason) => {
    const gateway = makeGateway();
    receive(gateway, [onNatPort(Uint8Array.from(octets))]);
    expect(gateway.allDrops()).toEqual({ [reason]: 1 });
    expect(gateway.upcalls.filter(({ kind }) => kind !== "audit")).toEqual([]);
  });

  test.each<[number, DropReason]>([
    [0, "reservedSpi"],
    [255, "reservedSpi"],
    [256, "unknownSpi"],
  ])("[ESP-01] [NAT-11] raw ESP with SPI %i is %s", (spi, reason) => {
    const gateway = makeGateway();
    const bytes = new Uint8Array(64);
    new DataView(bytes.buffer).setUint32(0, spi);
    receive(gateway, [
      { local: endpoint("198.51.100.2", 0), remote: endpoint("192.0.2.1", 0), tos: 0, bytes },
    ]);
    expect(gateway.allDrops()).toEqual({ [reason]: 1 });
  });

  test("strangers' first messages are limited apart from those of known IKE SAs", () => {
    const gateway = makeGateway();
    const initial = new Uint8Array(32);
    const other = new Uint8Array(32).fill(9);
    const flood = (bytes: Uint8Array, count: number) => {
      for (let i = 0; i < count; i++) gateway.io.arrive(onNatPort(bytes));
      while (gateway.turn(0) > 0);
    };
    flood(initial, IKE_INITIAL_BURST + 7);
    expect(gateway.ike).toHaveLength(IKE_INITIAL_BURST);
    flood(Uint8Array.of(0, 0, 0, 0, ...other), 5);
    expect(gateway.ike).toHaveLength(IKE_INITIAL_BURST + 5);
    flood(Uint8Array.of(0, 0, 0, 0, ...other), IKE_OTHER_BURST);
    expect(gateway.drops("ikeRateLimited")).toBe(7 + 5);
  });

  test("[ERR-06] a flood of strangers does not keep out configured peers", () => {
    const gateway = makeGateway();
    const initial = new Uint8Array(32);
    const stranger = onNatPort(initial);
    const peer = { ...stranger, remote: endpoint("203.0.113.9", 4500) };
    gateway.lane.setPeers([peer.remote.address, endpoint("2001:db8::9").address]);
    const flood = (datagram: typeof stranger, count: number) => {
      for (let i = 0; i < count; i++) gateway.io.arrive(datagram);
      while (gateway.turn(0) > 0);
    };
    flood(stranger, IKE_INITIAL_BURST + 100);
    expect(gateway.ike).toHaveLength(IKE_INITIAL_BURST);
    flood(peer, 20);
    expect(gateway.ike).toHaveLength(IKE_INITIAL_BURST + 20);
    flood(peer, IKE_PEERS_BURST);
    expect(gateway.ike).toHaveLength(IKE_INITIAL_BURST + IKE_PEERS_BURST);
  });

  test("a full queue to the main thread is counted", () => {
    const gateway = makeGateway({ ikeRoom: 2 });
    receive(
      gateway,
      [1, 2, 3].map(() => onNatPort(new Uint8Array(32))),
    );
    expect(gateway.allDrops()).toEqual({ ikeQueueFull: 1 });
  });

  test("[NAT-03] every SA takes UDP and raw ESP", () => {
    for (const encapsulation of ["udp", "esp"] as const) {
      const { a, b } = makePair({ encapsulation });
      const [first, second] = sealed(a, packet(A_TO_B), packet({ ...A_TO_B, id: 8 }));
      const asUdp = { ...first!, local: B_END, remote: A_END };
      const asRaw = { ...second!, local: { ...B_END, port: 0 }, remote: { ...A_END, port: 0 } };
      expect(receive(b, [asUdp, asRaw])).toHaveLength(2);
      expect(b.upcalls).toEqual([]);
    }
  });
});

describe("replay and integrity", () => {
  test("[ESP-04] a duplicate is dropped, in the same batch and later", () => {
    const { a, b } = makePair();
    const [first] = sealed(a, packet(A_TO_B));
    expect(receive(b, [first!, first!])).toHaveLength(1);
    expect(receive(b, [first!])).toHaveLength(0);
    expect(b.allDrops()).toEqual({ replayed: 2 });
  });

  test("[ESP-04] every packet of a run is known afterwards, and what is missing in the run is not", () => {
    const { a, b } = makePair();
    const all = sealed(a, ...Array.from({ length: 25 }, (_, id) => packet({ ...A_TO_B, id })));
    const missing = all.splice(15, 1);
    expect(receive(b, all)).toHaveLength(24);
    expect(receive(b, [...missing, ...all])).toHaveLength(1);
    expect(b.allDrops()).toEqual({ replayed: 24 });
  });

  test("[NAT-07] a run ends where another peer begins", () => {
    const { a, b } = makePair();
    const all = sealed(a, ...Array.from({ length: 6 }, (_, id) => packet({ ...A_TO_B, id })));
    const moved = all.map((one, i) =>
      i < 3 ? one : { ...one, remote: { ...one.remote, port: one.remote.port + 1 } },
    );
    expect(receive(b, moved)).toHaveLength(6);
    expect(b.upcalls.filter(({ kind }) => kind === "peerMoved")).toHaveLength(1);
  });

  test("[ESP-04] what lies left of the window is dropped, the last inside is not", () => {
    const { a, b } = makePair({ suite: SUITES.aes256gcm16, handling: { replayWindow: 32 } });
    const all = sealed(a, ...Array.from({ length: 32 }, (_, id) => packet({ ...A_TO_B, id })));
    const next = sealed(a, packet(A_TO_B))[0]!;
    expect(receive(b, [next])).toHaveLength(1);
    expect(receive(b, [all[0]!])).toHaveLength(0);
    expect(receive(b, [all[1]!])).toHaveLength(1);
    expect(b.allDrops()).toEqual({ leftOfWindow: 1 });
  });

  for (const [name, suite] of Object.entries(SUITES))
    test(`[ESP-05] [ESP-12] [ESP-13] ${name}: a forged number far ahead moves no window and yields nothing`, () => {
      const { a, b } = makePair({ suite });
      const [good, late] = sealed(a, packet(A_TO_B), packet({ ...A_TO_B, id: 8 }));
      const forged = { ...good!, bytes: good!.bytes.slice() };
      new DataView(forged.bytes.buffer).setUint32(4, 0x7fffffff);
      expect(receive(b, [forged])).toHaveLength(0);
      expect(b.table.f64[(b.table.regions.slots + Slot.REPLAY_HIGHEST) / 8]).toBe(0);
      expect(receive(b, [good!, late!])).toHaveLength(2);
      expect(b.allDrops()).toEqual({ notAuthentic: 1 });
    });

  test("[ESP-12] any bit that is changed refuses the packet and leaves an audit with SPI, number and addresses", () => {
    const { a, b, spis } = makePair();
    const [good] = sealed(a, packet({ ...A_TO_B, payload: new Uint8Array(4) }));
    let refused = 0;
    for (let at = 4; at < good!.bytes.length; at++) {
      const bytes = good!.bytes.slice();
      bytes[at] = bytes[at]! ^ (1 << (at % 8));
      expect(receive(b, [{ ...good!, bytes }], at * 1000)).toHaveLength(0);
      refused++;
    }
    const { notAuthentic = 0, leftOfWindow = 0 } = b.allDrops();
    expect(notAuthentic + leftOfWindow).toBe(refused);
    expect(notAuthentic).toBeGreaterThan(refused - 5);
    expect(b.upcalls.at(-1)).toEqual({
      kind: "audit",
      reason: "notAuthentic",
      spi: spis.bInbound,
      sequenceNumber: 1,
      local: B_END,
      remote: A_END,
    });
    expect(receive(b, [good!])).toHaveLength(1);
  });

  test("audits are limited in rate", () => {
    const gateway = makeGateway();
    for (let i = 0; i < AUDITS_BURST + 20; i++)
      gateway.io.arrive(onNatPort(Uint8Array.of(9, 9, 9, 9, ...new Array<number>(40).fill(0))));
    while (gateway.turn(0) > 0);
    expect(gateway.upcalls).toHaveLength(AUDITS_BURST);
    expect(gateway.drops("unknownSpi")).toBe(AUDITS_BURST + 20);
  });

  test("lengths that no sender makes are dropped before the engine sees them", () => {
    const { a, b } = makePair({ suite: SUITES.aes128sha256esn });
    const [good] = sealed(a, packet(A_TO_B));
    for (const length of [12, 8 + 16 + 16, good!.bytes.length - 1, good!.bytes.length - 4])
      receive(b, [{ ...good!, bytes: good!.bytes.slice(0, length) }]);
    expect(b.allDrops()).toEqual({ badEspLength: 4 });
    expect(receive(b, [good!])).toHaveLength(1);
  });

  test("[ESP-15] after its pair is removed an SPI is unknown", () => {
    const { a, b, spis } = makePair();
    const [good] = sealed(a, packet(A_TO_B));
    b.dataPlane.execute({ kind: "removePair", inboundSpi: spis.bInbound });
    expect(receive(b, [good!])).toHaveLength(0);
    expect(b.allDrops()).toEqual({ unknownSpi: 1 });
  });
});

describe("inside the packet", () => {
  const inner = packet(A_TO_B);

  test("[ESP-08] correct padding of any length is taken, anything else refused", () => {
    const { b, spis } = makePair();
    const sender = new PlainSender(spis.bInbound);
    // Whatever aligns the trailer to four octets.
    for (let padLength = 0; padLength <= 255; padLength++)
      if ((inner.length + padLength + 2) % 4 === 0)
        expect(receive(b, [onNatPort(sender.seal(inner, { padLength }))])).toEqual([inner]);
    const wrong = sender.seal(inner, { padding: Uint8Array.of(1, 3) });
    expect(receive(b, [onNatPort(wrong)])).toEqual([]);
    const tooLong = sender.seal(new Uint8Array(2), { padding: new Uint8Array(), padLength: 3 });
    expect(receive(b, [onNatPort(tooLong)])).toEqual([]);
    expect(b.allDrops()).toEqual({ badPadding: 2 });
  });

  test("[ESP-10] a dummy packet is no error and reaches nobody", () => {
    const { b, spis } = makePair();
    const sender = new PlainSender(spis.bInbound);
    expect(receive(b, [onNatPort(sender.seal(new Uint8Array(30).fill(3), { nextHeader: 59 }))])).toEqual([]);
    expect(b.allDrops()).toEqual({ dummy: 1 });
    expect(b.dataPlane.usage(spis.bInbound)?.inboundPackets).toBe(1);
    expect(b.upcalls).toEqual([]);
  });

  test("[ESP-11] TFC padding behind the inner packet is taken off", () => {
    const { b, spis } = makePair();
    const sender = new PlainSender(spis.bInbound);
    const six = packet({ source: "fd01::5", destination: "fd02::9" });
    const padded = (bytes: Uint8Array) => Uint8Array.of(...bytes, ...new Array<number>(150).fill(0xee));
    expect(
      receive(b, [
        onNatPort(sender.seal(padded(inner), {})),
        onNatPort(sender.seal(padded(six), { nextHeader: 41 })),
      ]),
    ).toEqual([inner, six]);
  });

  test.each<[string, Uint8Array, number, DropReason]>([
    ["an inner packet longer than what came", inner.slice(0, -4), 4, "malformedInner"],
    ["the other family than announced", inner, 41, "malformedInner"],
    ["no packet at all", new Uint8Array(), 4, "malformedInner"],
    ["a header cut off", inner.slice(0, 18), 4, "malformedInner"],
    ["next header TCP", inner, 6, "badNextHeader"],
  ])("%s is a counted drop", (_, payload, nextHeader, reason) => {
    const { b, spis } = makePair();
    const sender = new PlainSender(spis.bInbound);
    expect(receive(b, [onNatPort(sender.seal(payload, { nextHeader }))])).toEqual([]);
    expect(b.allDrops()).toEqual({ [reason]: 1 });
  });

  test("[SPD-04] [CHILD-07] what lies outside the selectors of the SA that carried it is dropped", () => {
    const narrow = selectors("10.1.0.0/24", "10.2.0.0/16[udp/2000]");
    const { b, spis } = makePair({ selectors: narrow });
    const sender = new PlainSender(spis.bInbound);
    const arrive = (bytes: Uint8Array, nextHeader = 4) =>
      receive(b, [onNatPort(sender.seal(bytes, { nextHeader }))]).length;
    expect(arrive(inner)).toBe(1);
    expect(arrive(packet({ ...A_TO_B, source: "10.1.1.0" }))).toBe(0);
    expect(arrive(packet({ ...A_TO_B, destination: "10.3.0.1" }))).toBe(0);
    expect(arrive(packet({ ...A_TO_B, ports: [1000, 2001] }))).toBe(0);
    expect(arrive(packet({ ...A_TO_B, protocol: 6 }))).toBe(0);
    expect(arrive(packet({ ...A_TO_B, fragmentOffset: 8, dontFragment: false }))).toBe(0);
    expect(arrive(packet({ source: "10.2.0.9", destination: "10.1.0.5", ports: [2000, 1000] }))).toBe(0);
    expect(arrive(packet({ source: "fd01::5", destination: "fd02::9" }), 41)).toBe(0);
    expect(b.allDrops()).toEqual({ selectorMismatch: 6, fragmentHeld: 1 });
  });

  test("[SPD-04] another SA's selectors do not help", () => {
    const { b, spis } = makePair();
    const third = selectors("10.1.0.0/16", "10.3.0.0/16");
    b.setSpd([
      b.protect("net/lan", selectors("10.2.0.0/16", "10.1.0.0/16")),
      b.protect("net/three", { local: third.remote, remote: third.local }),
    ]);
    const sender = new PlainSender(spis.bInbound);
    expect(receive(b, [onNatPort(sender.seal(packet({ ...A_TO_B, destination: "10.3.0.1" }), {}))])).toEqual(
      [],
    );
    expect(b.allDrops()).toEqual({ selectorMismatch: 1 });
  });

  test("[SPD-12] an ICMP error is judged by the packet that it quotes", () => {
    const { b, spis } = makePair();
    const sender = new PlainSender(spis.bInbound);
    const sentByUs = packet({ source: "10.2.0.9", destination: "10.1.0.5" });
    const arrive = (bytes: Uint8Array) => receive(b, [onNatPort(sender.seal(bytes, {}))]).length;
    expect(arrive(icmpError("172.16.0.1", "10.2.0.9", 3, 4, sentByUs))).toBe(1);
    expect(arrive(icmpError("10.1.0.77", "10.2.0.9", 11, 0, sentByUs))).toBe(1);
    const neverOurs = packet({ source: "10.2.0.9", destination: "10.7.0.1" });
    expect(arrive(icmpError("10.1.0.77", "10.2.0.9", 3, 4, neverOurs))).toBe(0);
    expect(arrive(icmpError("10.1.0.77", "10.2.0.10", 3, 4, sentByUs))).toBe(0);
    expect(arrive(icmpError("10.1.0.77", "10.2.0.9", 3, 4, sentByUs.slice(0, 16)))).toBe(0);
    expect(
      arrive(packet({ source: "172.16.0.1", destination: "10.2.0.9", protocol: 1, ports: [8, 0] })),
    ).toBe(0);
    expect(b.allDrops()).toEqual({ selectorMismatch: 4 });
  });

  test.each([
    ["CE around Not-ECT drops the packet", 0, 3, undefined],
    ["CE around ECT(0) gives CE", 2, 3, 3],
    ["CE around ECT(1) gives CE", 1, 3, 3],
    ["ECT(1) around ECT(0) gives ECT(1)", 2, 1, 1],
    ["Not-ECT around CE stays CE", 3, 0, 3],
    ["ECT(0) around Not-ECT stays Not-ECT", 0, 2, 0],
  ])("[ECN-02] [ECN-03] [ECN-04] %s", (_, innerEcn, outerEcn, expected) => {
    for (const addresses of [A_TO_B, { source: "fd01::5", destination: "fd02::9" }]) {
      const { a, b } = makePair();
      const original = packet({ ...addresses, tos: 0xb8 | innerEcn });
      const delivered = receive(
        b,
        sealed(a, original).map((datagram) => ({ ...datagram, tos: 0x28 | outerEcn })),
      );
      if (expected === undefined) {
        expect(delivered).toEqual([]);
        expect(b.allDrops()).toEqual({ ecnUnmarkable: 1 });
        continue;
      }
      expect(delivered).toEqual([packet({ ...addresses, tos: 0xb8 | expected })]);
      if (addresses === A_TO_B) expect(ipv4ChecksumIsValid(delivered[0]!, 0)).toBe(true);
    }
  });

  test("[SPD-07] the inner hop limit stays as it is", () => {
    const { a, b } = makePair();
    const one = packet({ ...A_TO_B, hopLimit: 1 });
    expect(receive(b, sealed(a, one))).toEqual([one]);
  });
});

describe("the SPD on the way in", () => {
  const lan = selectors("10.2.0.0/16, fd02::/32", "10.1.0.0/16, fd01::/32");

  test("[SPD-01] an entry that says DISCARD in front of the child's counts", () => {
    const { a, b } = makePair();
    const nine = { local: lan.local, remote: selectors("10.1.9.0/24", "10.1.9.0/24").remote };
    const toNine = packet({ source: "10.1.9.1", destination: "10.2.0.9" });
    expect(receive(b, sealed(a, toNine))).toHaveLength(1);
    b.setSpd([{ action: "discard", selectors: nine }, b.protect("net/lan", lan)]);
    expect(receive(b, sealed(a, toNine, packet(A_TO_B), toNine))).toEqual([packet(A_TO_B)]);
    expect(b.allDrops()).toEqual({ policyDiscard: 2 });
    b.setSpd([b.protect("net/lan", lan), { action: "discard", selectors: nine }]);
    expect(receive(b, sealed(a, toNine))).toHaveLength(1);
  });

  test("[SPD-01] what no entry covers any more is dropped, though the SA would", () => {
    const { a, b } = makePair();
    b.setSpd([b.protect("net/lan", selectors("10.2.0.0/24", "10.1.0.0/16"))]);
    const beyond = packet({ ...A_TO_B, destination: "10.2.1.9" });
    expect(receive(b, sealed(a, beyond, packet(A_TO_B)))).toEqual([packet(A_TO_B)]);
    expect(b.allDrops()).toEqual({ noPolicy: 1 });
  });
});

describe("accounts and limits", () => {
  test("both directions count packets, octets and when", () => {
    const { a, b, spis } = makePair();
    receive(b, sealed(a, packet(A_TO_B), packet(A_TO_B)), 1234);
    const there = a.dataPlane.usage(spis.aInbound)!;
    const here = b.dataPlane.usage(spis.bInbound)!;
    expect([there.outboundPackets, here.inboundPackets]).toEqual([2, 2]);
    expect(there.outboundOctets).toBe(here.inboundOctets);
    expect(there.nextSequenceNumber).toBe(3);
    expect([here.lastInboundAt, here.lastOutboundAt]).toEqual([1234, undefined]);
  });

  test("[CHILD-24] an inbound SA at its hard limit delivers nothing more", () => {
    const { b, spis } = makePair({ lifetime: { hardPackets: 2 } });
    const sender = new PlainSender(spis.bInbound);
    const all = [1, 2, 3, 4].map((id) => onNatPort(sender.seal(packet({ ...A_TO_B, id }), {})));
    expect(receive(b, all)).toHaveLength(2);
    expect(b.allDrops()).toEqual({ inboundExpired: 2 });
    expect(b.upcalls.filter(({ kind }) => kind === "hardLimit")).toEqual([
      { kind: "hardLimit", inboundSpi: spis.bInbound, reason: "packets" },
    ]);
  });

  test("packets that are refused count for nothing", () => {
    const { a, b, spis } = makePair();
    const [good] = sealed(a, packet(A_TO_B));
    const bad = { ...good!, bytes: good!.bytes.slice().fill(0, 20) };
    receive(b, [bad, good!, good!], 50);
    expect(b.dataPlane.usage(spis.bInbound)?.inboundPackets).toBe(1);
  });

  test("what the host does not take is counted", () => {
    const { a, b } = makePair();
    b.io.isRefusingTunWrites = true;
    receive(b, sealed(a, packet(A_TO_B)));
    expect(b.allDrops()).toEqual({ tunRefused: 1 });
  });

  test("a policy that no device has any more delivers nothing", () => {
    const { a, b } = makePair();
    b.setSpd([]);
    expect(receive(b, sealed(a, packet(A_TO_B)))).toEqual([]);
    expect(b.allDrops()).toEqual({ noInterface: 1 });
  });
});

describe("a peer that moves", () => {
  const moved = endpoint("203.0.113.50", 1027);

  test("[NAT-07] is reported after an authentic packet from there, with old and new address", () => {
    const { a, b, spis } = makePair();
    const [first] = sealed(a, packet(A_TO_B));
    receive(b, [{ ...first!, remote: moved }]);
    expect(b.upcalls).toEqual([
      { kind: "peerMoved", inboundSpi: spis.bInbound, local: B_END, remote: moved },
    ]);
    expect(b.dataPlane.event(b.upcalls[0]!)).toMatchObject({ kind: "peerMoved", remote: moved });
    b.dataPlane.execute({
      kind: "moveSa",
      inboundSpi: spis.bInbound,
      local: B_END,
      remote: moved,
      encapsulation: "udp",
    });
    expect(b.dataPlane.event(b.upcalls[0]!)).toBeUndefined();
    receive(
      b,
      sealed(a, packet(A_TO_B)).map((datagram) => ({ ...datagram, remote: moved })),
      9999,
    );
    expect(b.upcalls).toHaveLength(1);
  });

  test("[SPD-06] its packets are found by their SPI, whatever their addresses", () => {
    const { a, b } = makePair();
    const [first, second] = sealed(a, packet(A_TO_B), packet({ ...A_TO_B, id: 8 }));
    const elsewhere = { ...first!, local: endpoint("198.51.100.77"), remote: moved };
    const inSix = { ...second!, local: endpoint("2001:db8::2"), remote: endpoint("2001:db8::1") };
    expect(receive(b, [elsewhere, inSix])).toHaveLength(2);
  });

  test("[NAT-07] is not followed after a packet that fails, or one older than the newest", () => {
    const { a, b } = makePair();
    const [old, newest] = sealed(a, packet(A_TO_B), packet(A_TO_B));
    receive(b, [newest!]);
    const forged = { ...old!, remote: moved, bytes: old!.bytes.slice() };
    new DataView(forged.bytes.buffer).setUint32(4, 99);
    receive(b, [forged, { ...old!, remote: moved }, { ...newest!, remote: moved }]);
    expect(b.upcalls.filter(({ kind }) => kind === "peerMoved")).toEqual([]);
    expect(b.allDrops()).toEqual({ notAuthentic: 1, replayed: 1 });
  });

  test("is reported again only after a while", () => {
    const { a, b } = makePair();
    const all = sealed(a, packet(A_TO_B), packet(A_TO_B), packet(A_TO_B)).map((one) => ({
      ...one,
      remote: moved,
    }));
    receive(b, [all[0]!], 0);
    receive(b, [all[1]!], PEER_MOVED_INTERVAL_MS - 1);
    expect(b.upcalls).toHaveLength(1);
    receive(b, [all[2]!], PEER_MOVED_INTERVAL_MS);
    expect(b.upcalls).toHaveLength(2);
  });
});

test("packets are delivered once each, whatever the wire loses, repeats and reorders", () => {
  const wire = fc.array(fc.nat({ max: 39 }), { minLength: 1, maxLength: 150 });
  fc.assert(
    fc.property(wire, fc.constantFrom(SUITES.aes256gcm16, SUITES.aes256gcm16esn), (order, suite) => {
      const { a, b } = makePair({ suite });
      const packets = Array.from({ length: 40 }, (_, id) => packet({ ...A_TO_B, id }));
      const sent = [...sealed(a, ...packets.slice(0, 30)), ...sealed(a, ...packets.slice(30))];
      const delivered: Uint8Array[] = [];
      for (let at = 0; at < order.length; at += 25)
        delivered.push(
          ...receive(
            b,
            order.slice(at, at + 25).map((i) => sent[i]!),
          ),
        );
      expect(delivered).toEqual([...new Set(order)].map((i) => packets[i]!));
    }),
    { numRuns: 30 },
  );
});
