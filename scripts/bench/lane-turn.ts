/**
 * What a lane's decisions cost per packet, without crypto and system calls: `tsx scripts/bench/lane-turn.ts`.
 * Prints nanoseconds of CPU time and octets of garbage per packet; asserts nothing.
 */
import { createFrameBatch, type FrameBatch } from "../../src/base/frame-batch.ts";
import { Instant } from "../../src/base/instant.ts";
import {
  DATAGRAM_META_STRIDE,
  META_FAMILY,
  META_LOCAL_ADDRESS,
  META_LOCAL_PORT,
  META_REMOTE_ADDRESS,
  META_REMOTE_PORT,
  PACKET_NO_KEY,
  PACKET_OK,
  type PacketBatch,
} from "../../src/base/packet-batch.ts";
import { createDataPlane } from "../../src/dataplane/data-plane.ts";
import { createLane } from "../../src/dataplane/lane.ts";
import type { PacketIo } from "../../src/dataplane/packet-io.ts";
import type { EspEngine } from "../../src/esp/engine.ts";
import { formatSaTable, saTableRegions } from "../../src/policy/sa-table.ts";
import { compileSpd } from "../../src/policy/spd.ts";
import { writeEspHeader, writeEspTrailer } from "../../src/wire/esp/esp-packet.ts";
import {
  endpoint,
  HANDLING,
  SUITES,
  seededRandom,
  selectors,
} from "../../test/unit/dataplane/gateway-fixture.ts";
import { address, packet } from "../../test/unit/dataplane/packets.ts";

const BATCH = 128;
const FLOWS = 64;
const CELL = 512;
const TURNS = 30_000;
const FRONT = 16;
const ICV = 16;

function fill(into: PacketBatch, i: number, bytes: Uint8Array): void {
  const at = i * CELL;
  into.bytes.set(bytes, at);
  into.offset[i] = at;
  into.length[i] = bytes.length;
}

/** Moves the same packets in and out without looking at them. */
function makeIo(mode: "outbound" | "inbound" | "miss"): PacketIo & { spi: number; sequence: number } {
  const packets = Array.from({ length: FLOWS }, (_, i) =>
    packet({ source: `10.1.0.${i + 1}`, destination: "10.2.0.9", payload: new Uint8Array(100) }),
  );
  const esp = packets.map((inner) => {
    const bytes = new Uint8Array(FRONT + inner.length + 4 + ICV);
    bytes.set(inner, FRONT);
    const padLength = -(inner.length + 2) & 3;
    const end = writeEspTrailer(bytes, FRONT + inner.length, padLength, 4);
    return bytes.slice(0, end + ICV);
  });
  let port = 0;
  const io = {
    tunCount: 1,
    sockets: [{ role: "nat", family: 4, localPort: 4500 }] as const,
    spi: 0,
    sequence: 0,
    readTun(_tun: number, into: FrameBatch) {
      into.count = mode === "inbound" ? 0 : BATCH;
      for (let i = 0; i < into.count; i++) {
        fill(into, i, packets[i % FLOWS]!);
        into.segments[i] = 1;
        into.packetLength[i] = into.length[i]!;
        if (mode !== "miss") continue;
        port = (port + 1) & 0xffff;
        into.bytes[into.offset[i]! + 20] = port >> 8;
        into.bytes[into.offset[i]! + 21] = port;
      }
    },
    writeTun() {},
    writeTunSome: (_tun: number, { count }: PacketBatch) => count,
    receive(_socket: number, into: PacketBatch) {
      into.count = mode === "inbound" ? BATCH : 0;
      for (let i = 0; i < into.count; i++) {
        fill(into, i, esp[i % FLOWS]!);
        writeEspHeader(into.bytes, into.offset[i]!, io.spi, ++io.sequence >>> 0);
        into.meta[i * DATAGRAM_META_STRIDE + META_FAMILY] = 4;
        into.frame[i] = 1;
      }
    },
    send() {},
  };
  return io;
}

/** Moves offsets as an engine would. */
function makeEngine(): EspEngine {
  return {
    authenticate() {},
    seal(frames, packets) {
      packets.count = 0;
      for (let i = 0; i < frames.count; i++) {
        frames.status[i] = PACKET_OK;
        frames.sealed[i] = frames.segments[i]!;
        const place = packets.count++;
        packets.frame[place] = i;
        packets.status[place] = PACKET_OK;
        packets.length[place] = frames.length[i]! + FRONT + ICV;
      }
      frames.cursor[0] = frames.count;
    },
    open(batch) {
      for (let i = 0; i < batch.count; i++) {
        const isSkipped = batch.slot[i] === 0xffffffff;
        batch.status[i] = isSkipped ? PACKET_NO_KEY : PACKET_OK;
        if (isSkipped) continue;
        batch.offset[i] = batch.offset[i]! + FRONT;
        batch.length[i] = batch.length[i]! - FRONT - ICV;
      }
    },
  };
}

function run(mode: "outbound" | "inbound" | "miss", policies: number): void {
  const size = { slots: 64, endpoints: 64, policies: 2048, lanes: 1 };
  const table = formatSaTable(new ArrayBuffer(saTableRegions(size).total), size);
  const keys = { install: () => undefined, wipe: () => undefined };
  const plane = createDataPlane({ table, keys, random: seededRandom(3) });
  const io = makeIo(mode);
  const lane = createLane({
    index: 0,
    io,
    engine: makeEngine(),
    table,
    ike: () => true,
    upcall: () => undefined,
  });
  const pair = selectors("10.1.0.0/16", "10.2.0.0/16");
  const others = Array.from({ length: policies }, (_, i) => ({
    action: "discard" as const,
    selectors: selectors("10.1.0.0/16", `11.${i >> 8}.${i & 255}.0/24`),
  }));
  const policy = { name: "net/lan", index: plane.policyIndex("net/lan") };
  lane.setSpd(0, compileSpd([...others, { action: "protect", selectors: pair, policy }]));
  const spi = plane.reserve();
  const sa = {
    spi,
    policy: "net/lan",
    suite: SUITES.aes256gcm16,
    keys: { encr: new Uint8Array(36), integ: new Uint8Array() },
    encapsulation: "udp" as const,
    local: endpoint("192.0.2.1"),
    remote: endpoint("198.51.100.2"),
    selectors: pair,
    lifetime: {},
    handling: HANDLING,
  };
  plane.execute({
    kind: "addInboundSa",
    sa: { ...sa, selectors: { local: pair.remote, remote: pair.local } },
  });
  plane.execute({ kind: "addOutboundSa", sa: { ...sa, inboundSpi: spi } });
  io.spi = spi;
  // The peer's address, once for all cells.
  const receive = io.receive.bind(io);
  io.receive = (socket, into) => {
    receive(socket, into);
    for (let i = 0; i < into.count; i++) {
      const at = i * DATAGRAM_META_STRIDE;
      into.meta.set(REMOTE, at + META_REMOTE_ADDRESS);
      into.meta.set(LOCAL, at + META_LOCAL_ADDRESS);
      into.meta[at + META_REMOTE_PORT] = 4500 & 0xff;
      into.meta[at + META_REMOTE_PORT + 1] = 4500 >> 8;
      into.meta[at + META_LOCAL_PORT] = 4500 & 0xff;
      into.meta[at + META_LOCAL_PORT + 1] = 4500 >> 8;
    }
  };
  const now = Instant(1.5);
  for (let turn = 0; turn < 3000; turn++) lane.turn(now);
  const heap = process.memoryUsage().heapUsed;
  const start = cpuNanoseconds();
  for (let turn = 0; turn < TURNS; turn++) lane.turn(now);
  const ns = (cpuNanoseconds() - start) / (TURNS * BATCH);
  const garbage = (process.memoryUsage().heapUsed - heap) / (TURNS * BATCH);
  const idle = measureIo(io, mode);
  const usage = plane.usage(spi)!;
  const carried = mode === "inbound" ? usage.inboundPackets : usage.outboundPackets;
  console.log(
    `${mode}, ${policies} other policies: ${(ns - idle).toFixed(0)} ns per packet besides ${idle.toFixed(0)} ns of copying,` +
      ` ${garbage.toFixed(3)} octets of garbage; carried ${carried} of ${(TURNS + 3000) * BATCH}`,
  );
}

/** Of this process: the machine may do other things. */
function cpuNanoseconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1000;
}

const REMOTE = address("198.51.100.2");
const LOCAL = address("192.0.2.1");

/** What the memory device itself costs. */
function measureIo(io: PacketIo, mode: string): number {
  const batch = createFrameBatch(BATCH, BATCH * CELL);
  const start = cpuNanoseconds();
  for (let turn = 0; turn < TURNS; turn++) {
    if (mode === "inbound") io.receive(0, batch);
    else io.readTun(0, batch);
  }
  return (cpuNanoseconds() - start) / (TURNS * BATCH);
}

for (const mode of ["outbound", "inbound", "miss"] as const)
  for (const policies of [0, 1000]) run(mode, policies);
