/** Which packets may leave in transport mode, and what becomes of them (RFC 4301 sections 4.1 and 5.1, RFC 4303 section 3.1.1). */
import type { FrameBatch } from "../base/frame-batch.ts";
import { EndpointRecord, type SaTable } from "../policy/sa-table.ts";
import type { PacketFields } from "../wire/ip/ip-packet.ts";
import { findSecurityPlace } from "../wire/ip/security-place.ts";
import { Drop } from "./drop-reason.ts";

/** In place of a drop reason: the columns are written. */
export const STRIPPED = -1;
/** In place of a drop reason: the datagram has to be put together first (RFC 4302 and 4303, section 3.3.4) [AH-11]. */
export const FRAGMENT = -2;
/** The column takes one octet. */
const STRIP_MAX = 255;

const place = { offset: 0, nextHeaderAt: 0 };

/**
 * Writes `strip` and `nextHeader` of frame `i`: what is in front of ESP stays outside.
 * @param endpoint - octet of the SA's endpoint record, whose two addresses are the only ones that such an SA protects
 * @returns {@link STRIPPED}, {@link FRAGMENT}, or why the packet must not leave so
 */
export function stripHeader(
  frames: FrameBatch,
  i: number,
  fields: PacketFields,
  table: SaTable,
  endpoint: number,
): number {
  const { bytes } = table;
  if (
    bytes[endpoint + EndpointRecord.FAMILY] !== fields.family ||
    !isAddress(bytes, endpoint + EndpointRecord.LOCAL_ADDRESS, fields.source, fields.family) ||
    !isAddress(bytes, endpoint + EndpointRecord.REMOTE_ADDRESS, fields.destination, fields.family)
  )
    return Drop.notOurHosts;
  if (fields.isFragment) return FRAGMENT;
  const start = frames.offset[i]!;
  const isFound = findSecurityPlace(frames.bytes, start, start + frames.length[i]!, place);
  if (!isFound || place.offset > STRIP_MAX) return Drop.malformedPacket;
  frames.strip[i] = place.offset;
  frames.nextHeader[i] = frames.bytes[start + place.nextHeaderAt]!;
  return STRIPPED;
}

function isAddress(bytes: Uint8Array, at: number, words: Uint32Array, family: number): boolean {
  const length = family === 4 ? 4 : 16;
  for (let octet = 0; octet < length; octet++)
    if (bytes[at + octet] !== ((words[octet >> 2]! >>> (24 - 8 * (octet & 3))) & 0xff)) return false;
  return true;
}
