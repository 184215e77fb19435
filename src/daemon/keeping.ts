/** Has the service manager keep what a process after this one goes on with. */
import type { Fingerprints } from "../ike/predecessor.ts";
import { encodePlain } from "../ike/sa/plain-value.ts";
import type { DescriptorStore } from "../io/descriptor-store.ts";
import { keepOctets, wipeKept } from "../io/kept-memory.ts";
import type { Fd } from "../io/native.ts";
import { closeFd } from "../io/native-socket.ts";
import { claimMemory } from "../io/sole-user.ts";
import type { PolicyName } from "../policy/data-plane.ts";
import {
  KEPT_IKE,
  KEPT_KEYS,
  KEPT_LANES,
  KEPT_TABLE,
  keptGround,
  keptQueue,
  keptSocket,
} from "./kept-names.ts";
import { encodeLaneState, type Ground } from "./lane-state.ts";
import type { LaneOrders } from "./lanes.ts";
import type { Resources } from "./resources.ts";
import { SETTLE_MS, type TakenOver } from "./take-over.ts";
import type { GivenAddress } from "./tun-addresses.ts";

export interface KeepingOptions {
  readonly store: DescriptorStore;
  readonly resources: Pick<Resources, "parts" | "tuns" | "sockets">;
  readonly ground: Ground;
  readonly taken: TakenOver | undefined;
  /** By the process before, see {@link Keeping.noteGiven}. */
  readonly given: readonly GivenAddress[];
  /** What index stands for which policy now. */
  readonly policies: () => ReadonlyMap<PolicyName, number>;
}

/** @returns whether the service manager has everything, those IKE SAs included, which are wiped here */
export function keepIkeSas(store: DescriptorStore, ikeSas: readonly Uint8Array[]): boolean {
  const octets = encodePlain(ikeSas);
  const fd = keepOctets("tungate-ike", octets);
  for (const secret of [octets, ...ikeSas]) secret.fill(0);
  store.put(KEPT_IKE, fd);
  const hasAll = store.settle(SETTLE_MS);
  if (!hasAll) {
    store.remove(KEPT_IKE);
    wipeKept(fd);
  }
  closeFd(fd);
  return hasAll;
}

export class Keeping {
  readonly #options: KeepingOptions;
  #generation: number;
  #state: Fd | undefined;
  #orders: LaneOrders = { spds: [], outerAddresses: [], peers: [] };
  #fingerprints: Fingerprints;
  #given: readonly GivenAddress[];

  constructor(options: KeepingOptions) {
    this.#options = options;
    const { taken } = options;
    this.#generation = taken?.state.generation ?? 0;
    this.#given = options.given;
    this.#fingerprints = taken?.state.fingerprints ?? { connections: new Map(), policies: new Map() };
    if (options.store.isThere && taken?.lanes === undefined) this.#putGround();
  }

  #putGround(): void {
    const { store, taken, ground, resources } = this.#options;
    if (taken === undefined) {
      claimMemory(resources.parts.table.fd);
      store.put(KEPT_TABLE, resources.parts.table.fd);
      store.put(KEPT_KEYS, resources.parts.keys.fd);
    }
    for (const [i, { name }] of ground.devices.entries())
      for (const [lane, fd] of resources.tuns.queues[i]!.entries()) store.put(keptQueue(name, lane), fd);
    for (const [i, { fds }] of resources.sockets.all.entries())
      for (const [number, fd] of fds.entries()) store.put(keptSocket(i, number), fd);
  }

  /** To be called with every change of the orders, before any SA comes that rests on them. */
  save(orders: LaneOrders): void {
    this.#orders = orders;
    const { store, ground, policies } = this.#options;
    if (!store.isThere || orders.spds.length === 0) return;
    const generation = this.#generation + 1;
    const octets = encodeLaneState({
      generation,
      ground,
      policies: policies(),
      fingerprints: this.#fingerprints,
      given: this.#given,
      ...orders,
    });
    const fd = keepOctets("tungate-lanes", octets);
    // The new one is there before the old one goes.
    const [name, other] = generation % 2 === 0 ? KEPT_LANES : [KEPT_LANES[1], KEPT_LANES[0]];
    store.put(name, fd);
    store.remove(other);
    if (this.#state !== undefined) closeFd(this.#state);
    this.#state = fd;
    this.#generation = generation;
  }

  /**
   * What the SAs rest on from now on. Not before they have followed: a process that is killed while it takes another configuration over
   * leaves SAs of the former one, and they must not pass for the new one's.
   */
  settle(fingerprints: Fingerprints): void {
    this.#fingerprints = fingerprints;
    this.save(this.#orders);
  }

  /** Devices have these addresses from us. */
  noteGiven(given: readonly GivenAddress[]): void {
    this.#given = given;
    this.save(this.#orders);
  }

  /** As {@link keepIkeSas}. */
  handOver(ikeSas: readonly Uint8Array[]): boolean {
    return keepIkeSas(this.#options.store, ikeSas);
  }

  /** Nothing comes after this process. */
  giveUp(): void {
    const { store, ground } = this.#options;
    if (!store.isThere) return;
    for (const name of [KEPT_TABLE, KEPT_KEYS, ...KEPT_LANES, ...keptGround(ground)]) store.remove(name);
  }

  close(): void {
    if (this.#state !== undefined) closeFd(this.#state);
    this.#state = undefined;
  }
}
