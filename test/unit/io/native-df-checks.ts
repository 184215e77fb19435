/** DF of outer packets as a capture sees it: what a lane sends for each setting of an SA, and next to other threads. */
import assert from "node:assert/strict";
import { once } from "node:events";
import {
  appendFrame,
  clearFrames,
  createFrameBatch,
  type FrameBatch,
} from "../../../src/base/frame-batch.ts";
import { Instant } from "../../../src/base/instant.ts";
import { IpAddress, parseIpAddress } from "../../../src/base/ip-address.ts";
import { Spi } from "../../../src/base/spi.ts";
import { createDataPlane } from "../../../src/dataplane/data-plane.ts";
import { createLane } from "../../../src/dataplane/lane.ts";
import { createTwinEspEngine, createTwinKeyStore } from "../../../src/esp/twin-engine.ts";
import { createNativeSaTable } from "../../../src/io/native-memory.ts";
import { createNativePacketIo, type NativePacketIo } from "../../../src/io/native-packet-io.ts";
import { closeFd, openRawSocket, openUdpSocket, sendDatagram } from "../../../src/io/native-socket.ts";
import { createSystemRandom } from "../../../src/io/random.ts";
import type { Encapsulation, SaHandling } from "../../../src/policy/data-plane.ts";
import { EndpointRecord } from "../../../src/policy/sa-table.ts";
import { parseSelector } from "../../../src/policy/selector-text.ts";
import { compileSpd } from "../../../src/policy/spd.ts";
import { packet } from "../dataplane/packets.ts";
import { allPackets, octets, packets } from "../esp/engine-suites.ts";
import { typescriptWorker } from "../run-typescript.ts";
import { END, ORDER, PAUSE, SEND, SENT } from "./native-df-signals.ts";

/** The address of the capture's device, and one that it leads to. */
const HOST = "10.77.0.1";
const PEER = "10.77.0.2";
const address = (text: string) => IpAddress(parseIpAddress(text)!);
const hasDf = (outer: Uint8Array) => (outer[6]! & 0x40) !== 0;
const isFromUs = (outer: Uint8Array) => outer[0] === 0x45 && (outer[9] === 50 || outer[9] === 17);

/** What leaves through the device, in order. */
export type Capture = () => readonly Uint8Array[];

/** A capture of all that a TUN device's only queue holds. */
export function captureOf(io: NativePacketIo): Capture {
  const into = createFrameBatch(256, 1 << 19);
  return () => {
    const seen: Uint8Array[] = [];
    do {
      io.readTun(0, into);
      seen.push(...allPackets(into).filter(isFromUs));
    } while (into.count > 0);
    return seen;
  };
}

/** What a lane with an SA of this setting sends for inner packets with DF, without DF, and of IPv6. */
function dfOfLane(capture: Capture, df: SaHandling["df"], encapsulation: Encapsulation): boolean[] {
  const sa = createNativeSaTable({ slots: 4, endpoints: 4, policies: 4, lanes: 1 });
  const udp = openUdpSocket({ family: 4, address: address(HOST), port: 0 });
  const raw = openRawSocket({ family: 4, address: address(HOST) });
  const native = createNativePacketIo({
    table: sa,
    tuns: [],
    sockets: [
      { ...udp, role: "nat" },
      { ...raw, role: "esp", localPort: 0 },
    ],
  });
  const random = createSystemRandom();
  const keys = createTwinKeyStore(sa.table);
  const fromHost = [
    packet({ source: "10.1.0.1", destination: "10.2.0.1", dontFragment: true }),
    packet({ source: "10.1.0.1", destination: "10.2.0.1", dontFragment: false }),
    packet({ source: "fd01::1", destination: "fd02::1" }),
  ];
  const lane = createLane({
    index: 0,
    io: { ...native, tunCount: 1, readTun: (_, into) => fill(into, fromHost.splice(0)) },
    engine: createTwinEspEngine(sa.table, keys, random),
    table: sa.table,
    ike: () => false,
    upcall: () => true,
  });
  const dataPlane = createDataPlane({ table: sa.table, keys, random, pathMtu: () => 1500 });
  const selectors = {
    local: [parseSelector("10.1.0.0/16")!, parseSelector("fd01::/32")!],
    remote: [parseSelector("10.2.0.0/16")!, parseSelector("fd02::/32")!],
  };
  const policy = { name: "net/lan", index: dataPlane.policyIndex("net/lan") };
  lane.setSpd(0, compileSpd([{ action: "protect", selectors, policy }]));
  const inboundSpi = dataPlane.reserve();
  const shared = {
    policy: policy.name,
    suite: { encr: 20, encrKeyBits: 128, integ: 0, esn: false },
    keys: { encr: octets(20), integ: new Uint8Array(0) },
    encapsulation,
    selectors,
    local: { address: address(HOST), port: udp.localPort },
    remote: { address: address(PEER), port: 4500 },
    lifetime: {},
    handling: { replayWindow: 64, dscp: "copy", ecn: "copy", df },
  } as const;
  dataPlane.execute({ kind: "addInboundSa", sa: { ...shared, spi: inboundSpi } });
  dataPlane.execute({ kind: "addOutboundSa", sa: { ...shared, spi: Spi(0x1234), inboundSpi } });
  capture();
  lane.turn(Instant(0));
  const sent = capture();
  assert.equal(sent.length, 3);
  // Fragmentable packets leave after the others; the engine's sequence numbers tell which is which.
  const header = encapsulation === "udp" ? 28 : 20;
  const inOrder = [...sent].sort((a, b) => a[header + 7]! - b[header + 7]!);
  native.close();
  for (const fd of [udp.fd, raw.fd, sa.fd]) closeFd(fd);
  return inOrder.map(hasDf);
}

function fill(into: FrameBatch, contents: readonly Uint8Array[]): void {
  clearFrames(into);
  for (const content of contents) into.bytes.set(content, into.offset[appendFrame(into, content.length)]);
}

export function settings(capture: Capture): void {
  for (const encapsulation of ["udp", "esp"] as const) {
    assert.deepEqual(dfOfLane(capture, "copy", encapsulation), [true, false, true]);
    assert.deepEqual(dfOfLane(capture, "set", encapsulation), [true, true, true]);
    assert.deepEqual(dfOfLane(capture, "clear", encapsulation), [false, false, false]);
  }
}

const WITH_DF = 100;
const WITHOUT_DF = 200;
const ROUNDS = 50;
const BATCH = 64;

/** One thread sends with DF while this one sends without it, and datagrams that have to be fragmented. */
export async function nextToOthers(capture: Capture): Promise<void> {
  const sa = createNativeSaTable({ slots: 1, endpoints: 1, policies: 1, lanes: 1 });
  const record = new DataView(sa.table.bytes.buffer, sa.table.regions.endpoints, EndpointRecord.STRIDE);
  sa.table.bytes.set(address(PEER), sa.table.regions.endpoints + EndpointRecord.REMOTE_ADDRESS);
  record.setUint16(EndpointRecord.REMOTE_PORT, 4500, true);
  record.setUint8(EndpointRecord.FAMILY, 4);
  record.setUint8(EndpointRecord.ENCAPSULATION, 1);
  const udp = openUdpSocket({ family: 4, address: address(HOST), port: 0 });
  const socket = { ...udp, role: "nat" } as const;
  const io = createNativePacketIo({ table: sa, tuns: [], sockets: [socket], sendsRuns: false });
  const signals = new Int32Array(new SharedArrayBuffer(8));
  const workerData = { table: sa.fd, socket, length: WITH_DF, signals };
  const worker = typescriptWorker(new URL("./native-df-worker.ts", import.meta.url), workerData);
  await once(worker, "message");
  const batch = packets(Array.from({ length: BATCH }, () => octets(WITHOUT_DF)));
  const seen = { withDf: 0, withoutDf: 0, wrong: 0 };
  const look = (outer: Uint8Array) => {
    if (outer.length === 28 + WITH_DF) seen[hasDf(outer) ? "withDf" : "wrong"]++;
    if (outer.length === 28 + WITHOUT_DF) seen[hasDf(outer) ? "wrong" : "withoutDf"]++;
  };
  for (let round = 0; round < ROUNDS; round++) {
    batch.status.fill(0);
    const before = Atomics.load(signals, SENT);
    Atomics.store(signals, ORDER, SEND);
    Atomics.notify(signals, ORDER);
    Atomics.wait(signals, SENT, before, 1000);
    io.sendFragmentable?.(0, batch);
    if (round % 8 === 0) sendDatagram(udp, { address: address(PEER), port: 500 }, octets(3000));
    Atomics.store(signals, ORDER, PAUSE);
    capture().forEach(look);
  }
  Atomics.store(signals, ORDER, END);
  Atomics.notify(signals, ORDER);
  await once(worker, "exit");
  capture().forEach(look);
  assert.equal(seen.wrong, 0);
  assert.equal(seen.withDf >= ROUNDS && seen.withoutDf === ROUNDS * BATCH, true, JSON.stringify(seen));
  io.close();
  for (const fd of [udp.fd, sa.fd]) closeFd(fd);
}
