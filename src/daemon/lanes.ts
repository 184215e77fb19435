/** The lanes of a gateway: started together, told together, stopped together. */
import type { IpAddress } from "../base/ip-address.ts";
import { DROP_REASONS } from "../dataplane/drop-reason.ts";
import { type DropTrace, readDropRecord } from "../dataplane/drop-record.ts";
import { HAND_OVER_COUNTERS, HANDED_DATAGRAMS, HANDED_FRAMES, inboxOctets } from "../dataplane/hand-over.ts";
import type { IkeDatagram, LaneUpcall } from "../dataplane/lane-options.ts";
import type { CaptureFilter } from "../dataplane/tap.ts";
import type { IoError } from "../io/io-error.ts";
import type { LaneOffloads } from "../io/lane-control.ts";
import { type LaneThread, startLaneThread } from "../io/lane-thread.ts";
import { closeFd } from "../io/native-socket.ts";
import { createWake } from "../io/native-wait.ts";
import type { CompiledSpd } from "../policy/spd.ts";
import { sumTransfers } from "./offloads.ts";
import type { Resources } from "./resources.ts";

export interface LanesOptions {
  readonly resources: Resources;
  readonly offloads: LaneOffloads;
  readonly onIke: (datagram: IkeDatagram) => void;
  readonly onUpcall: (upcall: LaneUpcall) => void;
  readonly onFailure: (error: IoError) => void;
}

/** What the addon cannot even hand to a lane. */
const ADDON_DROPS = ["oversized", "badDatagrams", "badVnetHeader"] as const;

function makeHandOver(lanes: number) {
  const shared = (octets: number) => Array.from({ length: lanes }, () => new SharedArrayBuffer(octets));
  return {
    inboxes: lanes === 1 ? [] : shared(inboxOctets(lanes)),
    wakeFds: Array.from({ length: lanes }, createWake),
    counters: shared(HAND_OVER_COUNTERS * 8),
  };
}

export class Lanes {
  readonly #threads: readonly LaneThread[];
  readonly #handOver: ReturnType<typeof makeHandOver>;

  constructor(options: LanesOptions) {
    const { offloads, onIke, onUpcall, onFailure } = options;
    const { tuns, sockets, parts } = options.resources;
    this.#handOver = makeHandOver(tuns.lanes);
    const { wakeFds } = this.#handOver;
    this.#threads = Array.from({ length: tuns.lanes }, (_, index) =>
      startLaneThread({
        index,
        tableFd: parts.table.fd,
        keysFd: parts.keys.fd,
        tuns: tuns.queues.map((queues) => queues[index]!),
        sockets: sockets.lanes[index]!,
        wakeFd: wakeFds[index]!,
        handOver: tuns.lanes === 1 ? undefined : this.#handOver,
        offloads,
        onIke,
        onUpcall,
        onFailure,
      }),
    );
  }

  get count(): number {
    return this.#threads.length;
  }

  /** @throws {IoError} when one could not start */
  async ready(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.ready));
  }

  /** One SPD per TUN device, in their order. */
  setSpds(spds: readonly CompiledSpd[]): void {
    for (const thread of this.#threads) for (const [tun, spd] of spds.entries()) thread.setSpd(tun, spd);
  }

  setOuterAddresses(addresses: readonly IpAddress[]): void {
    for (const thread of this.#threads) thread.setOuterAddresses(addresses);
  }

  setPeers(addresses: readonly IpAddress[]): void {
    for (const thread of this.#threads) thread.setPeers(addresses);
  }

  wake(): void {
    for (const thread of this.#threads) thread.wake();
  }

  releaseStale(): void {
    for (const thread of this.#threads) thread.releaseStale();
  }

  /** Copies of packets go into `memory`, one for each lane, from now on; without one no longer. */
  setCapture(capture?: {
    readonly memory: readonly SharedArrayBuffer[];
    readonly filter: CaptureFilter;
  }): void {
    for (const [index, thread] of this.#threads.entries()) {
      if (capture === undefined) thread.setCapture();
      else thread.setCapture({ memory: capture.memory[index]!, filter: capture.filter });
    }
  }

  turns(): readonly number[] {
    return this.#threads.map((thread) => thread.turns());
  }

  /** Of each lane, those of its turns that carried something. */
  batches(): readonly number[] {
    return this.#threads.map((thread) => thread.batches());
  }

  /** All lanes' drops by reason, those of the addon among them; reasons that never came are left out. */
  drops(): { readonly [reason: string]: number } {
    const decided = DROP_REASONS.map((reason, index) => {
      const total = this.#threads.reduce((sum, { drops }) => sum + (drops[index] ?? 0), 0);
      return [reason, total] as const;
    });
    const unread = ADDON_DROPS.map((reason) => {
      const total = this.#threads.reduce((sum, thread) => sum + (thread.counters()?.[reason] ?? 0), 0);
      return [reason, total] as const;
    });
    return Object.fromEntries([...decided, ...unread].filter(([, total]) => total > 0));
  }

  /** What they dropped last, flow by flow. */
  lastDrops(): readonly DropTrace[] {
    return this.#threads.flatMap(({ dropRecord }) => readDropRecord(dropRecord));
  }

  /**
   * What their devices and sockets did since the start, by counter; up to a second old. Besides, what came to another
   * lane than that of its SA.
   */
  transfers(): { readonly [counter: string]: number } {
    const handedOver = this.#handOver.counters.map((memory) => new Float64Array(memory));
    const total = (counter: number) => handedOver.reduce((sum, lane) => sum + lane[counter]!, 0);
    return {
      ...sumTransfers(this.#threads.flatMap((thread) => thread.counters() ?? [])),
      framesHandedOver: total(HANDED_FRAMES),
      datagramsHandedOver: total(HANDED_DATAGRAMS),
    };
  }

  async stop(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.stop()));
    // Any lane may wake any other: none of these numbers is another's before the last one has ended.
    for (const fd of this.#handOver.wakeFds.splice(0)) closeFd(fd);
  }
}
