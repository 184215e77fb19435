/** Packets of AH on their way through a lane: of any length, since the system puts fragments together, and we cut. */
import { createArenaBatch, type PacketBatch } from "../base/packet-batch.ts";

/** What an IP header can say. */
export const AH_PACKET_MAX = 0xffff;
/** Room for one of any length, or for many of the usual one. */
const OCTETS = 4 * (AH_PACKET_MAX + 1);
/** Behind each packet its ICV is computed, and the next one begins at a multiple of 64. */
const ICV_MAX = 64;

export function createAhCells(capacity: number): PacketBatch {
  return createArenaBatch(capacity, OCTETS);
}

/** @param end - octet where there is room in the cells */
export function hasRoomForAh(end: number): boolean {
  return end + AH_PACKET_MAX + ICV_MAX <= OCTETS;
}

/** Where there is room behind a packet that ends at `end`. */
export function behindAh(end: number): number {
  return Math.ceil((end + ICV_MAX) / 64) * 64;
}
