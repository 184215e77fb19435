/** One whole gateway in memory: machine, data plane, lanes and policy, as the daemon puts them together. */
import { Instant } from "../../src/base/instant.ts";
import { formatIpAddress, type IpAddress } from "../../src/base/ip-address.ts";
import type { RandomSource } from "../../src/base/random.ts";
import type { UdpEndpoint } from "../../src/base/udp-endpoint.ts";
import { loadConfiguration } from "../../src/config/load.ts";
import { createDataPlane, type DataPlane } from "../../src/dataplane/data-plane.ts";
import { DROP_REASONS } from "../../src/dataplane/drop-reason.ts";
import { HAND_OVER_COUNTERS, HandOver, inboxOctets } from "../../src/dataplane/hand-over.ts";
import { createLane, type Lane } from "../../src/dataplane/lane.ts";
import type { IkeDatagram, LaneUpcall } from "../../src/dataplane/lane-options.ts";
import { createTwinEspEngine, createTwinKeyStore } from "../../src/esp/twin-engine.ts";
import { Gateway, type GatewayEffect, type GatewayEvent } from "../../src/gateway/gateway.ts";
import { createPathTable } from "../../src/gateway/path-table.ts";
import { createIkeMachine } from "../../src/ike/ike-machine.ts";
import type { JobId, Work } from "../../src/ike/machine.ts";
import type { IkeNotice } from "../../src/ike/notice.ts";
import { formatSaTable, saTableRegions } from "../../src/policy/sa-table.ts";
import { copyInMemory } from "../unit/dataplane/gateway-fixture.ts";
import { type Datagram, MemoryPacketIo } from "../unit/dataplane/memory-packet-io.ts";

export interface Outgoing {
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
  readonly bytes: Uint8Array;
  /** Nobody on the way may fragment it. */
  readonly dontFragment?: boolean;
}

export interface GatewayNodeOptions {
  readonly address: IpAddress;
  readonly peer: IpAddress;
  /** A configuration file's text. */
  readonly yaml: string;
  readonly random: RandomSource;
  readonly now: Instant;
  /** How many, 1 unless told; the system then brings packets to any of them, and lets them turn in any order. */
  readonly lanes?: number;
  /** By which it does so. */
  readonly whims?: RandomSource;
  readonly send: (datagram: Outgoing) => void;
  readonly compute: (job: JobId, work: Work) => void;
  readonly notice: (notice: IkeNotice) => void;
}

export class GatewayNode {
  readonly dataPlane: DataPlane;
  readonly gateway: Gateway;
  readonly #ios: readonly MemoryPacketIo[];
  readonly #lanes: readonly Lane[];
  /** Lanes that do not sleep. */
  readonly #awake = new Set<number>();
  readonly #handedOver: readonly Float64Array[];
  readonly #options: GatewayNodeOptions;
  readonly #ike: IkeDatagram[] = [];
  readonly #upcalls: LaneUpcall[] = [];

  constructor(options: GatewayNodeOptions) {
    this.#options = options;
    const { random, now, peer, address } = options;
    const lanes = options.lanes ?? 1;
    const size = { slots: 64, endpoints: 64, policies: 8, lanes };
    const table = formatSaTable(new ArrayBuffer(saTableRegions(size).total), size);
    const keys = createTwinKeyStore(table);
    const paths = createPathTable([]);
    this.#ios = Array.from({ length: lanes }, () => new MemoryPacketIo(table));
    this.#handedOver = this.#ios.map(() => new Float64Array(HAND_OVER_COUNTERS));
    this.dataPlane = createDataPlane({ table, keys, random });
    const configuration = readYaml(options.yaml);
    const { ports } = configuration.gateway;
    const machine = createIkeMachine({
      connections: [],
      random,
      spis: this.dataPlane,
      usage: this.dataPlane,
      ports,
      localAddressFor: (remote) => paths.localAddressFor(remote),
      now,
    });
    this.gateway = new Gateway({ machine, dataPlane: this.dataPlane, paths, natPort: ports.nat });
    const inboxes = this.#ios.map(() => new ArrayBuffer(inboxOctets(lanes)));
    this.#lanes = this.#ios.map((io, index) =>
      createLane({
        index,
        io,
        engine: createTwinEspEngine(table, keys, random),
        table,
        ike: (datagram) => this.#ike.push(datagram) > 0,
        upcall: (upcall) => this.#upcalls.push(upcall),
        ...(lanes > 1 && {
          handOver: new HandOver({
            lanes,
            index,
            inboxes,
            copy: copyInMemory,
            wake: (lane) => this.#awake.add(lane),
            counters: this.#handedOver[index]!,
          }),
        }),
        frames: 32,
        receiveReads: 4,
      }),
    );
    this.#wakeAll();
    this.gateway.setPaths(new Map([[formatIpAddress(peer), { source: address, mtu: 1500 }]]));
    const spds = this.gateway.setPolicies(configuration);
    for (const lane of this.#lanes) for (const [tun, spd] of spds.entries()) lane.setSpd(tun, spd);
    this.gateway.setConnections(configuration, now, this.#perform);
  }

  feed(event: GatewayEvent, now: Instant): void {
    this.gateway.handle(event, now, this.#perform);
  }

  /** The host sends packets of one flow into the device: they come out of one of its queues. */
  fromHost(...packets: readonly Uint8Array[]): void {
    this.#ios[this.#anyLane()]!.fromHost[0]!.push(...packets);
  }

  arrive(datagram: Datagram): void {
    this.#ios[this.#anyLane()]!.arrive(datagram);
  }

  /** What the device has given to the host since the last call. */
  toHost(): Uint8Array[] {
    return this.#ios.flatMap((io) => io.toHost[0]!.splice(0));
  }

  #anyLane(): number {
    return this.#lanes.length === 1 ? 0 : Math.floor(this.#options.whims!.fraction() * this.#lanes.length);
  }

  #wakeAll(): void {
    for (let lane = 0; lane < this.#lanes.length; lane++) this.#awake.add(lane);
  }

  /** Turns the lanes that are awake until they fall asleep, and hands what they found to the gateway. */
  turn(now: Instant): void {
    for (const [index, lane] of this.#lanes.entries()) {
      const due = lane.nextTimeout();
      const isDue = due !== undefined && due <= now;
      if (this.#lanes.length === 1 || isDue || hasWaiting(this.#ios[index]!)) this.#awake.add(index);
    }
    while (this.#awake.size > 0) {
      const awake = [...this.#awake];
      const index = awake[this.#anyLane() % awake.length]!;
      const lane = this.#lanes[index]!;
      lane.stayAwake();
      if (lane.turn(now) === 0 && lane.fallAsleep()) this.#awake.delete(index);
      for (const datagram of this.#ike.splice(0)) this.feed({ kind: "datagram", datagram }, now);
      for (const upcall of this.#upcalls.splice(0)) this.feed({ kind: "upcall", upcall }, now);
      for (const { local, remote, bytes, hasDf } of this.#ios[index]!.sent.splice(0))
        this.#options.send({ local, remote, bytes, dontFragment: hasDf });
    }
  }

  /** When the machine or a lane wants to be called. */
  nextTimeout(): Instant | undefined {
    const wanted = [this.gateway.nextTimeout()?.at, ...this.#lanes.map((lane) => lane.nextTimeout())];
    const times = wanted.filter((at) => at !== undefined);
    return times.length === 0 ? undefined : Instant(Math.min(...times));
  }

  drops(): { readonly [reason: string]: number } {
    const entries = DROP_REASONS.map(
      (reason, i) => [reason, this.#lanes.reduce((sum, { drops }) => sum + drops[i]!, 0)] as const,
    );
    return Object.fromEntries(entries.filter(([, count]) => count > 0));
  }

  /** Frames and datagrams that came to another lane than that of their SA. */
  handedOver(): number {
    return this.#handedOver.flatMap((counters) => [...counters]).reduce((sum, count) => sum + count, 0);
  }

  readonly #perform = (effect: GatewayEffect): void => {
    if (effect.kind === "send") this.#options.send(effect);
    if (effect.kind === "wakeLanes") this.#wakeAll();
    if (effect.kind === "compute") this.#options.compute(effect.job, effect.work);
    if (effect.kind === "notice") this.#options.notice(effect.notice);
  };
}

function hasWaiting({ fromHost, arrived }: MemoryPacketIo): boolean {
  return [...fromHost, ...arrived].some((queue) => queue.length > 0);
}

function readYaml(text: string) {
  const bytes = new TextEncoder().encode(text);
  return loadConfiguration("/sim/tungate.yaml", {
    readFile: (path) =>
      path === "/sim/tungate.yaml" ? { kind: "file", bytes, mode: 0o600 } : { kind: "missing" },
    environment: () => "a pre-shared key that is long enough",
    wallClock: () => 0,
  });
}
