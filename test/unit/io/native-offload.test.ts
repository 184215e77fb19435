/** Superpackets cut and made: what goes in comes out, whatever it is; files and sockets stand in for the device. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { toHex } from "../../../src/base/bytes.ts";
import {
  createFrameBatch,
  FRAME_OCTETS_MAX,
  FRAME_PLAIN,
  FRAME_SEGMENTS_MAX,
} from "../../../src/base/frame-batch.ts";
import { IpAddress } from "../../../src/base/ip-address.ts";
import { PACKET_NO_KEY, PACKET_OK } from "../../../src/base/packet-batch.ts";
import { createNativeSaTable, type NativeSaTable } from "../../../src/io/native-memory.ts";
import { createNativePacketIo, type NativePacketIo } from "../../../src/io/native-packet-io.ts";
import { closeFd, openUdpSocket, sendDatagram, type UdpSocket } from "../../../src/io/native-socket.ts";
import { allPackets, octets, packets } from "../esp/engine-suites.ts";
import { describeNative } from "./native-addon.ts";
import {
  ACK,
  CWR,
  FIN,
  finish,
  framesOf,
  GSO_TCP4,
  GSO_TCP6,
  GSO_UDP,
  headersOf,
  PSH,
  segmentsOf,
  type TcpFields,
  tcpPacket,
  type UdpFields,
  udpPacket,
  withVnetHeader,
} from "./tcp-segments.ts";

const LOOPBACK = IpAddress(Uint8Array.of(127, 0, 0, 1));
const FAMILIES = [4, 6] as const;

let sa: NativeSaTable;
const ios: NativePacketIo[] = [];
beforeEach(() => {
  sa = createNativeSaTable({ slots: 1, endpoints: 1, policies: 1, lanes: 1 });
});
afterEach(() => {
  for (const io of ios.splice(0)) io.close();
  closeFd(sa.fd);
});

function ioOver(fd: number): NativePacketIo {
  const io = createNativePacketIo({ table: sa, tuns: [fd], sockets: [] });
  ios.push(io);
  return io;
}

describeNative("superpackets from the host", () => {
  let device: UdpSocket;
  let host: UdpSocket;
  let io: NativePacketIo;
  beforeEach(() => {
    device = openUdpSocket({ family: 4, address: LOOPBACK, port: 0, mergesReceived: false });
    host = openUdpSocket({ family: 4, address: LOOPBACK, port: 0 });
    io = ioOver(device.fd);
  });
  afterEach(() => {
    closeFd(device.fd);
    closeFd(host.fd);
  });
  const deliver = (frame: Uint8Array) =>
    expect(sendDatagram(host, { address: LOOPBACK, port: device.localPort }, frame)).toBeUndefined();
  interface Frame {
    readonly bytes: string;
    readonly kind: number;
    readonly segmentLength: number;
    readonly segments: number;
    readonly packetLength: number;
  }
  const plain = (packet: Uint8Array): Frame => ({
    bytes: toHex(packet),
    kind: FRAME_PLAIN,
    segmentLength: 0,
    segments: 1,
    packetLength: packet.length,
  });
  const readAll = (capacity = 64) => {
    const batch = createFrameBatch(capacity, 3 * FRAME_OCTETS_MAX);
    const all: Frame[] = [];
    do {
      io.readTun(0, batch);
      expect([...batch.cursor]).toEqual([0, 0]);
      allPackets(batch).forEach((packet, i) => {
        expect(batch.offset[i]! % 64).toBe(0);
        all.push({
          bytes: toHex(packet),
          kind: batch.kind[i]!,
          segmentLength: batch.segmentLength[i]!,
          segments: batch.segments[i]!,
          packetLength: batch.packetLength[i]!,
        });
      });
    } while (batch.count > 0);
    return all;
  };

  for (const family of FAMILIES) {
    const gsoType = family === 4 ? GSO_TCP4 : GSO_TCP6;
    const superpacket = (fields: Partial<TcpFields> = {}) =>
      tcpPacket({
        family,
        sourcePort: 9,
        sequence: 0xfffffff0,
        payload: octets(10_000),
        id: 0xfffe,
        ...fields,
      });

    test(`IPv${family}: a superpacket stays whole, with what it is to be cut into`, () => {
      const packet = finish(superpacket({ flags: ACK | PSH | FIN | CWR }).slice(), true);
      deliver(withVnetHeader(packet, { flags: 1, gsoType: gsoType | 0x80, segment: 1400 }));
      const headers = headersOf(packet);
      expect(readAll()).toEqual([
        {
          bytes: toHex(packet),
          kind: gsoType,
          segmentLength: 1400,
          segments: 8,
          packetLength: headers + 1400,
        },
      ]);
      expect(io.counters().superpacketsRead).toBe(1);
    });

    test(`IPv${family}: of UDP likewise`, () => {
      const packet = udpPacket({ family, sourcePort: 9, payload: octets(2100) });
      deliver(withVnetHeader(finish(packet.slice(), true), { flags: 1, gsoType: GSO_UDP, segment: 1000 }));
      const open = finish(packet.slice(), true);
      const headers = headersOf(packet);
      const columns = { segmentLength: 1000, segments: 3, packetLength: headers + 1000 };
      expect(readAll()).toEqual([{ bytes: toHex(open), kind: GSO_UDP, ...columns }]);
    });

    test(`IPv${family}: a batch that is full goes on with the next, and reads only what is sure to fit`, () => {
      const packets = [40_000, 50, 50_000, 60_000, 60, 1000].map((length, i) =>
        superpacket({ payload: octets(length, i) }),
      );
      for (const packet of packets) deliver(withVnetHeader(packet, { gsoType, segment: 1000 }));
      const batch = createFrameBatch(4, 3 * FRAME_OCTETS_MAX);
      const counts: number[] = [];
      const all: Uint8Array[] = [];
      for (let turn = 0; turn < 4; turn++) {
        io.readTun(0, batch);
        counts.push(batch.count);
        all.push(...allPackets(batch));
      }
      // After 90 KB there is room for one more frame of any length, after 150 KB there is none.
      expect(counts).toEqual([4, 2, 0, 0]);
      expect(all.map(toHex)).toEqual(packets.map(toHex));
    });

    test(`IPv${family}: with more segments than one may have it is dropped and counted`, () => {
      const packet = superpacket({ payload: octets(FRAME_SEGMENTS_MAX * 7 + 1) });
      deliver(withVnetHeader(packet, { gsoType, segment: 7 }));
      deliver(withVnetHeader(packet.subarray(0, 0), { gsoType, segment: 7 }));
      const most = superpacket({ payload: octets(FRAME_SEGMENTS_MAX * 7) });
      deliver(withVnetHeader(most, { gsoType, segment: 7 }));
      expect(readAll().map(({ segments }) => segments)).toEqual([FRAME_SEGMENTS_MAX]);
      expect(io.counters().tinySegments).toBe(1);
    });

    test(`IPv${family}: headers that make no sense are dropped and counted`, () => {
      const packet = superpacket();
      const tcp = packet.length - 10_020;
      const bad: Uint8Array[] = [
        withVnetHeader(packet, { gsoType, segment: 0 }),
        withVnetHeader(packet, { gsoType: gsoType ^ 5, segment: 1000 }),
        withVnetHeader(packet, { gsoType: 3, segment: 1000 }),
        withVnetHeader(packet, { gsoType: GSO_UDP, segment: 1000 }),
        withVnetHeader(packet.subarray(0, packet.length - 1), { gsoType, segment: 1000 }),
        withVnetHeader(packet.subarray(0, 19), { gsoType, segment: 1000 }),
        withVnetHeader(superpacket({ payload: new Uint8Array(0) }), { gsoType, segment: 1000 }),
      ];
      for (const [at, value] of [
        [0, 0x50],
        [family === 4 ? 9 : 6, 17],
        [tcp + 12, 0x40],
        [tcp + 12, 0xf0],
      ] as const) {
        const copy = at === tcp + 12 && value === 0xf0 ? packet.slice(0, tcp + 30) : packet.slice();
        copy[at] = value;
        if (at !== 0) finish(copy);
        copy[at] = value;
        bad.push(withVnetHeader(copy, { gsoType, segment: 1000 }));
      }
      for (const frame of bad) deliver(frame);
      expect(readAll()).toEqual([]);
      expect(io.counters().badVnetHeader).toBe(bad.length);
    });
  }

  test("a checksum that the host left open is finished", () => {
    const packet = tcpPacket({ family: 4, sourcePort: 1, sequence: 5, payload: octets(101) });
    const open = finish(packet.slice(), true);
    deliver(withVnetHeader(open, { flags: 1, checksumStart: 20, checksumOffset: 16 }));
    expect(readAll()).toEqual([plain(packet)]);
    for (const [checksumStart, checksumOffset] of [
      [packet.length, 0],
      [20, packet.length - 21],
      [0xffff, 0xffff],
      [20, 15],
    ])
      deliver(
        withVnetHeader(open, { flags: 1, checksumStart: checksumStart!, checksumOffset: checksumOffset! }),
      );
    expect(readAll()).toEqual([]);
    expect(io.counters().badVnetHeader).toBe(4);
  });

  test("whatever else comes is a packet as it is, or nothing", () => {
    const anything = fc.uint8Array({ maxLength: 300 });
    const almost = fc
      .record({
        family: fc.constantFrom(...FAMILIES),
        cut: fc.nat(200),
        at: fc.nat(90),
        value: fc.nat(255),
        gsoType: fc.constantFrom(0, 1, 4, 0x81, 0x84, 3, 5, 0x85, 255),
        segment: fc.constantFrom(0, 1, 7, 60, 65_535),
        flags: fc.nat(3),
      })
      .map(({ family, cut, at, value, ...vnet }) => {
        const packet = tcpPacket({ family, sourcePort: 1, sequence: 1, payload: octets(200) });
        packet[at] = value;
        return withVnetHeader(packet.subarray(0, packet.length - cut), { ...vnet, checksumStart: at });
      });
    fc.assert(
      fc.property(fc.oneof(anything, almost), (frame) => {
        deliver(frame);
        const all = readAll();
        expect(all.length).toBeLessThan(2);
        for (const { bytes, segments, packetLength, kind } of all) {
          expect(bytes.length).toBeGreaterThan(0);
          expect(packetLength * 2).toBeLessThanOrEqual(bytes.length);
          expect(segments).toBeGreaterThan(0);
          expect([FRAME_PLAIN, GSO_TCP4, GSO_TCP6, GSO_UDP]).toContain(kind);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describeNative("superpackets for the host", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "tungate-tun-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** What the device would get of these packets. */
  function write(
    contents: readonly Uint8Array[],
    change?: (batch: ReturnType<typeof packets>) => void,
    isInParts = false,
  ) {
    const path = join(folder, "device");
    const fd = openSync(path, "w+");
    const io = ioOver(fd);
    const batch = packets(contents);
    change?.(batch);
    const framesAfter: number[] = [];
    if (isInParts)
      for (let next = 0; next < batch.count; framesAfter.push(framesOf(readFileSync(path)).length))
        next = io.writeTunSome(0, batch, next);
    else io.writeTun(0, batch);
    closeSync(fd);
    return { frames: framesOf(readFileSync(path)), framesAfter, batch, counters: io.counters() };
  }

  /** The packets that the frames stand for. */
  const unmerged = (frames: ReturnType<typeof framesOf>) =>
    frames.flatMap(({ vnet, packet }) => (vnet.gsoType === 0 ? [packet] : segmentsOf(packet, vnet.segment)));

  const stream = (family: 4 | 6, lengths: readonly number[], fields: Partial<TcpFields> = {}) => {
    let sequence = fields.sequence ?? 1000;
    return lengths.map((length, i) => {
      const packet = tcpPacket({
        family,
        sourcePort: 9,
        id: i,
        payload: octets(length, i),
        ...fields,
        sequence,
      });
      sequence = (sequence + length) >>> 0;
      return packet;
    });
  };

  for (const family of FAMILIES) {
    test(`IPv${family}: consecutive segments become one, checksum left to the device`, () => {
      const contents = stream(family, [1000, 1000, 1000, 400], { sequence: 0xfffffc00 });
      const { frames, batch, counters } = write(contents);
      expect(frames.length).toBe(1);
      const [{ vnet, packet } = frames[0]!] = frames;
      const ip = family === 4 ? 20 : 40;
      expect(vnet).toEqual({
        flags: 1,
        gsoType: family === 4 ? GSO_TCP4 : GSO_TCP6,
        headerLength: ip + 20,
        segment: 1000,
        checksumStart: ip,
        checksumOffset: 16,
      });
      expect(toHex(packet)).toBe(toHex(finish(packet.slice(), true)));
      expect(unmerged(frames).map(toHex)).toEqual(contents.map(toHex));
      expect([...batch.status.subarray(0, 4)]).toEqual([0, 0, 0, 0]);
      expect(counters.superpacketsWritten).toBe(1);
    });

    test(`IPv${family}: a shorter or a pushed segment ends a run`, () => {
      const short = write(stream(family, [1000, 1000, 900, 1000, 1000]));
      expect(short.frames.map(({ packet }) => packet.length - headersOf(packet))).toEqual([2900, 2000]);
      const contents = stream(family, [1000, 1000, 1000]);
      contents[1] = tcpPacket({
        family,
        sourcePort: 9,
        id: 1,
        sequence: 2000,
        payload: octets(1000, 1),
        flags: ACK | PSH,
      });
      const { frames } = write(contents);
      expect(frames.map(({ packet }) => packet.length - headersOf(packet))).toEqual([2000, 1000]);
      expect(unmerged(frames).map(toHex)).toEqual(contents.map(toHex));
    });

    const second: Partial<TcpFields>[] = [
      { sequence: 2001 },
      { sequence: 1000 },
      { flags: ACK | FIN },
      { flags: ACK | CWR },
      { flags: ACK | 0x40 },
      { flags: ACK | 0x20 },
      { flags: ACK | 0x02 },
      { flags: 0 },
      { sourcePort: 10 },
      { tos: 4 },
      { tos: 3 },
      { hops: 63 },
      { window: 501 },
      { acknowledgement: 78 },
      { options: Uint8Array.of(1, 1, 1, 1) },
      { payload: octets(1001) },
      { payload: new Uint8Array(0) },
      ...(family === 4 ? [{ id: 7, df: false }, { df: false }, { id: 9 }] : []),
    ];
    test.each(second)(`IPv${family}: not merged with a segment that differs in %o`, (change) => {
      const base = { family, sourcePort: 9, payload: octets(1000) } as const;
      const contents = [
        tcpPacket({ ...base, sequence: 1000, id: 4 }),
        tcpPacket({ ...base, sequence: 2000, id: 5, ...change }),
      ];
      const { frames } = write(contents);
      expect(frames.map(({ packet }) => toHex(packet))).toEqual(contents.map(toHex));
      expect(frames.every(({ vnet }) => vnet.gsoType === 0 && vnet.flags === 0)).toBe(true);
    });

    test(`IPv${family}: a damaged segment stays damaged and alone`, () => {
      const contents = stream(family, [1000, 1000, 1000]);
      contents[1]![500]! ^= 1;
      const { frames } = write(contents);
      expect(frames.map(({ packet }) => toHex(packet))).toEqual(contents.map(toHex));
    });
  }

  for (const family of FAMILIES) {
    const datagrams = (lengths: readonly number[], fields: Partial<UdpFields> = {}) =>
      lengths.map((length, i) =>
        udpPacket({ family, sourcePort: 9, id: 100 + i, payload: octets(length, i), ...fields }),
      );

    test(`IPv${family}: datagrams of one flow and length become one, the last may be shorter`, () => {
      const contents = datagrams([1000, 1000, 1000, 1, 1000, 1000]);
      const { frames, counters } = write(contents);
      const ip = family === 4 ? 20 : 40;
      expect(frames.map(({ vnet, packet }) => [vnet.gsoType, vnet.segment, packet.length - ip - 8])).toEqual([
        [GSO_UDP, 1000, 3001],
        [GSO_UDP, 1000, 2000],
      ]);
      for (const { vnet, packet } of frames) {
        expect(vnet).toMatchObject({ flags: 1, headerLength: ip + 8, checksumStart: ip, checksumOffset: 6 });
        expect(toHex(packet)).toBe(toHex(finish(packet.slice(), true)));
      }
      expect(unmerged(frames).map(toHex)).toEqual(contents.map(toHex));
      expect(counters.superpacketsWritten).toBe(2);
    });

    const other: Partial<UdpFields>[] = [
      { payload: octets(1001) },
      { payload: new Uint8Array(0) },
      { sourcePort: 10 },
      { tos: 4 },
      { tos: 3 },
      { hops: 63 },
      ...(family === 4 ? [{ id: 7, df: false }, { df: false }, { id: 9 }] : []),
    ];
    test.each(other)(`IPv${family}: not merged with a datagram that differs in %o`, (change) => {
      const base = { family, sourcePort: 9, payload: octets(1000) } as const;
      const contents = [udpPacket({ ...base, id: 4 }), udpPacket({ ...base, id: 5, ...change })];
      const { frames } = write(contents);
      expect(frames.map(({ packet }) => toHex(packet))).toEqual(contents.map(toHex));
    });

    test(`IPv${family}: datagrams that are damaged or have no checksum stay as they are`, () => {
      const contents = datagrams([1000, 1000, 1000, 1000, 1000, 1000]);
      const udp = family === 4 ? 20 : 40;
      contents[1]![500]! ^= 1;
      contents[3]!.fill(0, udp + 6, udp + 8);
      contents[4]![udp + 5]! ^= 1;
      const { frames } = write(contents);
      expect(frames.map(({ packet }) => toHex(packet))).toEqual(contents.map(toHex));
    });
  }

  test("a damaged IPv4 header stays damaged", () => {
    const contents = stream(4, [1000, 1000]);
    for (const packet of contents) packet[10]! ^= 1;
    const { frames } = write(contents);
    expect(frames.map(({ packet }) => toHex(packet))).toEqual(contents.map(toHex));
  });

  test("runs stay below 64 KiB and 64 segments", () => {
    const long = write(stream(4, new Array(50).fill(2000)));
    expect(long.frames.every(({ packet }) => packet.length <= 65_535)).toBe(true);
    expect(long.frames.length).toBe(2);
    const many = write(stream(4, new Array(130).fill(100)));
    expect(many.frames.map(({ packet }) => (packet.length - 40) / 100)).toEqual([64, 64, 2]);
  });

  test("packets whose status is not OK are not written", () => {
    const contents = stream(4, [1000, 1000, 1000]);
    const { frames, batch } = write(contents, (given) => {
      given.status[1] = PACKET_NO_KEY;
    });
    expect(frames.map(({ packet }) => toHex(packet))).toEqual([toHex(contents[0]!), toHex(contents[2]!)]);
    expect([...batch.status.subarray(0, 3)]).toEqual([PACKET_OK, PACKET_NO_KEY, PACKET_OK]);
  });

  test("a long batch is written in parts, of so many writes that the answers fit the device's queue", () => {
    const acknowledgements = Array.from({ length: 100 }, (_, i) =>
      tcpPacket({ family: 4, sourcePort: i, sequence: 1, payload: new Uint8Array(0) }),
    );
    const { frames, framesAfter } = write(acknowledgements, undefined, true);
    expect(framesAfter).toEqual([32, 64, 96, 100]);
    expect(frames.map(({ packet }) => toHex(packet))).toEqual(acknowledgements.map(toHex));
    const data = stream(4, new Array(200).fill(1000));
    expect(write(data, undefined, true).framesAfter).toEqual([4]);
  });

  test("every flow comes out as it went in, whatever is mixed", () => {
    const step = fc.record({
      flow: fc.nat(11),
      family: fc.constantFrom(...FAMILIES),
      length: fc.constantFrom(0, 1, 99, 100, 100, 100, 100),
      flags: fc.constantFrom(ACK, ACK, ACK, ACK, ACK | PSH, ACK | FIN),
      gap: fc.constantFrom(0, 0, 0, 0, 0, 5),
      // Past the addresses and ports, so that the flow stays the same.
      damage: fc.constantFrom(-1, -1, -1, -1, 5, 14, 16, 22),
      tos: fc.constantFrom(0, 0, 0, 2),
      isUdp: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 128 }), fc.boolean(), (steps, isInParts) => {
        const next = new Map<number, { sequence: number; id: number }>();
        const contents = steps.map(({ flow, family, length, flags, gap, damage, tos, isUdp }, i) => {
          const state = next.get(flow) ?? { sequence: 0xffffff00, id: flow * 100 };
          const sequence = (state.sequence + gap) >>> 0;
          next.set(flow, { sequence: (sequence + length) >>> 0, id: state.id + 1 });
          const payload = octets(length, i);
          const fields = { family, sourcePort: flow, id: state.id, payload, tos };
          const packet = isUdp ? udpPacket(fields) : tcpPacket({ ...fields, sequence, flags });
          const at = damage + (family === 4 ? 20 : 40);
          if (damage >= 0 && at < packet.length) packet[at]! ^= 0x10;
          return packet;
        });
        const { frames } = write(contents, undefined, isInParts);
        const byFlow = (all: readonly Uint8Array[]) => {
          const flows: Record<string, string[]> = {};
          for (const packet of all) {
            const ip = packet[0]! >> 4 === 4 ? 20 : 40;
            const protocol = packet[ip === 20 ? 9 : 6];
            const key = `${protocol} ${ip} ${toHex(packet.subarray(ip, ip + 4))}`;
            flows[key] = [...(flows[key] ?? []), toHex(packet)];
          }
          return flows;
        };
        expect(byFlow(unmerged(frames))).toEqual(byFlow(contents));
      }),
      { numRuns: 150 },
    );
  });
});
