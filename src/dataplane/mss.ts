/** TCP's maximum segment size held to what the path carries, in SYN and SYN/ACK of both directions (RFC 9293 section 3.7.1, RFC 6691). */
import { MSS_AUTO, MSS_OFF } from "../policy/sa-table.ts";
import { updateChecksum } from "../wire/ip/checksum.ts";
import type { PacketFields } from "../wire/ip/ip-packet.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";

const TCP_HEADER = 20;
const IP_HEADER = { 4: 20, 6: 40 } as const;
const DATA_OFFSET = 12;
const FLAGS = 13;
const CHECKSUM = 16;
const SYN = 0x02;
const END_OF_OPTIONS = 0;
const NO_OPERATION = 1;
const MAXIMUM_SEGMENT_SIZE = 2;
const MSS_OPTION_LENGTH = 4;

/** Whether the packet at `bytes[at]` opens a TCP connection, or answers one that does. */
export function isSyn(bytes: Uint8Array, at: number, fields: PacketFields): boolean {
  if (fields.protocol !== IpProtocol.TCP || fields.isFragment) return false;
  if (fields.totalLength - fields.headerLength < TCP_HEADER) return false;
  return (bytes[at + fields.headerLength + FLAGS]! & SYN) !== 0;
}

/**
 * Lowers the MSS that a SYN announces, and keeps its checksum right. A SYN without the option is left alone: what it stands for
 * (536 or 1220 octets) fits.
 *
 * @param fields - the packet at `bytes[at]`, as parseIpPacket read it
 * @param mtu - octets of the largest inner packet
 * @param setting - as in the SA's slot
 */
export function clampMss(
  bytes: Uint8Array,
  at: number,
  fields: PacketFields,
  mtu: number,
  setting: number,
): void {
  if (setting === MSS_OFF || !isSyn(bytes, at, fields)) return;
  const tcp = at + fields.headerLength;
  const end = at + fields.totalLength;
  const options = mssOption(bytes, tcp, Math.min(end, tcp + (bytes[tcp + DATA_OFFSET]! >>> 4) * 4));
  if (options === 0) return;
  const fitting = Math.max(mtu - IP_HEADER[fields.family] - TCP_HEADER, 1);
  lower(bytes, tcp, options + 2, setting === MSS_AUTO ? fitting : Math.min(setting, fitting));
}

/** Where the option begins; 0 when there is none, or the list is malformed in front of it. */
function mssOption(bytes: Uint8Array, tcp: number, end: number): number {
  for (let i = tcp + TCP_HEADER; i < end; ) {
    const kind = bytes[i]!;
    if (kind === END_OF_OPTIONS) return 0;
    if (kind === NO_OPERATION) {
      i++;
      continue;
    }
    const length = i + 1 < end ? bytes[i + 1]! : 0;
    if (length < 2 || i + length > end) return 0;
    if (kind === MAXIMUM_SEGMENT_SIZE) return length === MSS_OPTION_LENGTH ? i : 0;
    i += length;
  }
  return 0;
}

function lower(bytes: Uint8Array, tcp: number, at: number, most: number): void {
  const before = (bytes[at]! << 8) | bytes[at + 1]!;
  if (before <= most) return;
  bytes[at] = most >>> 8;
  bytes[at + 1] = most;
  const sum = tcp + CHECKSUM;
  const checksum = (bytes[sum]! << 8) | bytes[sum + 1]!;
  // At an odd place the two octets lie in two words: each changes half of one.
  const updated =
    (at - tcp) % 2 === 0
      ? updateChecksum(checksum, before, most)
      : updateChecksum(checksum, swapped(before), swapped(most));
  bytes[sum] = updated >>> 8;
  bytes[sum + 1] = updated;
}

function swapped(word: number): number {
  return ((word & 0xff) << 8) | (word >>> 8);
}
