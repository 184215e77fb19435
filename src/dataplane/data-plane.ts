/** The main thread's side of the data plane: carries out what IKE asks for on the SA table (RFC 4301 section 4.4.2). */
import { equal } from "../base/bytes.ts";
import { InvariantError } from "../base/errors.ts";
import { Instant } from "../base/instant.ts";
import type { IpAddress } from "../base/ip-address.ts";
import type { RandomSource } from "../base/random.ts";
import { formatSpi, isAllocatableSpi, Spi } from "../base/spi.ts";
import { sameEndpoint, type UdpEndpoint } from "../base/udp-endpoint.ts";
import type { EspKeyStore } from "../esp/engine.ts";
import type {
  DataPlaneCommand,
  DataPlaneEvent,
  DataPlaneQuery,
  Encapsulation,
  EspSuite,
  InboundSa,
  OutboundSa,
  PolicyName,
  SaUsage,
  SpiAllocator,
} from "../policy/data-plane.ts";
import { outerPath } from "../policy/endpoint-record.ts";
import { laneBits, laneOfSpi } from "../policy/lane-of-spi.ts";
import { readUint64, setSequenceLimit, writeSaRecord } from "../policy/sa-record.ts";
import { AggfragMode, Header, SaMode, type SaTable, Slot, SlotState } from "../policy/sa-table.ts";
import { findBySpi, hasSameTraffic, slotOffset } from "../policy/sad.ts";
import { SadError } from "../policy/sad-error.ts";
import { SadWriter } from "../policy/sad-writer.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import type { LaneUpcall } from "./lane-options.ts";
import { createPolicyRegistry, type PolicyRegistry } from "./policy-registry.ts";

export interface DataPlaneOptions {
  readonly table: SaTable;
  readonly keys: EspKeyStore;
  readonly random: RandomSource;
  /** Octets of the largest outer packet on the way to a peer; 1500 for all unless told. */
  readonly pathMtu?: (local: UdpEndpoint, remote: UdpEndpoint) => number;
  /** With a table that another process left, after `recoverSaTable`: the policies that its indices stand for. */
  readonly policies?: ReadonlyMap<PolicyName, number>;
}

/** What is asked of an outbound SA that somebody names. */
export interface OutboundState {
  readonly inboundSpi: Spi;
  readonly remote: UdpEndpoint;
  /** Number of the last packet, 0 before the first. */
  readonly lastSequenceNumber: number;
}

/** One pair as it is now, for `status`. */
export interface SaPairState {
  readonly policy: PolicyName;
  readonly inboundSpi: Spi;
  /** Absent while there is no outbound half. */
  readonly outboundSpi: Spi | undefined;
  readonly suite: EspSuite;
  /** Absent: tunnel mode. */
  readonly mode?: "transport";
  readonly encapsulation: Encapsulation;
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
  /** Octets of the largest outer packet on the way. */
  readonly pathMtu: number;
  /** Octets of the largest inner packet that the operator allows; 0: what the path takes. */
  readonly innerMtuMax: number;
  /** How much of the traffic shows, as far as both ends agreed. */
  readonly flow: SaFlow;
  /** The highest sequence number of an authentic packet; read before `usage`, so that gaps are never overstated. */
  readonly inboundHighest: number;
  readonly usage: SaUsage;
  /** When it ends should there be no IKE SA that ends it; absent: nobody said. */
  readonly expiresAt?: Instant;
}

/** What passed one pair so far. */
export interface SaTraffic {
  readonly policy: PolicyName;
  readonly inboundSpi: Spi;
  readonly inboundPackets: number;
  readonly inboundOctets: number;
  readonly outboundPackets: number;
  readonly outboundOctets: number;
}

/** Settings of traffic flow confidentiality as they are in the outbound slot. */
export interface SaFlow {
  /** Octets, TFC_PAD_TO_MTU, or 0 for none. */
  readonly padTo: number;
  readonly dummiesPerSecond: number;
  readonly aggfrag: "off" | "aggregate" | "constant";
  /** With `constant`. */
  readonly octetsPerSecond: number;
  readonly mayFragment: boolean;
  /** Where a constant rate gives way to others on the path. */
  readonly congestion?: CongestionState;
}

export interface CongestionState {
  /** What is sent now, at most {@link SaFlow.octetsPerSecond}. */
  readonly octetsPerSecond: number;
  /** Milliseconds; 0: the peer has reported nothing yet. */
  readonly rtt: number;
  /** Packets between two loss events; 0: there was none. */
  readonly lossInterval: number;
}

export interface DataPlane extends DataPlaneQuery, SpiAllocator {
  /**
   * The index that stands for a policy in the table and in compiled SPDs; made when the name is new.
   * @throws {@link SadError} `SAD_FULL`
   */
  policyIndex(name: PolicyName): number;
  /** The policy that an index stands for. */
  policyName(index: number): PolicyName | undefined;
  /** What index stands for which policy. */
  policies(): ReadonlyMap<PolicyName, number>;
  /** Pairs besides this one that carry the same traffic to the same peer. */
  twins(inboundSpi: Spi): readonly Spi[];
  /** Forgets a name that no SPD mentions any more; its index is used again once its last SA is gone. */
  releasePolicy(name: PolicyName): void;
  /**
   * Carries a command out; lanes see it from their next turn on, so wake them afterwards. Naming an SA or policy that
   * is not there does nothing, and an SA stays where it is when the table has no record left for another address.
   * @throws {@link SadError} `SAD_FULL` (never for an SA whose SPI was reserved here), `SAD_UNSUPPORTED`,
   *   `SAD_SELECTORS`, `SAD_DUPLICATE`, `SAD_UNPAIRED`; nothing has changed then
   */
  execute(command: DataPlaneCommand): void;
  /** What an upcall means to IKE; `undefined` when it concerns nothing that still lives, or is an `audit`. */
  event(upcall: LaneUpcall): DataPlaneEvent | undefined;
  /** Lets a manually keyed SA go on to `lastSequenceNumber`, which has to be reserved on disk before. */
  extendSequence(inboundSpi: Spi, lastSequenceNumber: number): void;
  /** The outbound SA of this SPI to this address; `undefined` when there is none. */
  findOutbound(spi: number, remote: IpAddress): OutboundState | undefined;
  /** Path MTU to the peer, both halves. */
  setPathMtu(inboundSpi: Spi, octets: number): void;
  /** Frees what every lane has passed, wiping its keys. Call after commands and now and then. */
  reclaim(): void;
  pairs(): readonly SaPairState[];
  /** Of every pair, those among them that lanes may still be about to leave: each is there until its end was told. */
  traffic(): readonly SaTraffic[];
  /** Tells what passed each half of a pair when no lane uses it any more; the inbound half is the last. */
  followEnds(listener: (ended: SaTraffic, isLast: boolean) => void): void;
}

const PATH_MTU_DEFAULT = 1500;
const SPI_ATTEMPTS_MAX = 1000;

interface Pair {
  readonly policy: PolicyName;
  readonly inbound: number;
  outbound: number | undefined;
}

export function createDataPlane(options: DataPlaneOptions): DataPlane {
  return new TableDataPlane(options);
}

class TableDataPlane implements DataPlane {
  readonly #table: SaTable;
  readonly #keys: EspKeyStore;
  readonly #random: RandomSource;
  readonly #pathMtu: (local: UdpEndpoint, remote: UdpEndpoint) => number;
  readonly #sad: SadWriter;
  readonly #policies: PolicyRegistry;
  readonly #pairs = new Map<number, Pair>();
  readonly #reserved = new Set<number>();
  /** Pairs by policy, and pairs whose outbound half is still to come. */
  readonly #pairsOfPolicy = new Map<PolicyName, number>();
  #halves = 0;
  /** By slot: halves that were taken out and that lanes may still count in. */
  readonly #ending = new Map<number, { readonly policy: PolicyName; readonly inboundSpi: Spi }>();
  #onEnd: (ended: SaTraffic, isLast: boolean) => void = () => undefined;
  /** SA pairs by lane, those to come included. */
  readonly #pairsOfLane: number[];

  constructor(options: DataPlaneOptions) {
    this.#table = options.table;
    this.#keys = options.keys;
    this.#random = options.random;
    this.#pathMtu = options.pathMtu ?? (() => PATH_MTU_DEFAULT);
    this.#sad = new SadWriter(options.table);
    this.#policies = createPolicyRegistry(options.table.size.policies, options.policies);
    this.#pairsOfLane = new Array<number>(options.table.size.lanes).fill(0);
    this.#findPairs();
  }

  /** Those that another process left. */
  #findPairs(): void {
    for (let slot = 0; slot < this.#table.u32[Header.SLOTS_USED / 4]!; slot++) {
      const isInbound = this.#get(slot, Slot.DIRECTION) === 0;
      if (!isInbound || this.#get(slot, Slot.STATE) !== SlotState.LIVE) continue;
      const policy = this.#policies.nameOf(this.#get(slot, Slot.POLICY));
      if (policy === undefined) throw new InvariantError(`slot ${slot} is of a policy without a name`);
      const other = this.#get(slot, Slot.PAIR);
      this.#addPair(Spi(this.#get(slot, Slot.SPI)), policy, slot, other === 0 ? undefined : other - 1);
    }
  }

  #addPair(spi: Spi, policy: PolicyName, inbound: number, outbound: number | undefined): void {
    if (!this.#reserved.delete(spi)) this.#countPair(spi, 1);
    this.#pairs.set(spi, { policy, inbound, outbound });
    this.#pairsOfPolicy.set(policy, (this.#pairsOfPolicy.get(policy) ?? 0) + 1);
    if (outbound === undefined) this.#halves++;
  }

  policyIndex(name: PolicyName): number {
    return this.#policies.take(name);
  }

  policyName(index: number): PolicyName | undefined {
    return this.#policies.nameOf(index);
  }

  policies(): ReadonlyMap<PolicyName, number> {
    return this.#policies.all();
  }

  twins(inboundSpi: Spi): readonly Spi[] {
    const own = this.#pairs.get(inboundSpi);
    if (own?.outbound === undefined) return [];
    const { outbound } = own;
    const isTwin = (other: Pair) =>
      other !== own &&
      other.outbound !== undefined &&
      hasSameTraffic(this.#table, outbound, other.outbound) &&
      equal(this.#remoteOf(outbound), this.#remoteOf(other.outbound));
    return [...this.#pairs].filter(([, pair]) => isTwin(pair)).map(([spi]) => Spi(spi));
  }

  #remoteOf(slot: number): IpAddress {
    return this.#sad.readEndpoint(this.#get(slot, Slot.ENDPOINT)).remote.address;
  }

  releasePolicy(name: PolicyName): void {
    this.#policies.release(name, this.#isPolicyUsed(name));
  }

  /** The low bits name the lane that will own the SA. [ESP-01] */
  reserve(replaces?: Spi, owner?: number): Spi {
    this.reclaim();
    if (this.#sad.freeSlots() < 2 * (this.#reserved.size + 1) + this.#halves)
      throw new SadError("SAD_FULL", `all ${this.#table.size.slots} SA slots are in use or reserved`);
    const { lanes } = this.#table.size;
    const idlest = this.#pairsOfLane.indexOf(Math.min(...this.#pairsOfLane));
    const lane =
      owner !== undefined ? owner % lanes : replaces === undefined ? idlest : laneOfSpi(replaces, lanes);
    for (let attempt = 0; attempt < SPI_ATTEMPTS_MAX; attempt++) {
      const octets = this.#random.publicBytes(4);
      const drawn = new DataView(octets.buffer, octets.byteOffset, 4).getUint32(0);
      const value = ((drawn & ~laneBits(lanes)) | lane) >>> 0;
      if (!isAllocatableSpi(value) || this.#reserved.has(value) || this.#pairs.has(value)) continue;
      this.#reserved.add(value);
      this.#sad.await(value);
      this.#countPair(value, 1);
      return Spi(value);
    }
    throw new SadError("SAD_FULL", `no free SPI found in ${SPI_ATTEMPTS_MAX} attempts`);
  }

  #countPair(spi: number, difference: number): void {
    const lane = laneOfSpi(spi, this.#table.size.lanes);
    this.#pairsOfLane[lane] = this.#pairsOfLane[lane]! + difference;
  }

  release(spi: Spi): void {
    if (!this.#reserved.delete(spi)) return;
    this.#countPair(spi, -1);
    this.#sad.awaitNoLonger(spi);
  }

  execute(command: DataPlaneCommand): void {
    this.reclaim();
    switch (command.kind) {
      case "addInboundSa":
        this.#addInbound(command.sa);
        break;
      case "addOutboundSa":
        this.#addOutbound(command.sa);
        break;
      case "removeOutboundSa":
        this.#removeOutbound(command.inboundSpi);
        break;
      case "removePair":
        this.#removePair(command.inboundSpi);
        break;
      case "moveSa":
        this.#move(command.inboundSpi, command.local, command.remote, command.encapsulation);
        break;
      case "acquireFailed": {
        const index = this.#policies.indexOf(command.policy);
        if (index !== undefined) this.#sad.clearAcquire(index);
        break;
      }
      default:
        command satisfies never;
    }
  }

  #addInbound(sa: InboundSa): void {
    if (this.#pairs.has(sa.spi) || findBySpi(this.#table, sa.spi) >= 0)
      throw new SadError("SAD_DUPLICATE", `there is an inbound SA with SPI ${formatSpi(sa.spi)} already`);
    const slot = this.#write(sa, laneOfSpi(sa.spi, this.#table.size.lanes));
    this.#addPair(sa.spi, sa.policy, slot, undefined);
    this.#sad.publishInbound(slot);
  }

  #addOutbound(sa: OutboundSa): void {
    const pair = this.#pairs.get(sa.inboundSpi);
    if (pair === undefined || pair.outbound !== undefined)
      throw new SadError(
        "SAD_UNPAIRED",
        `the outbound SA ${formatSpi(sa.spi)} has no inbound SA ${formatSpi(sa.inboundSpi)} to pair with`,
      );
    const slot = this.#write(sa, this.#get(pair.inbound, Slot.OWNER_LANE));
    pair.outbound = slot;
    this.#halves--;
    this.#put(slot, Slot.PAIR, pair.inbound + 1);
    this.#put(pair.inbound, Slot.PAIR, slot + 1);
    this.#sad.publishOutbound(slot);
    this.#sad.clearAcquire(this.#get(slot, Slot.POLICY));
  }

  /** Record and keys are complete before anybody can find the SA. */
  #write(sa: InboundSa | OutboundSa, lane: number): number {
    const policy = this.#policies.indexOf(sa.policy) ?? this.#policies.take(sa.policy);
    const slot = this.#sad.allocateSlot();
    let endpoint: number | undefined;
    try {
      endpoint = this.#sad.takeEndpoint(outerPath(sa.local, sa.remote, sa.encapsulation));
      const pathMtu = this.#pathMtu(sa.local, sa.remote);
      writeSaRecord(this.#table, this.#sad.memory, sa, { slot, lane, policy, endpoint, pathMtu });
      this.#keys.install(slot, sa.keys.encr, sa.keys.integ);
      return slot;
    } catch (error) {
      if (endpoint !== undefined) this.#sad.dropEndpoint(endpoint);
      this.#sad.returnSlot(slot);
      throw error;
    }
  }

  #removeOutbound(inboundSpi: Spi): void {
    const pair = this.#pairs.get(inboundSpi);
    if (pair?.outbound !== undefined) this.#sad.stopOutbound(pair.outbound);
  }

  #removePair(inboundSpi: Spi): void {
    const pair = this.#pairs.get(inboundSpi);
    if (pair === undefined) return;
    this.#pairs.delete(inboundSpi);
    this.#countPair(inboundSpi, -1);
    const left = (this.#pairsOfPolicy.get(pair.policy) ?? 1) - 1;
    if (left === 0) this.#pairsOfPolicy.delete(pair.policy);
    else this.#pairsOfPolicy.set(pair.policy, left);
    const { policy } = pair;
    if (pair.outbound === undefined) this.#halves--;
    else {
      this.#sad.retire(pair.outbound);
      this.#ending.set(pair.outbound, { policy, inboundSpi });
    }
    this.#sad.retire(pair.inbound);
    this.#ending.set(pair.inbound, { policy, inboundSpi });
    if (!this.#isPolicyUsed(pair.policy)) this.#policies.freeReleased(pair.policy);
    this.reclaim();
  }

  #move(inboundSpi: Spi, local: UdpEndpoint, remote: UdpEndpoint, encapsulation: Encapsulation): void {
    const pair = this.#pairs.get(inboundSpi);
    if (pair === undefined) return;
    const path = outerPath(local, remote, encapsulation);
    const slots = pair.outbound === undefined ? [pair.inbound] : [pair.inbound, pair.outbound];
    if (!this.#sad.hasEndpoint(path)) return;
    const endpoints = slots.map(() => this.#sad.takeEndpoint(path));
    const pathMtu = this.#pathMtu(local, remote);
    for (const [i, slot] of slots.entries()) {
      this.#put(slot, Slot.PATH_MTU, pathMtu);
      this.#sad.dropEndpoint(this.#sad.swapEndpoint(slot, endpoints[i]!));
    }
  }

  #isPolicyUsed(name: PolicyName): boolean {
    return this.#pairsOfPolicy.has(name);
  }

  event(upcall: LaneUpcall): DataPlaneEvent | undefined {
    switch (upcall.kind) {
      case "acquire": {
        const policy = this.#policies.nameOf(upcall.policy);
        return policy === undefined ? undefined : { kind: "acquire", policy, packet: upcall.packet };
      }
      case "softLimit":
      case "hardLimit":
        if (!this.#pairs.has(upcall.inboundSpi)) return undefined;
        return { kind: upcall.kind, inboundSpi: Spi(upcall.inboundSpi), reason: upcall.reason };
      case "peerMoved": {
        const pair = this.#pairs.get(upcall.inboundSpi);
        if (pair === undefined) return undefined;
        const known = this.#sad.readEndpoint(this.#get(pair.inbound, Slot.ENDPOINT));
        if (sameEndpoint(known.remote, upcall.remote)) return undefined;
        const { local, remote } = upcall;
        return { kind: "peerMoved", inboundSpi: Spi(upcall.inboundSpi), local, remote };
      }
      case "audit":
      case "pathReport":
      case "unreachable":
        return undefined;
      default:
        return upcall satisfies never;
    }
  }

  usage(inboundSpi: Spi): SaUsage | undefined {
    const pair = this.#pairs.get(inboundSpi);
    return pair === undefined ? undefined : this.#usageOf(pair);
  }

  #usageOf({ inbound, outbound }: Pair): SaUsage {
    const count = (slot: number | undefined, field: number) =>
      slot === undefined ? 0 : this.#table.f64[(slotOffset(this.#table, slot) + field) / 8]!;
    const lastAt = (slot: number | undefined) => {
      const at = slot === undefined ? Number.NaN : count(slot, Slot.LAST_AT);
      return Number.isNaN(at) ? undefined : Instant(at);
    };
    return {
      inboundPackets: count(inbound, Slot.PACKETS),
      inboundOctets: count(inbound, Slot.OCTETS),
      outboundPackets: count(outbound, Slot.PACKETS),
      outboundOctets: count(outbound, Slot.OCTETS),
      nextSequenceNumber:
        outbound === undefined
          ? 1
          : readUint64(this.#table, slotOffset(this.#table, outbound) + Slot.SEQUENCE) + 1,
      lastInboundAt: lastAt(inbound),
      lastOutboundAt: lastAt(outbound),
    };
  }

  extendSequence(inboundSpi: Spi, lastSequenceNumber: number): void {
    const outbound = this.#pairs.get(inboundSpi)?.outbound;
    if (outbound === undefined) return;
    const base = slotOffset(this.#table, outbound);
    setSequenceLimit(this.#table, base, lastSequenceNumber);
    Atomics.store(this.#table.u32, (base + Slot.LIMITS_RAISED) / 4, 0);
  }

  findOutbound(spi: number, address: IpAddress): OutboundState | undefined {
    for (const [inboundSpi, { outbound }] of this.#pairs) {
      if (outbound === undefined || this.#get(outbound, Slot.SPI) !== spi) continue;
      const { remote } = this.#sad.readEndpoint(this.#get(outbound, Slot.ENDPOINT));
      if (!equal(remote.address, address)) continue;
      const lastSequenceNumber = readUint64(this.#table, slotOffset(this.#table, outbound) + Slot.SEQUENCE);
      return { inboundSpi: Spi(inboundSpi), remote, lastSequenceNumber };
    }
    return undefined;
  }

  setPathMtu(inboundSpi: Spi, octets: number): void {
    const pair = this.#pairs.get(inboundSpi);
    if (pair === undefined) return;
    this.#put(pair.inbound, Slot.PATH_MTU, octets);
    if (pair.outbound !== undefined) this.#put(pair.outbound, Slot.PATH_MTU, octets);
  }

  reclaim(): void {
    for (const slot of this.#sad.reclaim()) {
      this.#keys.wipe(slot);
      const ended = this.#ending.get(slot);
      if (ended === undefined) continue;
      this.#ending.delete(slot);
      this.#onEnd(this.#trafficOf(slot, ended), this.#isInbound(slot));
    }
  }

  followEnds(listener: (ended: SaTraffic, isLast: boolean) => void): void {
    this.#onEnd = listener;
  }

  traffic(): readonly SaTraffic[] {
    const live = [...this.#pairs].map(([spi, pair]) => {
      const { policy } = pair;
      const { inboundPackets, inboundOctets, outboundPackets, outboundOctets } = this.#usageOf(pair);
      const counts = { inboundPackets, inboundOctets, outboundPackets, outboundOctets };
      return { policy, inboundSpi: Spi(spi), ...counts };
    });
    return [...live, ...[...this.#ending].map(([slot, one]) => this.#trafficOf(slot, one))];
  }

  /** Of one half. */
  #trafficOf(slot: number, name: { readonly policy: PolicyName; readonly inboundSpi: Spi }): SaTraffic {
    const base = slotOffset(this.#table, slot);
    const packets = this.#table.f64[(base + Slot.PACKETS) / 8]!;
    const octets = this.#table.f64[(base + Slot.OCTETS) / 8]!;
    const isInbound = this.#isInbound(slot);
    return {
      ...name,
      inboundPackets: isInbound ? packets : 0,
      inboundOctets: isInbound ? octets : 0,
      outboundPackets: isInbound ? 0 : packets,
      outboundOctets: isInbound ? 0 : octets,
    };
  }

  pairs(): readonly SaPairState[] {
    return [...this.#pairs].map(([spi, pair]) => {
      const path = this.#sad.readEndpoint(this.#get(pair.inbound, Slot.ENDPOINT));
      return {
        policy: pair.policy,
        inboundSpi: Spi(spi),
        outboundSpi: pair.outbound === undefined ? undefined : Spi(this.#get(pair.outbound, Slot.SPI)),
        suite: {
          encr: this.#get(pair.inbound, Slot.ENCR),
          encrKeyBits: this.#get(pair.inbound, Slot.ENCR_KEY_BITS),
          integ: this.#get(pair.inbound, Slot.INTEG),
          esn: this.#get(pair.inbound, Slot.ESN) === 1,
          ...(this.#get(pair.inbound, Slot.PROTOCOL) === IpProtocol.AH ? { protocol: "ah" } : {}),
        },
        ...(this.#get(pair.inbound, Slot.MODE) === SaMode.TRANSPORT ? { mode: "transport" } : {}),
        ...path,
        pathMtu: this.#get(pair.inbound, Slot.PATH_MTU),
        innerMtuMax: this.#get(pair.inbound, Slot.INNER_MTU_MAX),
        flow: this.#flowOf(pair.outbound ?? pair.inbound),
        inboundHighest: this.#table.f64[(slotOffset(this.#table, pair.inbound) + Slot.REPLAY_HIGHEST) / 8]!,
        usage: this.#usageOf(pair),
        ...this.#endOf(pair.inbound),
      };
    });
  }

  #isInbound(slot: number): boolean {
    return this.#get(slot, Slot.DIRECTION) === 0;
  }

  #endOf(slot: number): { readonly expiresAt?: Instant } {
    const at = this.#table.f64[(slotOffset(this.#table, slot) + Slot.EXPIRES_AT) / 8]!;
    return Number.isFinite(at) ? { expiresAt: Instant(at) } : {};
  }

  #flowOf(slot: number): SaFlow {
    const mode = this.#get(slot, Slot.AGGFRAG_MODE);
    return {
      padTo: this.#get(slot, Slot.TFC_PAD),
      dummiesPerSecond: this.#get(slot, Slot.DUMMY_RATE),
      aggfrag: mode === AggfragMode.OFF ? "off" : mode === AggfragMode.CONSTANT ? "constant" : "aggregate",
      octetsPerSecond: this.#get(slot, Slot.AGGFRAG_RATE),
      mayFragment: this.#get(slot, Slot.AGGFRAG_WHOLE) === 0,
      ...this.#congestionOf(slot),
    };
  }

  #congestionOf(slot: number): { readonly congestion?: CongestionState } {
    const octetsPerSecond = this.#get(slot, Slot.AGGFRAG_RATE_NOW);
    if (octetsPerSecond === 0) return {};
    const rtt = this.#get(slot, Slot.AGGFRAG_RTT) / 1000;
    return {
      congestion: { octetsPerSecond, rtt, lossInterval: this.#get(slot, Slot.AGGFRAG_LOSS_INTERVAL) },
    };
  }

  #get(slot: number, field: number): number {
    return this.#table.u32[(slotOffset(this.#table, slot) + field) / 4]!;
  }

  #put(slot: number, field: number, value: number): void {
    Atomics.store(this.#table.u32, (slotOffset(this.#table, slot) + field) / 4, value);
  }
}
