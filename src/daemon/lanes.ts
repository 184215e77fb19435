/** The lanes of a gateway: started together, told together, stopped together. */
import { equal } from "../base/bytes.ts";
import type { IpAddress } from "../base/ip-address.ts";
import { DROP_REASONS } from "../dataplane/drop-reason.ts";
import { type DropTrace, readDropRecord } from "../dataplane/drop-record.ts";
import { HAND_OVER_COUNTERS, HANDED_DATAGRAMS, HANDED_FRAMES, inboxOctets } from "../dataplane/hand-over.ts";
import type { IkeDatagram, LaneUpcall } from "../dataplane/lane-options.ts";
import type { CaptureFilter } from "../dataplane/tap.ts";
import type { IoError } from "../io/io-error.ts";
import type { LaneOffloads } from "../io/lane-control.ts";
import { type LaneThread, startLaneThread } from "../io/lane-thread.ts";
import type { Fd } from "../io/native.ts";
import type { NativeLaneSocket } from "../io/native-packet-io.ts";
import { closeFd } from "../io/native-socket.ts";
import { createWake } from "../io/native-wait.ts";
import type { CompiledSpd } from "../policy/spd.ts";
import { sumTransfers } from "./offloads.ts";

export interface LanesOptions {
  readonly tableFd: Fd;
  readonly keysFd: Fd;
  /** By device, one per lane. */
  readonly queues: readonly (readonly Fd[])[];
  /** By lane. */
  readonly sockets: readonly (readonly NativeLaneSocket[])[];
  readonly offloads: LaneOffloads;
}

/** Who takes what lanes have for the main thread. */
export interface LaneListener {
  readonly onIke: (datagram: IkeDatagram) => void;
  readonly onUpcall: (upcall: LaneUpcall) => void;
  readonly onFailure: (error: IoError) => void;
}

/** What all lanes are told, besides what lies in the SA table. */
export interface LaneOrders {
  /** By device. */
  readonly spds: readonly CompiledSpd[];
  readonly outerAddresses: readonly IpAddress[];
  readonly peers: readonly IpAddress[];
}

/** What the addon cannot even hand to a lane. */
const ADDON_DROPS = ["oversized", "badDatagrams", "badVnetHeader"] as const;

function areSame(some: readonly IpAddress[], others: readonly IpAddress[]): boolean {
  return some.length === others.length && some.every((one, i) => equal(one, others[i]!));
}

function makeHandOver(lanes: number) {
  const shared = (octets: number) => Array.from({ length: lanes }, () => new SharedArrayBuffer(octets));
  return {
    inboxes: lanes === 1 ? [] : shared(inboxOctets(lanes)),
    wakeFds: Array.from({ length: lanes }, createWake),
    counters: shared(HAND_OVER_COUNTERS * 8),
  };
}

/** IKE messages that wait for somebody to listen. */
const EARLY_IKE_MAX = 256;

export class Lanes {
  readonly #threads: readonly LaneThread[];
  readonly #handOver: ReturnType<typeof makeHandOver>;
  #orders: LaneOrders = { spds: [], outerAddresses: [], peers: [] };
  #onOrders: (orders: LaneOrders) => void = () => undefined;
  #listener: LaneListener | undefined;
  readonly #early: ((listener: LaneListener) => void)[] = [];
  #earlyIke = 0;

  constructor({ offloads, tableFd, keysFd, queues, sockets }: LanesOptions) {
    this.#handOver = makeHandOver(sockets.length);
    const { wakeFds } = this.#handOver;
    this.#threads = sockets.map((own, index) =>
      startLaneThread({
        index,
        tableFd,
        keysFd,
        tuns: queues.map((ofDevice) => ofDevice[index]!),
        sockets: own,
        wakeFd: wakeFds[index]!,
        handOver: sockets.length === 1 ? undefined : this.#handOver,
        offloads,
        onIke: (datagram) => this.#onIke(datagram),
        onUpcall: (upcall) => this.#tell((listener) => listener.onUpcall(upcall)),
        onFailure: (error) => this.#tell((listener) => listener.onFailure(error)),
      }),
    );
  }

  /** From now on; what came before is told at once. */
  listen(listener: LaneListener): void {
    this.#listener = listener;
    for (const tell of this.#early.splice(0)) tell(listener);
  }

  #onIke(datagram: IkeDatagram): void {
    // Peers repeat it.
    if (this.#listener === undefined && ++this.#earlyIke > EARLY_IKE_MAX) return;
    this.#tell((listener) => listener.onIke(datagram));
  }

  #tell(what: (listener: LaneListener) => void): void {
    if (this.#listener === undefined) this.#early.push(what);
    else what(this.#listener);
  }

  /** Called with what lanes have been told, after every change. */
  keepOrders(onOrders: (orders: LaneOrders) => void): void {
    this.#onOrders = onOrders;
  }

  #noteOrders(changed: Partial<LaneOrders>): void {
    this.#orders = { ...this.#orders, ...changed };
    this.#onOrders(this.#orders);
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
    this.#noteOrders({ spds });
  }

  setOuterAddresses(addresses: readonly IpAddress[]): void {
    if (areSame(addresses, this.#orders.outerAddresses)) return;
    for (const thread of this.#threads) thread.setOuterAddresses(addresses);
    this.#noteOrders({ outerAddresses: addresses });
  }

  setPeers(addresses: readonly IpAddress[]): void {
    if (areSame(addresses, this.#orders.peers)) return;
    for (const thread of this.#threads) thread.setPeers(addresses);
    this.#noteOrders({ peers: addresses });
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
      const total = this.#threads.reduce((sum, thread) => sum + thread.counters()[reason], 0);
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
      ...sumTransfers(this.#threads.map((thread) => thread.counters())),
      framesHandedOver: total(HANDED_FRAMES),
      datagramsHandedOver: total(HANDED_DATAGRAMS),
    };
  }

  /** Superpackets and runs of datagrams that they have carried so far; up to a second old. */
  runs(): number {
    return this.#threads
      .map((thread) => thread.counters())
      .flatMap((each) => [
        each.superpacketsRead,
        each.superpacketsWritten,
        each.datagramRunsReceived,
        each.datagramRunsSent,
      ])
      .reduce((sum, count) => sum + count, 0);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.stop()));
    // Any lane may wake any other: none of these numbers is another's before the last one has ended.
    for (const fd of this.#handOver.wakeFds.splice(0)) closeFd(fd);
  }
}
