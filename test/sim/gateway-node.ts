/** One whole gateway in memory: machine, data plane, lane and policy, as the daemon puts them together. */
import { Instant } from "../../src/base/instant.ts";
import { formatIpAddress, type IpAddress } from "../../src/base/ip-address.ts";
import type { RandomSource } from "../../src/base/random.ts";
import type { UdpEndpoint } from "../../src/base/udp-endpoint.ts";
import { loadConfiguration } from "../../src/config/load.ts";
import { createDataPlane, type DataPlane } from "../../src/dataplane/data-plane.ts";
import { DROP_REASONS } from "../../src/dataplane/drop-reason.ts";
import { createLane, type Lane } from "../../src/dataplane/lane.ts";
import type { IkeDatagram, LaneUpcall } from "../../src/dataplane/lane-options.ts";
import { createTwinEspEngine, createTwinKeyStore } from "../../src/esp/twin-engine.ts";
import { Gateway, type GatewayEffect, type GatewayEvent } from "../../src/gateway/gateway.ts";
import { createPathTable } from "../../src/gateway/path-table.ts";
import { createIkeMachine } from "../../src/ike/ike-machine.ts";
import type { JobId, Work } from "../../src/ike/machine.ts";
import type { IkeNotice } from "../../src/ike/notice.ts";
import { formatSaTable, saTableRegions } from "../../src/policy/sa-table.ts";
import { MemoryPacketIo } from "../unit/dataplane/memory-packet-io.ts";

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
  readonly send: (datagram: Outgoing) => void;
  readonly compute: (job: JobId, work: Work) => void;
  readonly notice: (notice: IkeNotice) => void;
}

export class GatewayNode {
  readonly io: MemoryPacketIo;
  readonly dataPlane: DataPlane;
  readonly gateway: Gateway;
  readonly lane: Lane;
  readonly #options: GatewayNodeOptions;
  readonly #ike: IkeDatagram[] = [];
  readonly #upcalls: LaneUpcall[] = [];

  constructor(options: GatewayNodeOptions) {
    this.#options = options;
    const { random, now, peer, address } = options;
    const size = { slots: 64, endpoints: 64, policies: 8, lanes: 1 };
    const table = formatSaTable(new ArrayBuffer(saTableRegions(size).total), size);
    const keys = createTwinKeyStore(table);
    const paths = createPathTable([]);
    this.io = new MemoryPacketIo(table);
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
    this.lane = createLane({
      index: 0,
      io: this.io,
      engine: createTwinEspEngine(table, keys, random),
      table,
      ike: (datagram) => this.#ike.push(datagram) > 0,
      upcall: (upcall) => this.#upcalls.push(upcall),
      frames: 32,
      receiveReads: 4,
    });
    this.gateway.setPaths(new Map([[formatIpAddress(peer), { source: address, mtu: 1500 }]]));
    const spds = this.gateway.setPolicies(configuration);
    for (const [tun, spd] of spds.entries()) this.lane.setSpd(tun, spd);
    this.gateway.setConnections(configuration, now, this.#perform);
  }

  feed(event: GatewayEvent, now: Instant): void {
    this.gateway.handle(event, now, this.#perform);
  }

  /** Turns the lane until it has nothing to do, and hands what it found to the gateway. */
  turn(now: Instant): void {
    for (let handled = 1; handled > 0; ) {
      handled = this.lane.turn(now);
      for (const datagram of this.#ike.splice(0)) this.feed({ kind: "datagram", datagram }, now);
      for (const upcall of this.#upcalls.splice(0)) this.feed({ kind: "upcall", upcall }, now);
      for (const { local, remote, bytes, hasDf } of this.io.sent.splice(0))
        this.#options.send({ local, remote, bytes, dontFragment: hasDf });
    }
  }

  /** When the machine or the lane want to be called. */
  nextTimeout(): Instant | undefined {
    const machine = this.gateway.nextTimeout()?.at;
    const lane = this.lane.nextTimeout();
    if (machine === undefined || lane === undefined) return machine ?? lane;
    return Instant(Math.min(machine, lane));
  }

  drops(): { readonly [reason: string]: number } {
    const entries = DROP_REASONS.map((reason, i) => [reason, this.lane.drops[i] ?? 0] as const);
    return Object.fromEntries(entries.filter(([, count]) => count > 0));
  }

  readonly #perform = (effect: GatewayEffect): void => {
    if (effect.kind === "send") this.#options.send(effect);
    if (effect.kind === "compute") this.#options.compute(effect.job, effect.work);
    if (effect.kind === "notice") this.#options.notice(effect.notice);
  };
}

function readYaml(text: string) {
  const bytes = new TextEncoder().encode(text);
  return loadConfiguration("/sim/tungate.yaml", {
    readFile: (path) =>
      path === "/sim/tungate.yaml" ? { kind: "file", bytes, mode: 0o600 } : { kind: "missing" },
    environment: () => "a pre-shared key that is long enough",
  });
}
