import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { formatIpAddress } from "../../../src/base/ip-address.ts";
import { segmentsOf, tcpPacket, udpPacket } from "../io/tcp-segments.ts";
import { acquires, installPair, makeGateway, makePair, selectors } from "./gateway-fixture.ts";
import { exchange, type Superpacket } from "./memory-packet-io.ts";
import { packet } from "./packets.ts";

const PAIR = selectors("10.0.0.0/8, ::/0", "0.0.0.0/0, ::/0");
const payload = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 255);
const tcp = (length: number, segmentLength = 1000, family: 4 | 6 = 4): Superpacket => ({
  bytes: tcpPacket({ family, sourcePort: 9, sequence: 100, payload: payload(length) }),
  segmentLength,
});
const udp = (length: number, segmentLength = 1000): Superpacket => ({
  bytes: udpPacket({ family: 4, sourcePort: 9, payload: payload(length) }),
  segmentLength,
});
const cut = ({ bytes, segmentLength }: Superpacket) => segmentsOf(bytes, segmentLength).map(digest);
const digest = (bytes: Uint8Array) =>
  `${bytes.length} ${createHash("sha256").update(bytes).digest("base64")}`;
const hosts = (source: Uint8Array, at: number) => formatIpAddress(source.subarray(at, at + 4) as never);

describe("a superpacket of the host", () => {
  test("arrives as the packets it stands for, among others, in order", () => {
    const { a, b } = makePair({ selectors: PAIR });
    const address = { source: hosts(tcp(1).bytes, 12), destination: hosts(tcp(1).bytes, 16) };
    const single = packet(address);
    const sent = [tcp(5500), single, udp(3001), tcp(64_000, 1360), tcp(4000, 1000, 6), single];
    a.io.fromHost[0]!.push(...sent);

    expect(a.turn()).toBe(sent.length);
    exchange(a.io, b.io);
    while (b.turn() > 0);

    const expected = sent.flatMap((one) => (one instanceof Uint8Array ? [digest(one)] : cut(one)));
    expect(expected.length).toBe(6 + 1 + 4 + 48 + 4 + 1);
    expect(b.io.toHost[0]!.map(digest)).toEqual(expected);
    expect([a.allDrops(), b.allDrops()]).toEqual([{}, {}]);
  });

  test("counts as its packets for the SA's usage", () => {
    const { a, b, spis } = makePair({ selectors: PAIR });
    a.io.fromHost[0]!.push(tcp(5500));
    a.turn();
    exchange(a.io, b.io);
    b.turn();
    const [there, here] = [a.dataPlane.usage(spis.aInbound)!, b.dataPlane.usage(spis.bInbound)!];
    expect(there.outboundPackets).toBe(6);
    expect(here.inboundPackets).toBe(6);
    expect(there.outboundOctets).toBe(here.inboundOctets);
  });

  test("[SPD-10] of TCP whose segments do not fit the path is cut smaller, and its sender told once", () => {
    const { a, b } = makePair({ selectors: PAIR });
    const large = tcp(20_000, 1460);
    a.io.fromHost[0]!.push(large, tcp(20_000, 1360));
    a.turn();
    expect(a.allDrops()).toEqual({});
    expect(a.io.toHost[0]!.length).toBe(1);
    exchange(a.io, b.io);
    while (b.turn() > 0);
    const fitting = { ...large, segmentLength: 1438 - 40 };
    expect(b.io.toHost[0]!.map(digest)).toEqual([...cut(fitting), ...cut(tcp(20_000, 1360))]);
  });

  test("[SPD-10] of UDP whose datagrams do not fit the path is refused as a whole", () => {
    const { a } = makePair({ selectors: PAIR });
    a.io.fromHost[0]!.push(udp(4500, 1500));
    a.turn();
    expect(a.allDrops()).toEqual({ tooBig: 3 });
    expect(a.io.toHost[0]!.length).toBe(1);
    expect(a.io.sent).toEqual([]);
  });

  test("that no policy lets through is dropped with all its packets", () => {
    const { a } = makePair({ selectors: selectors("10.8.0.0/16", "10.9.0.0/16") });
    a.io.fromHost[0]!.push(tcp(5500));
    a.turn();
    expect(a.allDrops()).toEqual({ noPolicy: 6 });
  });

  test("[CHILD-24] passes the hard limit neither wholly nor in part", () => {
    const { a } = makePair({ selectors: PAIR, lifetime: { hardPackets: 8 } });
    a.io.fromHost[0]!.push(tcp(5500), tcp(5500), tcp(1500));
    a.turn();
    expect(a.io.sent.length).toBe(8);
    expect(a.allDrops()).toEqual({ saExpired: 6 });
  });

  test("[ESP-03] is cut short where the sequence numbers end, and what is left is counted", () => {
    const { a, b } = makePair({ selectors: PAIR, lastSequenceNumber: 4 });
    const sent = tcp(5500);
    a.io.fromHost[0]!.push(sent, udp(1500));
    a.turn();
    exchange(a.io, b.io);
    b.turn();
    expect(b.io.toHost[0]!.map(digest)).toEqual(cut(sent).slice(0, 4));
    expect(a.allDrops()).toEqual({ sequenceExhausted: 4 });
    expect(a.upcalls.map(({ kind }) => kind)).toContain("hardLimit");
  });

  test("is held whole until there is an SA, and leaves in order", () => {
    const a = makeGateway({ seed: 11 });
    const b = makeGateway({ seed: 22 });
    a.setSpd([a.protect("net/lan", PAIR)]);
    b.setSpd([b.protect("net/lan", { local: PAIR.remote, remote: PAIR.local })]);
    const sent = [udp(6100), tcp(64_000, 1360), tcp(2047), udp(40)];
    for (const one of sent) {
      a.io.fromHost[0]!.push(one);
      a.turn();
    }
    expect(acquires(a).length).toBe(1);
    expect(a.io.sent).toEqual([]);
    installPair(a, b, { selectors: PAIR });
    a.turn(5);
    exchange(a.io, b.io);
    while (b.turn(5) > 0);
    expect(b.io.toHost[0]!.map(digest)).toEqual(sent.flatMap(cut));
    expect(a.allDrops()).toEqual({});
  });

  test("without DF and one with it leave by their own way in one turn", () => {
    const { a, b } = makePair({ selectors: PAIR });
    const free: Superpacket = {
      bytes: tcpPacket({ family: 4, sourcePort: 9, sequence: 1, df: false, payload: payload(2500) }),
      segmentLength: 1000,
    };
    const bound = tcp(2500);
    a.io.fromHost[0]!.push(free, bound, free);
    a.turn();
    expect(a.io.sent.map(({ hasDf }) => hasDf)).toEqual([...Array(3).fill(true), ...Array(6).fill(false)]);
    exchange(a.io, b.io);
    b.turn();
    expect(b.io.toHost[0]!.map(digest)).toEqual([...cut(bound), ...cut(free), ...cut(free)]);
  });
});
