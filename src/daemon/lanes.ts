/** The lanes of a gateway: started together, told together, stopped together. */
import type { IpAddress } from "../base/ip-address.ts";
import { DROP_REASONS } from "../dataplane/drop-reason.ts";
import type { IkeDatagram, LaneUpcall } from "../dataplane/lane-options.ts";
import type { IoError } from "../io/io-error.ts";
import type { LaneOffloads } from "../io/lane-control.ts";
import { type LaneThread, startLaneThread } from "../io/lane-thread.ts";
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

export class Lanes {
  readonly #threads: readonly LaneThread[];

  constructor(options: LanesOptions) {
    const { offloads, onIke, onUpcall, onFailure } = options;
    const { tuns, sockets, parts } = options.resources;
    this.#threads = Array.from({ length: tuns.lanes }, (_, index) =>
      startLaneThread({
        index,
        tableFd: parts.table.fd,
        keysFd: parts.keys.fd,
        tuns: tuns.queues.map((queues) => queues[index]!),
        sockets: sockets.lanes[index]!,
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

  wake(): void {
    for (const thread of this.#threads) thread.wake();
  }

  releaseStale(): void {
    for (const thread of this.#threads) thread.releaseStale();
  }

  turns(): readonly number[] {
    return this.#threads.map((thread) => thread.turns());
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

  /** What their devices and sockets did since the start, by counter; up to a second old. */
  transfers(): { readonly [counter: string]: number } {
    return sumTransfers(this.#threads.flatMap((thread) => thread.counters() ?? []));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.stop()));
  }
}
