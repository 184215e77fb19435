/** What every crypto engine makes of frames: superpackets are cut, numbered and sealed, and a full batch goes on. */
import { describe, expect, test } from "vitest";
import { toHex } from "../../../src/base/bytes.ts";
import {
  appendFrame,
  createFrameBatch,
  FRAME_PLAIN,
  FRAME_TCP4,
  FRAME_TCP6,
  FRAME_UDP,
  type FrameBatch,
} from "../../../src/base/frame-batch.ts";
import {
  createArenaBatch,
  PACKET_BAD_LENGTH,
  PACKET_OK,
  PACKET_SEQUENCE_EXHAUSTED,
  type PacketBatch,
} from "../../../src/base/packet-batch.ts";
import {
  ACK,
  CWR,
  FIN,
  headersOf,
  PSH,
  segmentsOf,
  type TcpFields,
  tcpPacket,
  udpPacket,
} from "../io/tcp-segments.ts";
import {
  allPackets,
  assign,
  CBC_128_SHA_256,
  type EngineUnderTest,
  GCM_128,
  installPair,
  NEXT_HEADER,
  octets,
  packetOf,
  plaintexts,
  SUITES,
  sealed,
  sequenceOf,
  withTrailer,
} from "./engine-suites.ts";

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const statuses = (batch: PacketBatch) => [...batch.status.subarray(0, batch.count)];
const every = (batch: PacketBatch, status: number) => new Array(batch.count).fill(status) as number[];
const TCP: Omit<TcpFields, "payload"> = { family: 4, sourcePort: 9, sequence: 1000 };

/** Frames of superpackets with segments of this many octets. */
function superpackets(contents: readonly Uint8Array[], segmentLength: number): FrameBatch {
  const batch = createFrameBatch(16, 1 << 17);
  for (const content of contents) {
    const i = appendFrame(batch, content.length);
    const is4 = content[0]! >> 4 === 4;
    const payload = content.length - headersOf(content);
    batch.bytes.set(content, batch.offset[i]);
    batch.kind[i] = content[is4 ? 9 : 6] === 17 ? FRAME_UDP : is4 ? FRAME_TCP4 : FRAME_TCP6;
    batch.segmentLength[i] = segmentLength;
    batch.segments[i] = Math.ceil(payload / segmentLength);
    batch.nextHeader[i] = NEXT_HEADER;
  }
  return batch;
}

/** @param make - a fresh engine over a table of at least 8 slots */
export function engineFramesContract(make: () => EngineUnderTest): void {
  describe("frames", () => frames(make));
  describe("full batches", () => fullBatches(make));
}

function frames(make: () => EngineUnderTest): void {
  test("[ESP-03] a superpacket is cut short at the limit", () => {
    const bench = make();
    installPair(bench, GCM_128, { sequence: 40n, limit: 43n });
    const frames = superpackets([tcpPacket({ ...TCP, payload: octets(5000) })], 1000);
    const batch = sealed(bench, frames);
    expect(frames.status[0]).toBe(PACKET_SEQUENCE_EXHAUSTED);
    expect([batch.count, frames.segments[0], frames.sealed[0], frames.cursor[0]]).toEqual([3, 5, 3, 1]);
    expect(allPackets(batch).map((packet) => view(packet).getUint32(4))).toEqual([41, 42, 43]);
    expect(sequenceOf(bench.table, 0)).toBe(43n);
  });

  const opened = (bench: EngineUnderTest, batch: FrameBatch) => {
    const into = sealed(bench, batch);
    bench.engine.open(assign(into, 1));
    expect(statuses(into)).toEqual(every(into, PACKET_OK));
    return allPackets(into);
  };

  for (const family of [4, 6] as const) {
    test(`TCP over IPv${family} is cut as a network card would, one number for each segment`, () => {
      const bench = make();
      installPair(bench, GCM_128);
      const options = Uint8Array.of(1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8);
      const flags = ACK | PSH | FIN | CWR;
      const fields = { family, sourcePort: 9, sequence: 0xfffffff0, id: 0xfffe, options, flags };
      const content = tcpPacket({ ...fields, payload: octets(10_000) });
      const segments = opened(bench, superpackets([content], 1400));
      expect(segments.map(toHex)).toEqual(
        segmentsOf(content, 1400).map((packet) => toHex(withTrailer(packet, GCM_128))),
      );
      expect(sequenceOf(bench.table, 0)).toBe(8n);
    });

    test(`UDP over IPv${family} likewise`, () => {
      const bench = make();
      installPair(bench, GCM_128);
      const content = udpPacket({ family, sourcePort: 9, id: 0xfffe, payload: octets(4100) });
      const datagrams = opened(bench, superpackets([content], 1000));
      expect(datagrams.map(toHex)).toEqual(
        segmentsOf(content, 1000).map((packet) => toHex(withTrailer(packet, GCM_128))),
      );
      expect(datagrams.length).toBe(5);
    });

    test(`the IPv${family} header is left out where it is not carried`, () => {
      const bench = make();
      installPair(bench, GCM_128);
      const content = tcpPacket({ ...TCP, family, payload: octets(3000) });
      const batch = superpackets([content, tcpPacket({ ...TCP, family, payload: octets(33) })], 1400);
      const strip = family === 4 ? 20 : 40;
      batch.kind[1] = FRAME_PLAIN;
      batch.segments[1] = 1;
      batch.strip.fill(strip);
      const whole = [...segmentsOf(content, 1400), packetOf(batch, 1)];
      expect(opened(bench, batch).map(toHex)).toEqual(
        whole.map((packet) => toHex(withTrailer(packet.subarray(strip), GCM_128))),
      );
    });
  }

  test.each(SUITES)("$name: payloads get zeros behind them up to the length that is asked for", (suite) => {
    const bench = make();
    installPair(bench, suite);
    const batch = plaintexts([10, 100, 101, 300]);
    batch.padTo.set([101, 101, 101, 101]);
    const padded = allPackets(batch).map((payload) => {
      const whole = new Uint8Array(Math.max(101, payload.length));
      whole.set(payload);
      return withTrailer(whole, suite);
    });
    expect(opened(bench, batch).map(toHex)).toEqual(padded.map(toHex));
  });

  test("endpoint, TOS and the frame that a packet was made of go along", () => {
    const bench = make();
    installPair(bench, GCM_128);
    const contents = [1, 2].map((seed) => tcpPacket({ ...TCP, payload: octets(2500, seed) }));
    const batch = superpackets(contents, 1000);
    batch.endpoint.set([7, 3]);
    batch.tos.set([0xb8, 2]);
    const into = sealed(bench, batch);
    const columns = [into.frame, into.endpoint, into.tos].map((column) => [
      ...column.subarray(0, into.count),
    ]);
    expect(columns).toEqual([
      [0, 0, 0, 1, 1, 1],
      [7, 7, 7, 3, 3, 3],
      [0xb8, 0xb8, 0xb8, 2, 2, 2],
    ]);
  });

  const bad: readonly [string, (batch: FrameBatch) => void][] = [
    ["of another family than its kind", (batch) => batch.kind.fill(FRAME_TCP6)],
    ["of another protocol than its kind", (batch) => batch.kind.fill(FRAME_UDP)],
    ["of an unknown kind", (batch) => batch.kind.fill(3)],
    ["with segments of no octets", (batch) => batch.segmentLength.fill(0)],
    ["with another number of segments", (batch) => batch.segments.fill(4)],
    ["that lost an octet", (batch) => batch.length.fill(batch.length[0]! - 1)],
    ["that is its headers alone", (batch) => batch.length.fill(40)],
    [
      "with more segments than one may have",
      (batch) => batch.segmentLength.fill(2) && batch.segments.fill(1500),
    ],
    ["with an IP header that is longer than it", (batch) => batch.bytes.fill(0x4f, 0, 1)],
    ["with a TCP header that is too short", (batch) => batch.bytes.fill(0x40, 32, 33)],
    ["with a TCP header past its end", (batch) => batch.bytes.fill(0xf0, 32, 33) && batch.length.fill(50)],
    ["that is a fragment", (batch) => batch.bytes.fill(0x20, 6, 7)],
    ["of which more than the IP header is left out", (batch) => batch.strip.fill(21)],
  ];
  test.each(bad)("a superpacket %s is refused without a number", (_, change) => {
    const bench = make();
    installPair(bench, GCM_128);
    const batch = superpackets([tcpPacket({ ...TCP, payload: octets(3000) })], 1000);
    change(batch);
    expect(sealed(bench, batch).count).toBe(0);
    expect([batch.status[0], batch.sealed[0], batch.cursor[0]]).toEqual([PACKET_BAD_LENGTH, 0, 1]);
    expect(sequenceOf(bench.table, 0)).toBe(0n);
  });

  test("a plain frame is not cut, nor is more of it left out than there is", () => {
    const bench = make();
    installPair(bench, GCM_128);
    const batch = plaintexts([100, 20, 100]);
    batch.segments[0] = 2;
    batch.strip.set([0, 20, 0]);
    expect(sealed(bench, batch).count).toBe(1);
    expect(statuses(batch)).toEqual([PACKET_BAD_LENGTH, PACKET_BAD_LENGTH, PACKET_OK]);
  });

  test("a cursor past the frames, or past the packets of one, makes nothing", () => {
    const bench = make();
    installPair(bench, GCM_128);
    const into = createArenaBatch(8, 1 << 14);
    for (const cursor of [
      [2, 0],
      [0xffffffff, 0],
      [1, 1],
      [1, 0xffffffff],
    ]) {
      const batch = plaintexts([100, 100]);
      batch.cursor.set(cursor);
      bench.engine.seal(batch, into);
      expect([into.count, batch.cursor[0]! >= 2]).toEqual([0, true]);
    }
    expect(sequenceOf(bench.table, 0)).toBe(0n);
  });
}

function fullBatches(make: () => EngineUnderTest): void {
  const suite = CBC_128_SHA_256;

  test.each([
    ["in octets", 1000, 8 * 1100],
    ["in packets", 5, 1 << 17],
  ])(
    "a batch that is full %s goes on where it stopped, and a frame is whole in one batch",
    (_, capacity, arena) => {
      const bench = make();
      installPair(bench, suite);
      const contents = [1, 2, 3, 4].map((seed) => tcpPacket({ ...TCP, payload: octets(3500, seed) }));
      const frames = superpackets(contents, 1000);
      const into = createArenaBatch(capacity, arena);
      const seen: Uint8Array[] = [];
      const counts: number[] = [];
      do {
        bench.engine.seal(frames, into);
        counts.push(into.count);
        bench.engine.open(assign(into, 1));
        expect(statuses(into)).toEqual(every(into, PACKET_OK));
        seen.push(...allPackets(into));
      } while (frames.cursor[0]! < frames.count && counts.length < 9);
      expect(counts).toEqual(capacity === 5 ? [4, 4, 4, 4] : [8, 8]);
      const expected = contents.flatMap((content) => segmentsOf(content, 1000));
      expect(seen.map(toHex)).toEqual(expected.map((packet) => toHex(withTrailer(packet, suite))));
      expect([...frames.sealed.subarray(0, 4)]).toEqual([4, 4, 4, 4]);
    },
  );

  test("a frame that no batch has room for is cut over several, one that does not fit at all is refused", () => {
    const bench = make();
    installPair(bench, suite);
    const content = tcpPacket({ ...TCP, payload: octets(7300) });
    const frames = superpackets([content, tcpPacket({ ...TCP, payload: octets(9000) })], 1000);
    const segment = frames.segmentLength;
    segment[1] = 5000;
    frames.segments[1] = 2;
    const into = createArenaBatch(3, 1 << 12);
    const seen: Uint8Array[] = [];
    const counts: number[] = [];
    do {
      bench.engine.seal(frames, into);
      counts.push(into.count);
      bench.engine.open(assign(into, 1));
      seen.push(...allPackets(into));
    } while (frames.cursor[0]! < frames.count && counts.length < 9);
    expect(counts).toEqual([3, 3, 2, 0]);
    expect(seen.map(toHex)).toEqual(
      segmentsOf(content, 1000).map((packet) => toHex(withTrailer(packet, suite))),
    );
    expect([...frames.status.subarray(0, 2)]).toEqual([PACKET_OK, PACKET_BAD_LENGTH]);
    expect([...frames.sealed.subarray(0, 2)]).toEqual([8, 0]);
    expect(sequenceOf(bench.table, 0)).toBe(8n);
  });
}
