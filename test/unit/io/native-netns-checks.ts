/** What needs a network namespace of its own: TUN devices and raw sockets against the kernel. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { createFrameBatch, FRAME_OCTETS_MAX } from "../../../src/base/frame-batch.ts";
import { IpAddress, parseIpAddress } from "../../../src/base/ip-address.ts";
import {
  createArenaBatch,
  createReceiveBatch,
  META_FAMILY,
  META_LOCAL_ADDRESS,
  META_REMOTE_ADDRESS,
  PACKET_NOT_SENT,
  PACKET_OK,
  PACKET_TOO_BIG,
  type PacketBatch,
} from "../../../src/base/packet-batch.ts";
import { IoError, type IoErrorCode } from "../../../src/io/io-error.ts";
import { createNativeEspEngine } from "../../../src/io/native-esp-engine.ts";
import { createNativeKeyStore, createNativeSaTable } from "../../../src/io/native-memory.ts";
import { createNativePacketIo } from "../../../src/io/native-packet-io.ts";
import {
  closeFd,
  openRawSocket,
  openTun,
  openUdpSocket,
  sendDatagram,
} from "../../../src/io/native-socket.ts";
import { createWaiter, createWake, READY_ERROR, READY_READ } from "../../../src/io/native-wait.ts";
import { EndpointRecord } from "../../../src/policy/sa-table.ts";
import { allPackets, assign, GCM_128, installPair, octets, packetOf, packets } from "../esp/engine-suites.ts";
import { type Capture, captureOf, nextToOthers, settings } from "./native-df-checks.ts";
import { fragmentCheck } from "./native-fragment-checks.ts";
import { outerSocketsOfLanes, rawLanes } from "./native-steering-checks.ts";
import type { Checks } from "./netns-checks.ts";
import { lengthOf } from "./tcp-segments.ts";

const ip = (...words: string[]) =>
  execFileSync("ip", words, { stdio: ["ignore", "pipe", "pipe"] }).toString();
const address = (text: string) => IpAddress(parseIpAddress(text)!);
const FRAMES_OCTETS = 4 * FRAME_OCTETS_MAX;
const wakeFd = createWake();
const sa = createNativeSaTable({ slots: 4, endpoints: 8, policies: 4, lanes: 1 });

function endpoint(index: number, remote: string, encapsulation: 0 | 1, port = 0, local?: string): void {
  const at = sa.table.regions.endpoints + index * EndpointRecord.STRIDE;
  const octetsOf = address(remote);
  sa.table.bytes.fill(0, at, at + EndpointRecord.STRIDE);
  sa.table.bytes.set(octetsOf, at);
  if (local !== undefined) sa.table.bytes.set(address(local), at + EndpointRecord.LOCAL_ADDRESS);
  new DataView(sa.table.bytes.buffer, at).setUint16(EndpointRecord.REMOTE_PORT, port, true);
  sa.table.bytes[at + EndpointRecord.FAMILY] = octetsOf.length === 4 ? 4 : 6;
  sa.table.bytes[at + EndpointRecord.ENCAPSULATION] = encapsulation;
}

/** A device with addresses, up, and the transfers of its first queue. */
function device(name: string, takesSuperpackets = true) {
  const tun = openTun(name, 1, { tcp: takesSuperpackets, udp: takesSuperpackets });
  ip("addr", "add", "10.77.0.1/24", "dev", tun.name);
  ip("addr", "add", "fd77::1/64", "dev", tun.name, "nodad");
  ip("link", "set", tun.name, "up");
  const io = createNativePacketIo({ table: sa, tuns: tun.queues, sockets: [] });
  return { tun, io, close: () => tun.queues.forEach(closeFd) };
}

/** Reads until a packet fulfils `wanted`; the kernel sends router solicitations and the like of its own. */
function readUntil(
  io: ReturnType<typeof device>["io"],
  fd: number,
  wanted: (packet: Uint8Array) => boolean,
  into = createFrameBatch(64, FRAMES_OCTETS),
): Uint8Array {
  const waiter = createWaiter([fd], wakeFd);
  for (let tries = 0; tries < 20; tries++) {
    io.readTun(0, into);
    const found = allPackets(into).find(wanted);
    if (found !== undefined) return found;
    waiter.wait(500);
  }
  throw new Error("no such packet came out of the device");
}

function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function echoRequest(payload: Uint8Array): Uint8Array {
  const packet = new Uint8Array(28 + payload.length);
  const view = new DataView(packet.buffer);
  packet.set([0x45, 0, 0, 0, 0, 7, 0, 0, 64, 1, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1]);
  view.setUint16(2, packet.length);
  view.setUint16(10, checksum(packet.subarray(0, 20)));
  packet.set([8, 0, 0, 0, 0x12, 0x34, 0, 1], 20);
  packet.set(payload, 28);
  view.setUint16(22, checksum(packet.subarray(20)));
  return packet;
}

const isEchoReply = (packet: Uint8Array) => packet[0] === 0x45 && packet[9] === 1 && packet[20] === 0;
const isUdp4 = (packet: Uint8Array) => packet[0] === 0x45 && packet[9] === 17;
const hasDf = (packet: Uint8Array) => (packet[6]! & 0x40) !== 0;

async function sendUdp(family: 4 | 6, to: string, payload: Uint8Array): Promise<void> {
  const socket = createSocket(family === 4 ? "udp4" : "udp6");
  await new Promise<void>((resolve, reject) =>
    socket.send(payload, 7777, to, (error) => (error === null ? resolve() : reject(error))),
  );
  socket.close();
}

function refused(code: IoErrorCode, pattern: RegExp, call: () => unknown): void {
  assert.throws(call, (error) => {
    assert.ok(error instanceof IoError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, pattern);
    return true;
  });
}

function rawCheck(family: 4 | 6, from: string, to: string): void {
  const [sender, receiver] = [openRawSocket({ family }), openRawSocket({ family, address: address(to) })];
  const io = createNativePacketIo({
    table: sa,
    tuns: [],
    sockets: [sender, receiver].map((socket) => ({ ...socket, role: "esp", localPort: 0 })),
  });
  endpoint(0, to, 0, 0, from);
  endpoint(1, to, 1, 4500, from);
  const batch = packets([octets(64), octets(9), octets(1400)]);
  batch.endpoint.set([0, 1, 0]);
  batch.tos.set([0x28, 0, 0x2b]);
  io.send(0, batch);
  assert.deepEqual([...batch.status.subarray(0, 3)], [PACKET_OK, PACKET_NOT_SENT, PACKET_OK]);
  const into = createReceiveBatch(8);
  io.receive(1, into);
  assert.deepEqual(allPackets(into), [octets(64), octets(1400)]);
  assert.deepEqual([...into.tos.subarray(0, 2)], [0x28, 0x2b]);
  const length = family === 4 ? 4 : 16;
  assert.equal(into.meta[META_FAMILY], family);
  assert.deepEqual(
    into.meta.slice(META_REMOTE_ADDRESS, META_REMOTE_ADDRESS + length),
    new Uint8Array(address(from)),
  );
  assert.deepEqual(
    into.meta.slice(META_LOCAL_ADDRESS, META_LOCAL_ADDRESS + length),
    new Uint8Array(address(to)),
  );
  assert.deepEqual(into.meta.slice(32, 36), new Uint8Array(4));
  for (const { fd } of [sender, receiver]) closeFd(fd);
}

async function bothWays(): Promise<void> {
  const { tun, io, close } = device("tgn0");
  const batch = packets([echoRequest(octets(56)), echoRequest(octets(1))]);
  io.writeTun(0, batch);
  assert.deepEqual([...batch.status.subarray(0, 2)], [PACKET_OK, PACKET_OK]);
  const reply = readUntil(io, tun.queues[0]!, isEchoReply);
  assert.deepEqual(reply.subarray(28), octets(56));
  assert.equal(checksum(reply.subarray(20)), 0);

  await sendUdp(4, "10.77.0.2", octets(33));
  const udp = readUntil(io, tun.queues[0]!, isUdp4);
  assert.deepEqual(udp.subarray(28), octets(33));
  const pseudo = [...udp.subarray(12, 20), 0, 17, ...udp.subarray(24, 26), ...udp.subarray(20)];
  assert.equal(checksum(Uint8Array.from(pseudo)), 0);

  await sendUdp(6, "fd77::2", octets(44));
  const udp6 = readUntil(io, tun.queues[0]!, (packet) => packet[0]! >> 4 === 6 && packet[6] === 17);
  assert.deepEqual(udp6.subarray(48), octets(44));
  close();
}

async function fullBatches(): Promise<void> {
  const { tun, io, close } = device("tgn1");
  ip("link", "set", tun.name, "txqueuelen", "1000");
  const into = createFrameBatch(16, FRAMES_OCTETS);
  do io.readTun(0, into);
  while (into.count > 0);
  for (let i = 0; i < 40; i++) await sendUdp(4, "10.77.0.2", octets(20, i));
  const seen: Uint8Array[] = [];
  for (let turn = 0; turn < 10; turn++) {
    io.readTun(0, into);
    assert.equal(into.count <= 16, true);
    seen.push(...allPackets(into).filter(isUdp4));
  }
  assert.deepEqual(
    seen.map((packet) => packet.slice(28)),
    Array.from({ length: 40 }, (_, i) => octets(20, i)),
  );
  close();
}

function refusedWrites(): void {
  const { tun, io, close } = device("tgn3");
  const nonsense: PacketBatch = packets([new Uint8Array(40), echoRequest(octets(5)), new Uint8Array(0)]);
  io.writeTun(0, nonsense);
  assert.deepEqual([...nonsense.status.subarray(0, 3)], [PACKET_NOT_SENT, PACKET_OK, PACKET_NOT_SENT]);
  ip("link", "set", tun.name, "down");
  const batch = packets([echoRequest(octets(5))]);
  io.writeTun(0, batch);
  assert.equal(batch.status[0], PACKET_NOT_SENT);
  assert.equal(io.counters().tunWriteErrors, 3);
  const into = createFrameBatch(64, FRAMES_OCTETS);
  do io.readTun(0, into);
  while (into.count > 0);
  assert.equal(io.counters().readErrors, 0);
  ip("link", "delete", tun.name);
  io.readTun(0, into);
  assert.equal(into.count, 0);
  assert.equal(io.counters().readErrors, 1);
  const waiter = createWaiter(tun.queues, wakeFd);
  assert.equal(waiter.wait(5000), 1);
  assert.equal(waiter.ready[0]! & READY_ERROR, READY_ERROR);
  close();
}

async function devicesOfOthers(): Promise<void> {
  ip("tuntap", "add", "mode", "tun", "name", "tgs0");
  const single = openTun("tgs0", 1);
  assert.equal(single.name, "tgs0");
  refused("IO_TUN_UNAVAILABLE", /another process holds it/, () => openTun("tgs0", 1));
  single.queues.forEach(closeFd);
  refused("IO_TUN_UNAVAILABLE", /tgs0.*lanes/, () => openTun("tgs0", 2));
  ip("tuntap", "add", "mode", "tun", "multi_queue", "name", "tgm0");
  const multi = openTun("tgm0", 3);
  assert.equal(new Set(multi.queues).size, 3);
  multi.queues.forEach(closeFd);
  assert.match(ip("link", "show", "tgm0"), /tgm0/);
  refused("IO_TUN_UNAVAILABLE", /no TUN device/, () => openTun("lo", 1));
  const numbered = openTun("tgx%d", 2);
  assert.equal(numbered.name, "tgx0");
  numbered.queues.forEach(closeFd);
  assert.throws(() => openTun("a-name-that-is-too-long", 1), RangeError);
  assert.throws(() => openTun("tgy0", 0), RangeError);
  assert.throws(() => openTun("tgy0", 257), RangeError);
}

async function pathMtu(): Promise<void> {
  const { tun, io: tunIo, close } = device("tgn4", false);
  const [probe, allow] = (["probe", "allow"] as const).map((fragmentation) =>
    openUdpSocket({ family: 4, address: address("10.77.0.1"), port: 0, fragmentation, mark: 5 }),
  );
  endpoint(0, "10.77.0.2", 1, 4500, "10.77.0.1");
  const io = createNativePacketIo({
    table: sa,
    tuns: [],
    sockets: [probe!, allow!].map((socket) => ({ ...socket, role: "nat" })),
  });
  const batch = packets([octets(1472), octets(1473), octets(20)]);
  io.send(0, batch);
  assert.deepEqual([...batch.status.subarray(0, 3)], [PACKET_OK, PACKET_TOO_BIG, PACKET_OK]);
  assert.equal(hasDf(readUntil(tunIo, tun.queues[0]!, isUdp4)), true);

  const runs = packets([1473, 1473, 1473, 1400, 1000, 1000].map((length) => octets(length)));
  io.send(0, runs);
  const expected = [PACKET_TOO_BIG, PACKET_TOO_BIG, PACKET_TOO_BIG, PACKET_OK, PACKET_OK, PACKET_OK];
  assert.deepEqual([...runs.status.subarray(0, 6)], expected);
  assert.equal(io.counters().offloadRefusals, 0);
  readUntil(tunIo, tun.queues[0]!, (packet) => isUdp4(packet) && packet.length === 28 + 1000);

  const large = packets([octets(1473)]);
  io.send(1, large);
  assert.equal(large.status[0], PACKET_OK);
  const isFragment = (packet: Uint8Array) => isUdp4(packet) && (packet[6]! & 0x20) !== 0;
  assert.equal(!hasDf(readUntil(tunIo, tun.queues[0]!, isFragment)), true);
  const longRun = packets([2000, 2000, 2000, 1000, 1000].map((length) => octets(length)));
  io.send(1, longRun);
  assert.deepEqual([...longRun.status.subarray(0, 5)], new Array(5).fill(PACKET_OK));
  const runsBefore = io.counters().datagramRunsSent;
  io.send(1, packets([octets(1000), octets(1000)]));
  assert.equal(io.counters().datagramRunsSent, runsBefore + 1);

  const to = { address: address("10.77.0.2"), port: 500 };
  assert.equal(sendDatagram(probe!, to, octets(3000)), undefined);
  readUntil(tunIo, tun.queues[0]!, isFragment);
  assert.equal(sendDatagram(probe!, to, octets(30)), undefined);
  const small = readUntil(tunIo, tun.queues[0]!, (packet) => isUdp4(packet) && packet.length === 58);
  assert.equal(hasDf(small), true);
  for (const { fd } of [probe!, allow!]) closeFd(fd);
  close();
}

async function captured(check: (capture: Capture) => void | Promise<void>): Promise<void> {
  const { tun, io, close } = device("tgn6", false);
  ip("link", "set", tun.name, "txqueuelen", "10000");
  await check(captureOf(io));
  close();
}

async function readiness(): Promise<void> {
  const { tun, io, close } = device("tgn5");
  const into = createFrameBatch(64, FRAMES_OCTETS);
  await delay(50);
  do io.readTun(0, into);
  while (into.count > 0);
  const waiter = createWaiter(tun.queues, wakeFd);
  await sendUdp(4, "10.77.0.2", octets(10));
  assert.equal(waiter.wait(5000) >= 1, true);
  assert.equal(waiter.ready[0], READY_READ);
  io.readTun(0, into);
  assert.deepEqual(packetOf(into).subarray(28), octets(10));
  close();
}

/** Serves `length` octets on TCP to each client, and prints the digest of what the client sent. */
const SERVER = `
const { createHash } = require("node:crypto");
const body = Buffer.alloc(LENGTH, (i) => i).map((_, i) => (i * 31 + (i >> 9)) & 255);
require("node:net").createServer({ allowHalfOpen: true }, (socket) => {
  const hash = createHash("sha256");
  socket.on("data", (chunk) => hash.update(chunk));
  socket.on("end", () => socket.end(Buffer.concat([hash.digest(), body])));
}).listen(5001, "::", () => console.log("listening"));
`;

/** The octets that went through an echo of sorts: ours, and what the server answered to them. */
function exchange(host: string, sent: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const received: Buffer[] = [];
    const socket = connect(5001, host, () => socket.end(sent));
    socket.on("data", (chunk) => received.push(chunk));
    socket.on("end", () => resolve(Buffer.concat(received)));
    socket.on("error", reject);
    socket.setTimeout(20_000, () => reject(new Error("the transfer stands still")));
  });
}

/** Two devices in two namespaces with this process as the wire between them; TCP moves data both ways. */
async function transfer(takesSuperpackets: boolean, coalesces: boolean, isDamaging: boolean): Promise<void> {
  const [near, far] = ["tgwa", "tgwb"].map((name) =>
    openTun(name, 1, { tcp: takesSuperpackets, udp: takesSuperpackets }),
  );
  const body = TRANSFER_OCTETS;
  const server = spawn("unshare", ["--net", process.execPath, "-e", SERVER.replace("LENGTH", String(body))], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    await once(server.stdout, "data");
    const there = ["nsenter", "-t", String(server.pid), "-n", "ip"];
    const remote = (...words: string[]) => execFileSync(there[0]!, [...there.slice(1), ...words]);
    ip("link", "set", "tgwb", "netns", String(server.pid));
    for (const [run, name, host] of [
      [ip, "tgwa", "1"],
      [remote, "tgwb", "2"],
    ] as const) {
      run("addr", "add", `10.78.0.${host}/24`, "dev", name);
      run("addr", "add", `fd78::${host}/64`, "dev", name, "nodad");
      run("link", "set", name, "up");
    }
    const io = createNativePacketIo({
      table: sa,
      tuns: [near!.queues[0]!, far!.queues[0]!],
      sockets: [],
      coalesces,
    });
    const keys = createNativeKeyStore(sa);
    const engine = createNativeEspEngine(sa, keys);
    installPair({ table: sa.table, keys }, GCM_128, { outbound: 0, inbound: 1 });
    const frames = createFrameBatch(256, FRAMES_OCTETS);
    const batch = createArenaBatch(1024, 2 * FRAMES_OCTETS);
    let moved = 0;
    let isDone = false;
    /** From plaintext to plaintext; what the wire damages does not arrive, what it damages inside does. */
    const pass = (to: number) => {
      engine.seal(frames, batch);
      engine.open(assign(batch, 1));
      for (let i = 0; i < batch.count; i++) {
        batch.length[i] = lengthOf(packetOf(batch, i));
        moved++;
        if (!isDamaging) continue;
        if (moved % 101 === 0) batch.status[i] = PACKET_NOT_SENT;
        if (moved % 97 === 0) batch.bytes[batch.offset[i]! + batch.length[i]! - 1]! ^= 0x40;
      }
      io.writeTun(to, batch);
    };
    const wire = async () => {
      while (!isDone) {
        for (const [from, to] of [
          [0, 1],
          [1, 0],
        ] as const) {
          io.readTun(from, frames);
          while (frames.cursor[0]! < frames.count) pass(to);
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const wiring = wire();
    const sent = octets(body, 7);
    for (const host of ["10.78.0.2", "fd78::2"]) {
      const answer = await exchange(host, sent);
      assert.equal(answer.subarray(0, 32).toString("hex"), createHash("sha256").update(sent).digest("hex"));
      assert.equal(answer.length, 32 + body);
      const expected = Uint8Array.from({ length: body }, (_, i) => (i * 31 + (i >> 9)) & 255);
      assert.equal(Buffer.compare(answer.subarray(32), expected), 0);
    }
    isDone = true;
    await wiring;
    const counters = io.counters();
    assert.equal(counters.superpacketsRead > 0, takesSuperpackets);
    assert.equal(counters.superpacketsWritten > 0, coalesces);
    assert.equal(counters.offloadRefusals, 0);
    assert.equal(counters.badVnetHeader, 0);
    io.close();
    engine.close();
    keys.close();
  } finally {
    server.kill("SIGKILL");
    for (const { queues } of [near!, far!]) queues.forEach(closeFd);
  }
}
const TRANSFER_OCTETS = 2_000_000;

export const CHECKS: Checks = {
  "packets go both ways through a TUN device, IPv4 and IPv6, with whole checksums": bothWays,
  "a full TUN queue is read in batches, in order": fullBatches,
  "packets that the host refuses are marked, others go": refusedWrites,
  "devices that others made are opened as they were made": devicesOfOthers,
  "what exceeds the MTU is too big, or is fragmented where that is allowed": pathMtu,
  "[SPD-09] DF of the outer packet is copied, set or cleared as its SA says": () => captured(settings),
  "[SPD-09] what leaves without DF does not touch what other threads send": () => captured(nextToOthers),
  "a packet in the device makes its queue readable": readiness,
  "TCP passes with superpackets both ways": () => transfer(true, true, false),
  "TCP passes with superpackets over a wire that loses and damages packets": () => transfer(true, true, true),
  "TCP passes packet by packet": () => transfer(false, false, false),
  "raw ESP over IPv4 arrives without its IP header": () => rawCheck(4, "127.0.0.1", "127.0.0.2"),
  "raw ESP over IPv6 arrives": () => rawCheck(6, "::1", "::1"),
  "[ESP-14] of raw ESP in fragments nothing but the whole packet arrives": () => {
    const { tun, close } = device("tgn12");
    fragmentCheck(sa, tun.queues[0]!);
    close();
  },
  "raw ESP over IPv4 comes to the lane of its SPI alone": () => rawLanes(4, "127.0.0.1", "127.0.0.2"),
  "raw ESP over IPv6 comes to the lane of its SPI alone": () => rawLanes(6, "::1", "::1"),
  "AH over IPv4 comes to the lane of its SPI alone": () => rawLanes(4, "127.0.0.1", "127.0.0.2", "ah"),
  "AH over IPv6 comes to the lane of its SPI alone": () => rawLanes(6, "::1", "::1", "ah"),
  "each lane has sockets of its own, which no other gateway can join": outerSocketsOfLanes,
};
