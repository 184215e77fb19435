/** The thread of a lane: waits, turns, and never returns to an event loop until it is told to stop. */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { Drop } from "../dataplane/drop-reason.ts";
import { HandOver } from "../dataplane/hand-over.ts";
import { createLane, type Lane } from "../dataplane/lane.ts";
import type { LaneUpcall } from "../dataplane/lane-options.ts";
import { quotedIke } from "../dataplane/quoted-ike.ts";
import { TokenBucket } from "../dataplane/token-bucket.ts";
import { createErrorQueueReader } from "./error-queue.ts";
import { IoError } from "./io-error.ts";
import { LaneClock } from "./lane-clock.ts";
import {
  Control,
  IKE_QUEUE_MAX,
  type LaneCommand,
  type LaneMessage,
  type LaneThreadData,
  UPCALL_QUEUE_MAX,
} from "./lane-control.ts";
import { type Fd, loadAddon } from "./native.ts";
import { createNativeEspEngine, type NativeEspEngine } from "./native-esp-engine.ts";
import { openNativeKeyStore, openNativeSaTable } from "./native-memory.ts";
import { createNativePacketIo, type NativePacketIo } from "./native-packet-io.ts";
import { bootTime } from "./native-process.ts";
import { createWaiter, NOW, READY_ERROR, WAIT_MS_MAX, type Waiter, wake } from "./native-wait.ts";
import type { LaneWork } from "./waiting-lanes.ts";

/** Counters of the addon are told to the main thread at most so often; error queues are looked at even if nothing waits. */
const COUNTERS_EVERY_MS = 1000;
/** What ICMP says of our outer packets, anybody's word, reaches the main thread at this rate. */
const REPORTS_PER_SECOND = 20;
const REPORTS_BURST = 60;

function main(data: LaneThreadData, commands: MessagePort, parent: MessagePort): void {
  const control = new Int32Array(data.control);
  const table = openNativeSaTable(data.tableFd);
  const keys = openNativeKeyStore(data.keysFd, table);
  const engine = createNativeEspEngine(table, keys);
  const reads = new Reads(data);
  const io = createNativePacketIo({
    table,
    mayHaveMore: reads.mayHaveMore,
    tuns: data.tuns,
    sockets: data.sockets,
    ...data.offloads,
  });
  const waiter = createWaiter(reads.fds, data.wakeFd);
  const post = (message: LaneMessage) => parent.postMessage(message);
  const lane = createLane({
    index: data.index,
    io,
    engine,
    table: table.table,
    drops: new Float64Array(data.drops),
    dropRecord: data.dropRecord,
    ...handOverOf(data),
    ike(datagram) {
      if (!enqueue(control, Control.IKE_QUEUED, IKE_QUEUE_MAX)) return false;
      post({ kind: "ike", datagram });
      return true;
    },
    upcall(upcall) {
      if (!enqueue(control, Control.UPCALLS_QUEUED, UPCALL_QUEUE_MAX)) return false;
      post({ kind: "upcall", upcall });
      return true;
    },
  });
  post({ kind: "ready" });
  try {
    const drain = errorDrain(data, control, post);
    const { transfers } = data;
    loop({ control, commands, lane, engine, io, waiter, reads, transfers, drain });
  } finally {
    waiter.close();
    io.close();
    engine.close();
    keys.close();
  }
}

function handOverOf({ index, handOver }: LaneThreadData): { readonly handOver?: HandOver } {
  if (handOver === undefined) return {};
  const { inboxes, wakeFds, counters } = handOver;
  const { copyOctets } = loadAddon();
  return {
    handOver: new HandOver({
      lanes: inboxes.length,
      index,
      inboxes,
      copy: copyOctets,
      wake: (lane) => wake(wakeFds[lane]!),
      counters: new Float64Array(counters[index]!),
    }),
  };
}

/** Takes a place in a bounded queue that the main thread empties; `false` when it is full. */
function enqueue(control: Int32Array, cell: number, most: number): boolean {
  if (Atomics.load(control, cell) >= most) return false;
  Atomics.add(control, cell, 1);
  return true;
}

/** What the lane reads from: TUN queues, then the sockets that are not for sending alone. */
class Reads {
  readonly tuns: number;
  /** As the waiter has them. */
  readonly fds: readonly Fd[];
  /** As the transfers have it, every socket included. */
  readonly mayHaveMore: Uint8Array;
  /** Index there of each of `fds`. */
  readonly #places: Uint8Array;

  constructor({ tuns, sockets }: LaneThreadData) {
    const isRead = [...tuns.map(() => true), ...sockets.map(({ sendsOnly }) => sendsOnly !== true)];
    const all = [...tuns, ...sockets.map(({ fd }) => fd)];
    this.tuns = tuns.length;
    this.fds = all.filter((_, i) => isRead[i]);
    this.mayHaveMore = Uint8Array.from(isRead, Number);
    this.#places = Uint8Array.from(all.keys()).filter((i) => isRead[i]);
  }

  /** Every read that was tried has found its end. */
  areEmpty(): boolean {
    for (let i = 0; i < this.mayHaveMore.length; i++) if (this.mayHaveMore[i] !== 0) return false;
    return true;
  }

  /** @param ready - of the waiter */
  note(ready: Uint8Array): void {
    for (let i = 0; i < this.#places.length; i++) if (ready[i] !== 0) this.mayHaveMore[this.#places[i]!] = 1;
  }
}

interface Loop {
  readonly control: Int32Array;
  readonly commands: MessagePort;
  readonly lane: Lane;
  readonly engine: NativeEspEngine;
  readonly io: NativePacketIo;
  readonly waiter: Waiter;
  readonly reads: Reads;
  readonly transfers: SharedArrayBuffer;
  /** Empties a socket's error queue. */
  readonly drain: (socket: Fd) => void;
}

/** An error that nobody takes from a descriptor would end every later wait at once. */
function errorDrain(
  data: LaneThreadData,
  control: Int32Array,
  post: (message: LaneMessage) => void,
): Loop["drain"] {
  const reader = createErrorQueueReader();
  const drops = new Float64Array(data.drops);
  const roles = new Map(data.sockets.map(({ fd, role }) => [fd, role]));
  // Each kind has a share of its own: neither keeps the other away.
  const sizes = new TokenBucket(REPORTS_PER_SECOND, REPORTS_BURST);
  const silences = new TokenBucket(REPORTS_PER_SECOND, REPORTS_BURST);
  const report = (bucket: TokenBucket, upcall: LaneUpcall) => {
    if (bucket.take(bootTime()) && enqueue(control, Control.UPCALLS_QUEUED, UPCALL_QUEUE_MAX))
      post({ kind: "upcall", upcall });
    else drops[Drop.reportRateLimited] = drops[Drop.reportRateLimited]! + 1;
  };
  return (socket) => {
    reader.drain(
      socket,
      (tooBig) => report(sizes, { kind: "pathReport", report: tooBig }),
      (unreachable) => {
        const quoted = quotedIke(roles.get(socket) ?? "whole", unreachable.quoted);
        if (quoted !== undefined)
          report(silences, { kind: "unreachable", report: { ...unreachable, quoted } });
      },
    );
  };
}

function loop(parts: Loop): void {
  const { control, commands, lane, engine, io, waiter, reads, drain } = parts;
  const clock = new LaneClock(waiter.times, NOW);
  const transfers = new Float64Array(parts.transfers);
  let hasWaitedInVain = false;
  let commandsDone = 0;
  let countersAt = 0;
  while (Atomics.load(control, Control.STOP) === 0) {
    while (commandsDone !== Atomics.load(control, Control.COMMANDS)) {
      const posted = receiveMessageOnPort(commands) as { message: LaneCommand } | undefined;
      if (posted === undefined) break;
      carryOut(posted.message, lane, engine);
      commandsDone = (commandsDone + 1) | 0;
    }
    // Who has waited until something is due must not find that it is not.
    const now = clock.now(hasWaitedInVain || lane.isTimed());
    if (lane.turn(now) > 0) Atomics.add(control, Control.BATCHES, 1);
    Atomics.add(control, Control.TURNS, 1);
    if (now >= countersAt) {
      countersAt = now + COUNTERS_EVERY_MS;
      for (let i = reads.tuns; i < reads.fds.length; i++) drain(reads.fds[i]!);
      io.writeCounters(transfers);
    }
    const mayRest = reads.areEmpty() && lane.fallAsleep();
    const next = mayRest ? lane.nextTimeout() : undefined;
    const rest = next === undefined ? WAIT_MS_MAX : next - waiter.times[NOW]!;
    const ready = waiter.wait(mayRest ? rest : 0);
    if (mayRest) lane.stayAwake();
    hasWaitedInVain = mayRest && ready === 0;
    if (ready === 0) continue;
    reads.note(waiter.ready);
    settleErrors(parts);
  }
}

function carryOut(command: LaneCommand, lane: Lane, engine: NativeEspEngine): void {
  switch (command.kind) {
    case "setSpd":
      lane.setSpd(command.tun, command.spd);
      break;
    case "setOuterAddresses":
      lane.setOuterAddresses(command.addresses);
      break;
    case "setPeers":
      lane.setPeers(command.addresses);
      break;
    case "capture":
      lane.setCapture(command.capture && { ...command.capture, copy: loadAddon().copyOctets });
      break;
    case "releaseStale":
      engine.releaseStale();
      break;
  }
}

function settleErrors({ waiter: { ready }, reads, drain }: Loop): void {
  for (let i = 0; i < ready.length; i++) {
    if ((ready[i]! & READY_ERROR) === 0) continue;
    if (i < reads.tuns)
      throw new IoError(
        "IO_TUN_UNAVAILABLE",
        "the TUN device was deleted while in use; start the gateway again",
      );
    const socket = reads.fds[i];
    if (socket !== undefined) drain(socket);
  }
}

const parent = parentPort!;
const start = ({ data, commands }: LaneWork) => main(data, commands, parent);
const work = workerData as LaneWork | undefined;
if (work !== undefined) start(work);
else {
  parent.once("message", start);
  // Meanwhile.
  loadAddon();
}
