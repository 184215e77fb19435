/** The main thread's side of the data plane: carries out what IKE asks for on the SA table (RFC 4301 section 4.4.2). */
import type { RandomSource } from "../base/random.ts";
import type { Spi } from "../base/spi.ts";
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import type { EspKeyStore } from "../esp/engine.ts";
import type {
  DataPlaneCommand,
  DataPlaneEvent,
  DataPlaneQuery,
  Encapsulation,
  EspSuite,
  PolicyName,
  SaUsage,
  SpiAllocator,
} from "../policy/data-plane.ts";
import type { SaTable } from "../policy/sa-table.ts";
import type { LaneUpcall } from "./lane.ts";

export interface DataPlaneOptions {
  readonly table: SaTable;
  readonly keys: EspKeyStore;
  readonly random: RandomSource;
  /** Octets of the largest outer packet on the way to a peer; 1500 for all unless told. */
  readonly pathMtu?: (local: UdpEndpoint, remote: UdpEndpoint) => number;
}

/** One pair as it is now, for `status`. */
export interface SaPairState {
  readonly policy: PolicyName;
  readonly inboundSpi: Spi;
  /** Absent while there is no outbound half. */
  readonly outboundSpi: Spi | undefined;
  readonly suite: EspSuite;
  readonly encapsulation: Encapsulation;
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
  readonly usage: SaUsage;
}

export interface DataPlane extends DataPlaneQuery, SpiAllocator {
  /**
   * The index that stands for a policy in the table and in compiled SPDs; made when the name is new.
   * @throws {@link DataPlaneError} `DATA_PLANE_FULL`
   */
  policyIndex(name: PolicyName): number;
  /** Forgets a name that no SPD mentions any more; its index is used again once its last SA is gone. */
  releasePolicy(name: PolicyName): void;
  /**
   * Carries a command out; lanes see it from their next turn on, so wake them afterwards.
   * @throws {@link DataPlaneError} `DATA_PLANE_FULL` when there is no slot or endpoint left (never for an SA whose SPI
   *   was reserved here), `DATA_PLANE_UNKNOWN_SA` when an outbound SA names no inbound one
   */
  execute(command: DataPlaneCommand): void;
  /** What an upcall means to IKE; `undefined` when it concerns nothing that still lives, or is an `audit`. */
  event(upcall: LaneUpcall): DataPlaneEvent | undefined;
  /** Lets a manually keyed SA go on to `lastSequenceNumber`, which has to be reserved on disk before. */
  extendSequence(inboundSpi: Spi, lastSequenceNumber: number): void;
  /** Path MTU to the peer, both halves. */
  setPathMtu(inboundSpi: Spi, octets: number): void;
  /** Frees what every lane has passed, wiping its keys. Call after commands and now and then. */
  reclaim(): void;
  pairs(): readonly SaPairState[];
}

export declare function createDataPlane(options: DataPlaneOptions): DataPlane;
