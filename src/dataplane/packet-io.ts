/** What a lane needs of the system, in batches; the addon does it in production, queues in memory in simulation. */
import type { FrameBatch } from "../base/frame-batch.ts";
import type { PacketBatch } from "../base/packet-batch.ts";

/** Index of a TUN device or socket that the lane was given. */
export type TunIndex = number;
export type SocketIndex = number;

/**
 * What a socket carries: IKE on 500 (and, from peers with NAT traversal, nothing else), IKE and ESP on 4500, raw ESP, raw AH,
 * and packets that are sent with the IP header that they have; of the last kind nothing is received.
 */
export type SocketRole = "ike" | "nat" | "esp" | "ah" | "whole";

export interface LaneSocket {
  readonly role: SocketRole;
  readonly family: 4 | 6;
  /** 0 for raw sockets. */
  readonly localPort: number;
  /** Another lane receives from it. */
  readonly sendsOnly?: true;
}

export interface PacketIo {
  readonly tunCount: number;
  readonly sockets: readonly LaneSocket[];
  /**
   * Fills the batch with what the host sends into the device: packets, and superpackets whose headers were checked. Sets
   * `count`, `offset`, `length`, `kind`, `segmentLength`, `segments`, `packetLength`, and puts the cursor on the first.
   */
  readTun(tun: TunIndex, into: FrameBatch): void;
  /** Hands packets with status PACKET_OK to the host; marks those the system refused PACKET_NOT_SENT. */
  writeTun(tun: TunIndex, from: PacketBatch): void;
  /**
   * The same from packet `first` on, but stops after as many as the host may have answered.
   * @returns the first packet that is left: read the device before they are written, or its queue overflows; `count` at the end
   */
  writeTunSome(tun: TunIndex, from: PacketBatch, first: number): number;
  /**
   * Fills the batch with received datagrams, which stay where the system wrote them: UDP payloads, or for raw sockets ESP
   * packets from their SPI on (the IPv4 header that the system puts in front is skipped). Sets `count`, `offset`,
   * `length`, `meta` and `tos`.
   */
  receive(socket: SocketIndex, into: PacketBatch): void;
  /** Sends each packet with status PACKET_OK to the endpoint record `endpoint[i]` with `tos[i]`; sets `status`. */
  send(socket: SocketIndex, from: PacketBatch): void;
  /**
   * Sends as {@link send} does, but with DF clear in the outer IPv4 header, so that routers on the way may fragment.
   * Absent where the system side does not offer it: DF is then set whatever the SA's settings say.
   */
  sendFragmentable?(socket: SocketIndex, from: PacketBatch): void;
}
