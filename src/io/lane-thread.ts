/** A lane in a thread of its own, seen from the main thread. */
import { MessageChannel } from "node:worker_threads";
import type { IpAddress } from "../base/ip-address.ts";
import { DROP_COUNTERS_LENGTH } from "../dataplane/drop-reason.ts";
import { DROP_RECORD_OCTETS } from "../dataplane/drop-record.ts";
import type { IkeDatagram, LaneUpcall } from "../dataplane/lane-options.ts";
import type { CaptureFilter } from "../dataplane/tap.ts";
import type { CompiledSpd } from "../policy/spd.ts";
import { IoError } from "./io-error.ts";
import {
  Control,
  type LaneCommand,
  type LaneHandOver,
  type LaneMessage,
  type LaneOffloads,
  type LaneThreadData,
} from "./lane-control.ts";
import type { Fd } from "./native.ts";
import {
  type NativeLaneSocket,
  PACKET_IO_COUNTERS_OCTETS,
  type PacketIoCounters,
  packetIoCounters,
} from "./native-packet-io.ts";
import { wake } from "./native-wait.ts";
import { startLane } from "./waiting-lanes.ts";

/** A lane that does not end in this time is ended. */
const STOP_MS = 3_000;

export interface LaneThreadOptions {
  readonly index: number;
  readonly tableFd: Fd;
  readonly keysFd: Fd;
  readonly tuns: readonly Fd[];
  readonly sockets: readonly NativeLaneSocket[];
  /** Ends this lane's sleep; it belongs to the caller. */
  readonly wakeFd: Fd;
  readonly handOver: LaneHandOver | undefined;
  readonly offloads: LaneOffloads;
  readonly onIke: (datagram: IkeDatagram) => void;
  readonly onUpcall: (upcall: LaneUpcall) => void;
  /** The thread ended although it was not told to: no packet of its share moves any more. */
  readonly onFailure: (error: IoError) => void;
}

export interface LaneThread {
  /** Resolves when the lane turns; rejects when it could not start. */
  readonly ready: Promise<void>;
  /** Counters by drop reason, live. */
  readonly drops: Float64Array;
  /** What was dropped last, for `readDropRecord`. */
  readonly dropRecord: SharedArrayBuffer;
  /** Turns of the loop so far; stands still when the lane hangs. */
  turns(): number;
  /** Those of them that carried something. */
  batches(): number;
  /** Up to a second old. */
  counters(): PacketIoCounters;
  setSpd(tun: number, spd: CompiledSpd): void;
  /** Sources of outer packets of ours: what comes out of a TUN device with one of them is a loop. */
  setOuterAddresses(addresses: readonly IpAddress[]): void;
  setPeers(addresses: readonly IpAddress[]): void;
  /** Copies of packets go into `memory` (a capture ring's) from now on; without one no longer. */
  setCapture(capture?: { readonly memory: SharedArrayBuffer; readonly filter: CaptureFilter }): void;
  /** SAs went: the lane frees what it keeps of their keys. */
  releaseStale(): void;
  /** The table has changed: look at once. */
  wake(): void;
  /** Ends the thread; descriptors stay open, they belong to whoever opened them. */
  stop(): Promise<void>;
}

export function startLaneThread(options: LaneThreadOptions): LaneThread {
  const control = new Int32Array(new SharedArrayBuffer(Control.CELLS * 4));
  const drops = new Float64Array(new SharedArrayBuffer(DROP_COUNTERS_LENGTH));
  const dropRecord = new SharedArrayBuffer(DROP_RECORD_OCTETS);
  const { port1: toLane, port2: commands } = new MessageChannel();
  const { wakeFd } = options;
  const { onIke, onUpcall, onFailure, ...lent } = options;
  const transfers = new Float64Array(new SharedArrayBuffer(PACKET_IO_COUNTERS_OCTETS));
  const data: LaneThreadData = {
    ...lent,
    control: control.buffer,
    drops: drops.buffer,
    dropRecord,
    transfers: transfers.buffer,
  };
  const worker = startLane({ data, commands });
  let isStopping = false;
  let hasFailed = false;

  const exited = new Promise<void>((resolve) => {
    worker.once("exit", () => {
      toLane.close();
      resolve();
    });
  });
  const ready = new Promise<void>((resolve, reject) => {
    const fail = (error: IoError) => {
      reject(error);
      if (!isStopping && !hasFailed) onFailure(error);
      hasFailed = true;
    };
    worker.on("error", (error) => fail(laneError(lent.index, error)));
    worker.once("exit", () => {
      if (!isStopping) fail(new IoError("IO_LANE_FAILED", `lane ${lent.index} ended by itself`));
    });
    worker.on("message", (message: LaneMessage) => {
      if (message.kind === "ready") return resolve();
      Atomics.sub(control, message.kind === "ike" ? Control.IKE_QUEUED : Control.UPCALLS_QUEUED, 1);
      if (isStopping) return;
      if (message.kind === "ike") onIke(message.datagram);
      else onUpcall(message.upcall);
    });
  });
  // Whoever starts lanes one after the other awaits this one late.
  ready.catch(() => undefined);

  function command(message: LaneCommand): void {
    if (isStopping) return;
    toLane.postMessage(message);
    Atomics.add(control, Control.COMMANDS, 1);
    wakeUp();
  }

  /** Its descriptor may be another's once the lane was told to stop. */
  function wakeUp(): void {
    if (!isStopping) wake(wakeFd);
  }

  return {
    ready,
    drops,
    dropRecord,
    turns: () => Atomics.load(control, Control.TURNS),
    batches: () => Atomics.load(control, Control.BATCHES),
    counters: () => packetIoCounters(transfers),
    setSpd: (tun, spd) => command({ kind: "setSpd", tun, spd }),
    setOuterAddresses: (addresses) => command({ kind: "setOuterAddresses", addresses }),
    setPeers: (addresses) => command({ kind: "setPeers", addresses }),
    setCapture: (capture) => command({ kind: "capture", ...(capture === undefined ? {} : { capture }) }),
    releaseStale: () => command({ kind: "releaseStale" }),
    wake: wakeUp,
    async stop() {
      if (isStopping) return exited;
      isStopping = true;
      Atomics.store(control, Control.STOP, 1);
      wake(wakeFd);
      const timer = setTimeout(() => void worker.terminate(), STOP_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}

function laneError(index: number, error: unknown): IoError {
  if (error instanceof Error) {
    return new IoError("IO_LANE_FAILED", `lane ${index} failed: ${error.message}`, error);
  }
  return new IoError("IO_LANE_FAILED", `lane ${index} failed: ${String(error)}`, error);
}
