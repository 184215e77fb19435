/** Two gateways, a virtual clock and a network that loses, doubles, delays and reorders; everything follows from a seed. */
import { after, DurationMs, Instant } from "../../src/base/instant.ts";
import { IpAddress, parseIpAddress } from "../../src/base/ip-address.ts";
import type { RandomSource } from "../../src/base/random.ts";
import type { JobId, Work } from "../../src/ike/machine.ts";
import type { IkeNotice } from "../../src/ike/notice.ts";
import { performWork } from "../../src/io/compute-work.ts";
import { seededRandom } from "../unit/dataplane/gateway-fixture.ts";
import { GatewayNode, type Outgoing } from "./gateway-node.ts";
import { Ledger } from "./ledger.ts";

export type Side = "a" | "b";

export interface Weather {
  /** Part of the datagrams that vanish. */
  readonly loss: number;
  /** Part that arrives twice. */
  readonly duplication: number;
  /** Milliseconds on the way, at least and at most; a spread reorders. */
  readonly delay: readonly [number, number];
}

/** A link in the middle that carries no larger packets. */
export interface Narrow {
  /** Octets of an IP packet, in both directions; what may be fragmented passes. */
  readonly mtu: number;
  /** Whether its router says so. */
  readonly hasIcmp: boolean;
  /** Octets that the ICMP error quotes behind the IP header. */
  readonly quotes?: number;
}

export const FINE: Weather = { loss: 0, duplication: 0, delay: [5, 5] };

export const ADDRESSES: Readonly<Record<Side, IpAddress>> = {
  a: IpAddress(parseIpAddress("192.0.2.1")!),
  b: IpAddress(parseIpAddress("198.51.100.2")!),
};

export interface WorldOptions {
  readonly seed: number;
  readonly yaml: Readonly<Record<Side, string>>;
  readonly weather?: Weather;
  /** 1 unless told. */
  readonly lanes?: Readonly<Record<Side, number>>;
}

export const ROUTER = IpAddress(parseIpAddress("203.0.113.1")!);

interface Due {
  readonly at: Instant;
  readonly order: number;
  readonly run: () => void;
}

export class GatewayWorld {
  readonly seed: number;
  now = Instant(1_000);
  weather: Weather;
  narrow: Narrow | undefined;
  readonly ledger = new Ledger();
  readonly notices: Readonly<Record<Side, IkeNotice[]>> = { a: [], b: [] };
  readonly #options: WorldOptions;
  readonly #random: RandomSource;
  readonly #nodes: Partial<Record<Side, GatewayNode>> = {};
  readonly #due: Due[] = [];
  #order = 0;
  #lives = 0;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.seed = options.seed;
    this.weather = options.weather ?? FINE;
    this.#random = seededRandom(options.seed * 2 + 1);
    this.start("a");
    this.start("b");
  }

  node(side: Side): GatewayNode {
    const node = this.#nodes[side];
    if (node === undefined) throw new Error(`gateway ${side} is off`);
    return node;
  }

  isOn(side: Side): boolean {
    return this.#nodes[side] !== undefined;
  }

  /** Boots a gateway with nothing but its configuration. */
  start(side: Side): void {
    const life = ++this.#lives;
    const other = side === "a" ? "b" : "a";
    // Odd ones are even ones to it; and no two lives may draw the same SPIs.
    const random = seededRandom(2 * (this.#options.seed * 1000 + life));
    this.#nodes[side] = new GatewayNode({
      address: ADDRESSES[side],
      peer: ADDRESSES[other],
      yaml: this.#options.yaml[side],
      random,
      now: this.now,
      lanes: this.#options.lanes?.[side] ?? 1,
      whims: seededRandom(this.#options.seed * 1000 + 500 + life),
      send: (datagram) => this.#transmit(datagram, other),
      compute: (job, work) => this.#compute(side, life, job, work, random),
      notice: (notice) => this.notices[side].push(notice),
    });
    this.#lifeOf[side] = life;
  }

  /** The power goes off: nothing is said to the peer. */
  kill(side: Side): void {
    delete this.#nodes[side];
  }

  /** The host behind a gateway sends a packet to the host behind the other. */
  sendInner(side: Side, octets?: number): number {
    const { id, packet } = this.ledger.make(side, this.now, octets);
    this.#nodes[side]?.fromHost(packet);
    this.#turn(side);
    return id;
  }

  /** Any packet of a side's host; the ledger knows nothing of it. */
  sendPacket(side: Side, packet: Uint8Array): void {
    this.#nodes[side]?.fromHost(packet);
    this.#turn(side);
  }

  /** Several packets of one flow, one directly behind the other. */
  sendBurst(side: Side, count: number): void {
    const packets = Array.from({ length: count }, () => this.ledger.make(side, this.now).packet);
    this.#nodes[side]?.fromHost(...packets);
    this.#turn(side);
  }

  at(delay: number, run: () => void): void {
    this.#push(after(this.now, DurationMs(delay)), run);
  }

  /** Lets `span` milliseconds pass. */
  run(span: number): void {
    const end = after(this.now, DurationMs(span));
    for (;;) {
      const next = this.#nextMoment();
      if (next === undefined || next > end) break;
      this.now = Instant(Math.max(next, this.now));
      this.#step();
    }
    this.now = end;
  }

  /** Lets time pass until `isReached`, at most `limit` milliseconds. @returns whether it was reached */
  runUntil(limit: number, isReached: () => boolean): boolean {
    const end = after(this.now, DurationMs(limit));
    while (this.now < end) {
      if (isReached()) return true;
      this.run(Math.min(10, end - this.now));
    }
    return isReached();
  }

  readonly #lifeOf: Record<Side, number> = { a: 0, b: 0 };

  #step(): void {
    for (let i = this.#due.findIndex((due) => due.at <= this.now); i >= 0; ) {
      const [due] = this.#due.splice(i, 1);
      due!.run();
      i = this.#due.findIndex((one) => one.at <= this.now);
    }
    for (const side of ["a", "b"] as const) {
      const node = this.#nodes[side];
      if (node === undefined) continue;
      const timeout = node.gateway.nextTimeout();
      if (timeout !== undefined && timeout.at <= this.now) node.feed({ kind: "timeout" }, this.now);
      this.#turn(side);
    }
  }

  #turn(side: Side): void {
    const node = this.#nodes[side];
    if (node === undefined) return;
    node.turn(this.now);
    for (const packet of node.toHost()) this.ledger.deliver(side, packet, this.now);
  }

  #nextMoment(): Instant | undefined {
    let next = this.#due[0]?.at;
    for (const side of ["a", "b"] as const) {
      const own = this.#nodes[side]?.nextTimeout();
      if (own !== undefined && (next === undefined || own < next)) next = own;
    }
    return next;
  }

  #transmit(datagram: Outgoing, to: Side): void {
    this.ledger.wire(datagram, this.now);
    if (this.#isStopped(datagram, to)) return;
    const { loss, duplication, delay } = this.weather;
    const copies = this.#random.fraction() < loss ? 0 : this.#random.fraction() < duplication ? 2 : 1;
    const bytes = Uint8Array.from(datagram.bytes);
    for (let i = 0; i < copies; i++) {
      const wait = delay[0] + this.#random.fraction() * (delay[1] - delay[0]);
      this.at(wait, () => {
        this.#nodes[to]?.arrive({ local: datagram.remote, remote: datagram.local, tos: 0, bytes });
        this.#turn(to);
      });
    }
  }

  #isStopped(datagram: Outgoing, to: Side): boolean {
    const { narrow } = this;
    const { remote, bytes, dontFragment } = datagram;
    const headers = (remote.address.length === 4 ? 20 : 40) + (remote.port === 0 ? 0 : 8);
    if (narrow === undefined || dontFragment !== true || headers + bytes.length <= narrow.mtu) return false;
    if (!narrow.hasIcmp) return true;
    const quoted = bytes.slice(0, Math.max(0, (narrow.quotes ?? 528) - (remote.port === 0 ? 0 : 8)));
    const report = { origin: "icmp", remote, reporter: ROUTER, mtu: narrow.mtu, quoted } as const;
    const from = to === "a" ? "b" : "a";
    this.at(1, () =>
      this.#nodes[from]?.feed({ kind: "upcall", upcall: { kind: "pathReport", report } }, this.now),
    );
    return true;
  }

  #compute(side: Side, life: number, job: JobId, work: Work, random: RandomSource): void {
    const result = performWork(work, { random, wallClock: 0 });
    if (result.kind === "revocationNeeded") throw new Error("no certificates are checked here");
    this.at(this.#random.fraction() * 20, () => {
      if (this.#lifeOf[side] === life) this.#nodes[side]?.feed({ kind: "computed", job, result }, this.now);
    });
  }

  #push(at: Instant, run: () => void): void {
    const order = this.#order++;
    let i = this.#due.length;
    while (i > 0 && this.#due[i - 1]!.at > at) i--;
    this.#due.splice(i, 0, { at, order, run });
  }
}
