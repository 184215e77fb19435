/** What a lane is given once, and what it tells whoever gave it. */
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import type { UnreachableReport } from "../base/unreachable-report.ts";
import type { EspEngine } from "../esp/engine.ts";
import type { PathReport } from "../esp/path-report.ts";
import type { PacketSelectors, SaLimit } from "../policy/data-plane.ts";
import type { SaTable } from "../policy/sa-table.ts";
import type { DropReason } from "./drop-reason.ts";
import type { HandOver } from "./hand-over.ts";
import type { PacketIo } from "./packet-io.ts";

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
  /** A stranger or our own host says that an outer packet was too big. */
  | { readonly kind: "pathReport"; readonly report: PathReport }
  /** A stranger or our own host says that an IKE message did not arrive. */
  | { readonly kind: "unreachable"; readonly report: UnreachableReport }
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
  /** Takes an upcall; `false` when there is no room for it: an acquire, limit or move is then raised again. */
  readonly upcall: (upcall: LaneUpcall) => unknown;
  /** The way to and from the other lanes; absent when there is one. */
  readonly handOver?: HandOver;
  /** Counters by drop reason; given when another thread reads them. {@link DROP_COUNTERS_LENGTH} octets. */
  readonly drops?: Float64Array;
  /** The last drops; given when another thread reads them. {@link DROP_RECORD_OCTETS} octets, zeroed. */
  readonly dropRecord?: ArrayBufferLike;
  /** Frames that a device may give in one turn; 256 unless told. */
  readonly frames?: number;
  /** Reads of a socket in one turn; 16 unless told. */
  readonly receiveReads?: number;
}
