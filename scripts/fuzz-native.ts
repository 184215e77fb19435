/** Calls the addon's batch functions with damaged packets, impossible places and changing keys; best with sanitizers. */
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  createFrameBatch,
  FRAME_OCTETS_MAX,
  FRAME_SEGMENTS_MAX,
  type FrameBatch,
} from "../src/base/frame-batch.ts";
import { IpAddress } from "../src/base/ip-address.ts";
import { createArenaBatch, type PacketBatch, RECEIVE_STRIDE } from "../src/base/packet-batch.ts";
import { createNativeEspEngine } from "../src/io/native-esp-engine.ts";
import { createNativeKeyStore, createNativeSaTable } from "../src/io/native-memory.ts";
import { createNativePacketIo } from "../src/io/native-packet-io.ts";
import { openUdpSocket, sendDatagram } from "../src/io/native-socket.ts";
import { EndpointRecord } from "../src/policy/sa-table.ts";
import { AH_GMAC_SUITES, installPair, octets, SUITES } from "../test/unit/esp/engine-suites.ts";
import { tcpPacket, udpPacket, withVnetHeader } from "../test/unit/io/tcp-segments.ts";

const USAGE = `usage: npx tsx scripts/fuzz-native.ts [--seconds N] [--seed N]
  with sanitizers: npm run build:native:sanitized, then native/test-sanitized.sh --fuzz [--seconds N] [--seed N]`;
const LOOPBACK = IpAddress(Uint8Array.of(127, 0, 0, 1));
const EXTREMES = [
  0, 1, 15, 16, 63, 64, 65, 1500, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff,
];
const ROUNDS_PER_BATCH = 20;

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "30" },
    seed: { type: "string", default: String(Date.now() % 0x7fffffff) },
    help: { type: "boolean", default: false },
  },
});
const seconds = Number(values.seconds);
const seed = Number(values.seed);
if (values.help || !(seconds > 0) || !Number.isInteger(seed)) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}

const ALL_SUITES = [...SUITES, ...AH_GMAC_SUITES];

let state = seed >>> 0;
/** A whole number below `bound` from the seeded generator (xorshift32). */
function below(bound: number): number {
  state = state === 0 ? 0x9e3779b9 : state;
  state ^= state << 13;
  state ^= state >>> 17;
  state = (state ^ (state << 5)) >>> 0;
  return Math.floor((state / 0x100000000) * bound);
}
const oneIn = (count: number) => below(count) === 0;
const anyOf = <Value>(choices: readonly Value[]) => choices[below(choices.length)]!;
const extreme = () => (oneIn(3) ? below(0x100000000) : anyOf(EXTREMES));

const folder = mkdtempSync(join(tmpdir(), "tungate-fuzz-"));
const written = openSync(join(folder, "device"), "w+");
const [device, host, receiver] = [false, true, true].map((mergesReceived) =>
  openUdpSocket({ family: 4, address: LOOPBACK, port: 0, mergesReceived }),
) as [ReturnType<typeof openUdpSocket>, ReturnType<typeof openUdpSocket>, ReturnType<typeof openUdpSocket>];
const sa = createNativeSaTable({ slots: 2 * ALL_SUITES.length, endpoints: 8, policies: 4, lanes: 1 });
const keys = createNativeKeyStore(sa);
const engine = createNativeEspEngine(sa, keys);
const io = createNativePacketIo({
  table: sa,
  tuns: [device.fd, written],
  sockets: [
    { ...host, role: "nat" },
    { ...receiver, role: "nat" },
    { ...receiver, role: "esp" },
  ],
});

function installSomewhere(): void {
  const pair = below(ALL_SUITES.length);
  const suite = ALL_SUITES[pair]!;
  if (oneIn(2)) keys.wipe(2 * pair + below(2));
  const slots = { outbound: 2 * pair, inbound: 2 * pair + 1, seed: below(256) };
  if (oneIn(2)) installPair({ table: sa.table, keys }, suite, { ...slots, esn: oneIn(2), limit: 2n ** 60n });
  if (oneIn(4)) engine.releaseStale();
}

function changeEndpoint(): void {
  const index = below(sa.table.size.endpoints);
  const at = sa.table.regions.endpoints + index * EndpointRecord.STRIDE;
  sa.table.bytes.set(LOOPBACK, at);
  new DataView(sa.table.bytes.buffer, at).setUint16(EndpointRecord.REMOTE_PORT, receiver.localPort, true);
  sa.table.bytes[at + EndpointRecord.FAMILY] = 4;
  sa.table.bytes[at + EndpointRecord.ENCAPSULATION] = 1;
  if (oneIn(3)) sa.table.bytes[at + below(EndpointRecord.STRIDE)] = below(256);
}

function segment(payloadMax: number): Uint8Array {
  const fields = { family: anyOf([4, 6] as const), sourcePort: below(3), payload: octets(below(payloadMax)) };
  const packet = oneIn(3) ? udpPacket(fields) : tcpPacket({ ...fields, sequence: 100 * below(3) });
  for (let damages = below(4); damages > 0 && oneIn(2); damages--)
    packet[below(80) % packet.length] = below(256);
  return packet;
}

/** Segments or datagrams that follow one another to one endpoint, so that runs are long, with a damage here and there. */
function fillWithRun(batch: PacketBatch): void {
  const family = anyOf([4, 6] as const);
  const isUdp = oneIn(2);
  const endpoint = below(8);
  const gap = anyOf([0, 0, 7]);
  let at = below(20);
  batch.count = 0;
  for (let i = 0; i < batch.capacity; i++) {
    const fields = { family, sourcePort: 1, id: i, payload: octets(80, i) };
    const packet = isUdp ? udpPacket(fields) : tcpPacket({ ...fields, sequence: 80 * i });
    if (at + packet.length > batch.bytes.length) break;
    if (oneIn(20)) packet[below(packet.length)]! ^= 1 << below(8);
    batch.offset[i] = oneIn(50) ? extreme() : at;
    batch.length[i] = oneIn(30) ? extreme() : packet.length;
    batch.slot[i] = below(2 * ALL_SUITES.length);
    batch.endpoint[i] = oneIn(30) ? below(9) : endpoint;
    batch.status[i] = oneIn(30) ? below(256) : 0;
    batch.tos[i] = 0;
    batch.bytes.set(packet, at);
    at += packet.length + gap;
    batch.count++;
  }
}

function fill(batch: PacketBatch): void {
  if (oneIn(3)) {
    fillWithRun(batch);
    return;
  }
  batch.count = below(batch.capacity + 1);
  for (let i = 0; i < batch.capacity; i++) {
    const at = below(batch.bytes.length);
    batch.offset[i] = oneIn(4) ? extreme() : at;
    batch.length[i] = oneIn(3) ? extreme() : 4 * below(400);
    batch.slot[i] = oneIn(10) ? extreme() : below(2 * ALL_SUITES.length);
    batch.endpoint[i] = oneIn(10) ? extreme() : below(8);
    batch.status[i] = oneIn(4) ? below(256) : 0;
    batch.sequenceHigh[i] = below(3);
    batch.tos[i] = below(256);
    const packet = segment(300);
    if (oneIn(2) || at + packet.length > batch.bytes.length) continue;
    batch.bytes.set(packet, at);
    batch.offset[i] = at;
    batch.length[i] = oneIn(5) ? below(packet.length) : packet.length;
    batch.status[i] = 0;
  }
}

function fillFrames(frames: FrameBatch): void {
  fill(frames);
  frames.cursor.set([oneIn(9) ? extreme() : 0, oneIn(9) ? extreme() : 0]);
  for (let i = 0; i < frames.capacity; i++) {
    const packet = segment(5000);
    const at = frames.offset[i]!;
    if (oneIn(2) && at + packet.length <= frames.bytes.length) {
      frames.bytes.set(packet, at);
      frames.length[i] = packet.length;
    }
    const is4 = frames.bytes[at]! >> 4 === 4;
    const isUdp = frames.bytes[at + (is4 ? 9 : 6)] === 17;
    const headers = (is4 ? 20 : 40) + (isUdp ? 8 : 20);
    frames.kind[i] = oneIn(9) ? below(256) : oneIn(4) ? 0 : isUdp ? 5 : is4 ? 1 : 4;
    frames.segmentLength[i] = oneIn(9) ? below(0x10000) : anyOf([1, 50, 1000, 1400]);
    const segments = Math.ceil((frames.length[i]! - headers) / (frames.segmentLength[i] || 1));
    frames.segments[i] = oneIn(9) ? below(0x10000) : frames.kind[i] === 0 ? 1 : segments;
    frames.strip[i] = oneIn(3) ? anyOf([20, 40, below(256)]) : 0;
    frames.padTo[i] = oneIn(5) ? below(0x10000) : 0;
    frames.nextHeader[i] = below(256);
  }
}

function deliverSuperpacket(): void {
  const packet = segment(5000);
  const frame = withVnetHeader(packet.subarray(0, packet.length - (oneIn(3) ? below(packet.length) : 0)), {
    flags: below(4),
    gsoType: oneIn(4) ? below(256) : anyOf([0, 1, 4, 5, 0x81, 0x84]),
    segment: anyOf([0, 1, 50, 1000, 0xffff]),
    checksumStart: below(100),
    checksumOffset: below(30),
    headerLength: below(0x10000),
  });
  sendDatagram(host, { address: LOOPBACK, port: device.localPort }, frame);
}

/** What was read, received or sealed lies in the arena. */
function checkPlaces(batch: PacketBatch): void {
  if (batch.count > batch.capacity) throw new Error(`${batch.count} packets`);
  for (let i = 0; i < batch.count; i++)
    if (batch.offset[i]! + batch.length[i]! > batch.bytes.length)
      throw new Error(`packet ${i} lies at ${batch.offset[i]} with ${batch.length[i]} octets`);
}

function checkFrames(frames: FrameBatch): void {
  checkPlaces(frames);
  for (let i = 0; i < frames.count; i++)
    if (
      frames.segments[i]! < 1 ||
      frames.segments[i]! > FRAME_SEGMENTS_MAX ||
      frames.packetLength[i]! > frames.length[i]!
    )
      throw new Error(`frame ${i} has ${frames.segments[i]} packets of ${frames.packetLength[i]} octets`);
}

const frames = createFrameBatch(32, 3 * FRAME_OCTETS_MAX);
const fewFrames = createFrameBatch(3, 2000);

const ACTIONS: readonly ((batch: PacketBatch) => void)[] = [
  (batch) => {
    const from = anyOf([frames, fewFrames]);
    fillFrames(from);
    for (let round = 0; round < 3; round++) {
      engine.seal(from, batch);
      checkPlaces(batch);
    }
  },
  (batch) => engine.open(batch),
  (batch) => {
    for (let i = 0; i < batch.capacity; i++)
      batch.frame[i] = oneIn(6) ? extreme() : anyOf([20, 40, below(200)]);
    engine.authenticate(batch);
  },
  (batch) => {
    ftruncateSync(written, 0);
    io.writeTun(1, batch);
  },
  (batch) => io.send(0, batch),
  (batch) => {
    deliverSuperpacket();
    const into = anyOf([frames, frames, fewFrames]);
    io.readTun(0, into);
    checkFrames(into);
    engine.seal(into, batch);
    checkPlaces(batch);
  },
  (batch) => {
    sendDatagram(host, { address: LOOPBACK, port: receiver.localPort }, octets(below(3000)));
    io.receive(1 + below(2), batch);
    checkPlaces(batch);
  },
  changeEndpoint,
  installSomewhere,
];

let rounds = 0;
const end = Date.now() + seconds * 1000;
console.log(`seed ${seed}`);
while (Date.now() < end) {
  const batch = createArenaBatch(anyOf([1, 2, 16, 64, 600]), anyOf([20, 100, 4000, 2 * RECEIVE_STRIDE]));
  for (let round = 0; round < ROUNDS_PER_BATCH; round++, rounds++) {
    fill(batch);
    anyOf(ACTIONS)(batch);
  }
}
closeSync(written);
rmSync(folder, { recursive: true });
console.log(`${rounds} rounds`, io.counters());
