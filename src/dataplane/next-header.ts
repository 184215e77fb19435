/** What an authentic ESP packet carries, by the next header of its trailer (RFC 4303 section 2.6). */
import type { Instant } from "../base/instant.ts";
import type { PacketBatch } from "../base/packet-batch.ts";
import { espNextHeader, espPayloadLength, innerPacketLength, isDummyPacket } from "../wire/esp/esp-packet.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import type { AggfragInbound } from "./aggfrag-inbound.ts";
import { Drop } from "./drop-reason.ts";
import type { InnerPackets } from "./inner-packets.ts";

/** In place of a drop reason: what is inside is delivered by another way. */
export const TAKEN = -2;

/**
 * As {@link unwrapPayload}, of an SA without AGGFRAG.
 * @returns ACCEPTED when `offset` and `length` span a packet to deliver, else the reason to drop it
 */
export function unwrapPacket(
  batch: PacketBatch,
  i: number,
  slot: number,
  inner: InnerPackets,
  now: Instant,
): number {
  const { bytes } = batch;
  const start = batch.offset[i]!;
  const end = start + batch.length[i]!;
  const payloadLength = espPayloadLength(bytes, start, end);
  if (payloadLength < 0) return Drop.badPadding;
  const nextHeader = espNextHeader(bytes, end);
  if (isDummyPacket(nextHeader)) return Drop.dummy;
  if (nextHeader !== IpProtocol.IPV4 && nextHeader !== IpProtocol.IPV6) return Drop.badNextHeader;
  const length = innerPacketLength(bytes, start, payloadLength, nextHeader);
  if (length < 0) return Drop.malformedInner;
  batch.length[i] = length;
  return inner.check(batch, start, length, slot, batch.tos[i]!, now);
}

/**
 * Takes trailer and TFC padding off packet `i` and hands what is inside to whoever judges it.
 * @param sequence - the whole number
 * @returns {@link TAKEN}, ACCEPTED when `offset` and `length` span a packet to deliver, else the reason to drop it
 */
export function unwrapPayload(
  batch: PacketBatch,
  i: number,
  slot: number,
  inner: InnerPackets,
  aggfrag: AggfragInbound,
  sequence: number,
  now: Instant,
): number {
  if (!aggfrag.isFor(slot)) return unwrapPacket(batch, i, slot, inner, now);
  const start = batch.offset[i]!;
  const end = start + batch.length[i]!;
  if (espNextHeader(batch.bytes, end) === IpProtocol.AGGFRAG) {
    const payloadLength = espPayloadLength(batch.bytes, start, end);
    if (payloadLength < 0) return Drop.badPadding;
    aggfrag.take(batch, i, payloadLength, slot, sequence, now);
    return TAKEN;
  }
  aggfrag.pass(slot, sequence, now);
  return unwrapPacket(batch, i, slot, inner, now);
}
