/** What a lane's thread and the main thread say to each other: a few shared numbers, and messages. */
import type { IpAddress } from "../base/ip-address.ts";
import type { IkeDatagram, LaneUpcall } from "../dataplane/lane-options.ts";
import type { CaptureFilter } from "../dataplane/tap.ts";
import type { CompiledSpd } from "../policy/spd.ts";
import type { Fd } from "./native.ts";
import type { NativeLaneSocket, NativePacketIoOptions } from "./native-packet-io.ts";

/** Indices of int32 cells in the shared control memory. */
export const Control = {
  /** 1: leave the loop. */
  STOP: 0,
  /** Goes up with every turn of the loop, idle ones too: the watchdog's sign of life. */
  TURNS: 1,
  /** IKE messages posted and not yet handled. */
  IKE_QUEUED: 2,
  /** Upcalls posted and not yet handled. */
  UPCALLS_QUEUED: 3,
  /** Commands that the main thread has posted. */
  COMMANDS: 4,
  /** Goes up with the turns that carried something. */
  BATCHES: 5,
  CELLS: 8,
} as const;

/** IKE messages that may wait for the main thread, from all strangers together. */
export const IKE_QUEUE_MAX = 256;
/** Upcalls that may wait; the lane raises again what finds no room. */
export const UPCALL_QUEUE_MAX = 1024;

/** Whether datagrams leave, and TCP segments reach the host, in runs. */
export type LaneOffloads = Required<Pick<NativePacketIoOptions, "sendsRuns" | "coalesces">>;

/** By lane: where others put what is its, and what wakes it. */
export interface LaneHandOver {
  readonly inboxes: readonly SharedArrayBuffer[];
  readonly wakeFds: readonly Fd[];
  /** {@link HAND_OVER_COUNTERS} numbers of each lane. */
  readonly counters: readonly SharedArrayBuffer[];
}

/** What a lane's thread is started with. */
export interface LaneThreadData {
  readonly index: number;
  readonly tableFd: Fd;
  readonly keysFd: Fd;
  readonly tuns: readonly Fd[];
  readonly sockets: readonly NativeLaneSocket[];
  /** What lanes hand each other; absent when there is one. */
  readonly handOver: LaneHandOver | undefined;
  readonly wakeFd: Fd;
  readonly offloads: LaneOffloads;
  readonly control: SharedArrayBuffer;
  readonly drops: SharedArrayBuffer;
  readonly dropRecord: SharedArrayBuffer;
  /** What the addon counts, written now and then. */
  readonly transfers: SharedArrayBuffer;
}

export type LaneCommand =
  | { readonly kind: "setSpd"; readonly tun: number; readonly spd: CompiledSpd }
  | { readonly kind: "setOuterAddresses" | "setPeers"; readonly addresses: readonly IpAddress[] }
  /** Copy packets into `memory`, or no longer. */
  | {
      readonly kind: "capture";
      readonly capture?: { readonly memory: SharedArrayBuffer; readonly filter: CaptureFilter };
    }
  /** SAs went: free what the engine keeps for them. */
  | { readonly kind: "releaseStale" };

export type LaneMessage =
  | { readonly kind: "ready" }
  | { readonly kind: "ike"; readonly datagram: IkeDatagram }
  | { readonly kind: "upcall"; readonly upcall: LaneUpcall };
