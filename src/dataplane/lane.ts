/** A lane: both directions of its share of the traffic, one turn at a time (RFC 4301 section 5). */
import type { Instant } from "../base/instant.ts";
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import type { EspEngine } from "../esp/engine.ts";
import type { PacketSelectors, SaLimit } from "../policy/data-plane.ts";
import type { SaTable } from "../policy/sa-table.ts";
import type { CompiledSpd } from "../policy/spd.ts";
import type { DropReason } from "./drop-reason.ts";
import type { PacketIo, TunIndex } from "./packet-io.ts";

/** What a lane tells the main thread, in numbers of the table; `DataPlane.event` turns it into a `DataPlaneEvent`. */
export type LaneUpcall =
  | { readonly kind: "acquire"; readonly policy: number; readonly packet: PacketSelectors }
  | { readonly kind: "softLimit" | "hardLimit"; readonly inboundSpi: number; readonly reason: SaLimit }
  | {
      readonly kind: "peerMoved";
      readonly inboundSpi: number;
      readonly local: UdpEndpoint;
      readonly remote: UdpEndpoint;
    }
  /** A sample of the inbound packets that were refused, rate limited [ESP-12]. */
  | {
      readonly kind: "audit";
      readonly reason: DropReason;
      readonly spi: number;
      readonly sequenceNumber: number;
      readonly local: UdpEndpoint;
      readonly remote: UdpEndpoint;
    };

/** An IKE message found on a socket, without the non-ESP marker; the octets are the receiver's own copy. */
export interface IkeDatagram {
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
  readonly bytes: Uint8Array;
}

export interface LaneOptions {
  /** Which lane of the table this is, 0..lanes-1. */
  readonly index: number;
  readonly io: PacketIo;
  readonly engine: EspEngine;
  readonly table: SaTable;
  /** Takes an IKE message; `false` when there is no room for it, which is counted. */
  readonly ike: (datagram: IkeDatagram) => boolean;
  readonly upcall: (upcall: LaneUpcall) => void;
  /** Counters by drop reason; given when another thread reads them. {@link DROP_COUNTERS_LENGTH} octets. */
  readonly drops?: Float64Array;
  /** Packets per batch; 128 unless told. */
  readonly batchCapacity?: number;
  /** Longest packet on a TUN device or in a datagram; 2048 unless told. */
  readonly packetLengthMax?: number;
  /** Memory of `laneArenaLength` octets for both batches; given when native code needs it to be its own. */
  readonly arena?: Uint8Array;
}

export interface Lane {
  /** Replaces the policy of a TUN device from the next packet on. Without one everything is dropped [SPD-01]. */
  setSpd(tun: TunIndex, spd: CompiledSpd): void;
  /**
   * Reads, decides and writes once in both directions. No packet's content makes it throw.
   * @returns packets and datagrams handled; zero: wait until a descriptor is readable, a command came, or {@link nextTimeout}
   */
  turn(now: Instant): number;
  /** When a turn is due even if nothing arrives. */
  nextTimeout(): Instant | undefined;
  /** Counters by drop reason, see `Drop`. */
  readonly drops: Float64Array;
}

export declare function createLane(options: LaneOptions): Lane;
/** Octets of arena that a lane needs. */
export declare function laneArenaLength(batchCapacity?: number, packetLengthMax?: number): number;
