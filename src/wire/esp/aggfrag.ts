/** AGGFRAG payloads: a header, then whole inner packets, pieces of them and padding (RFC 9347 sections 2.2 and 6.1). */
import { putUint32, uint32At } from "../../base/bytes.ts";
import { IPV4_HEADER_LENGTH, ipv4TotalLength } from "../ip/ipv4.ts";
import { IPV6_HEADER_LENGTH, ipv6PayloadLength } from "../ip/ipv6.ts";

/** Header without congestion control: sub-type, reserved octet, BlockOffset. */
export const AGGFRAG_HEADER_LENGTH = 4;
/** With it: a {@link CongestionReport} besides. */
export const AGGFRAG_CC_HEADER_LENGTH = 24;
const SUB_TYPE_PLAIN = 0;
const SUB_TYPE_CONGESTION_CONTROL = 1;

/** Types of data blocks: the first four bits, which an IP packet has as its version. */
const BLOCK_PAD = 0;
const BLOCK_IPV4 = 4;
const BLOCK_IPV6 = 6;

/** Octets of a data block up to the end of its length field. */
const IPV4_LENGTH_END = 4;
const IPV6_LENGTH_END = 6;

/** {@link dataBlockLength}: the octets end before the length field does. */
export const BLOCK_CUT_SHORT = 0;
/** {@link dataBlockLength}: padding, up to the end of the payload. */
export const BLOCK_IS_PAD = -1;
/** {@link dataBlockLength}: no type that there is, or a length that the header itself exceeds. */
export const BLOCK_INVALID = -2;

/** Octets of the header, or -1 when it is of a sub-type that nobody has defined or does not fit [TFS-01]. */
export function aggfragHeaderLength(bytes: Uint8Array, at: number, length: number): number {
  if (length < AGGFRAG_HEADER_LENGTH) return -1;
  const subType = bytes[at]!;
  if (subType === SUB_TYPE_PLAIN) return AGGFRAG_HEADER_LENGTH;
  if (subType !== SUB_TYPE_CONGESTION_CONTROL || length < AGGFRAG_CC_HEADER_LENGTH) return -1;
  return AGGFRAG_CC_HEADER_LENGTH;
}

/** Octets of data blocks in front of the next block's start, in this payload and those behind it [TFS-02]. */
export function aggfragBlockOffset(bytes: Uint8Array, at: number): number {
  return (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

/**
 * Writes a header. Of sub-type 1 {@link writeCongestionReport} writes the rest.
 * @param blockOffset - uint16; @param headerLength - of the sub-type
 */
export function writeAggfragHeader(
  bytes: Uint8Array,
  at: number,
  blockOffset: number,
  headerLength: number = AGGFRAG_HEADER_LENGTH,
): void {
  bytes[at] = headerLength === AGGFRAG_HEADER_LENGTH ? SUB_TYPE_PLAIN : SUB_TYPE_CONGESTION_CONTROL;
  bytes[at + 1] = 0;
  bytes[at + 2] = blockOffset >>> 8;
  bytes[at + 3] = blockOffset;
}

/** What a header of sub-type 1 says besides (section 6.1.2) [TFS-16]; times are microseconds. */
export interface CongestionReport {
  /** P: missing payloads may be probes of the path, and no loss. */
  isPathProbed: boolean;
  /** E: the loss event rate counts payloads that were marked CE. */
  isFromMarks: boolean;
  /** Payloads between two loss events, on average; 0: none was lost. */
  lossInterval: number;
  /** The sender's estimate; 0: it has none yet. */
  rtt: number;
  /** Since {@link techo} came. */
  echoDelay: number;
  /** Between two payloads of the sender. */
  transmitDelay: number;
  /** Of the sender's own; it comes back as {@link techo}. */
  tval: number;
  techo: number;
}

/** One to read into. */
export function emptyReport(): CongestionReport {
  return {
    isPathProbed: false,
    isFromMarks: false,
    lossInterval: 0,
    rtt: 0,
    echoDelay: 0,
    transmitDelay: 0,
    tval: 0,
    techo: 0,
  };
}

/** 22 and 21 bits; what is longer is the most that they say. */
export const RTT_MAX = 0x3fffff;
export const DELAY_MAX = 0x1fffff;
const FLAG_P = 2;
const FLAG_E = 1;

/** Reads the report of a header of sub-type 1 into `report`. */
export function readCongestionReport(bytes: Uint8Array, at: number, report: CongestionReport): void {
  report.isPathProbed = (bytes[at + 1]! & FLAG_P) !== 0;
  report.isFromMarks = (bytes[at + 1]! & FLAG_E) !== 0;
  report.lossInterval = uint32At(bytes, at + 4);
  const high = uint32At(bytes, at + 8);
  const low = uint32At(bytes, at + 12);
  report.rtt = high >>> 10;
  report.echoDelay = ((high & 0x3ff) << 11) | (low >>> 21);
  report.transmitDelay = low & DELAY_MAX;
  report.tval = uint32At(bytes, at + 16);
  report.techo = uint32At(bytes, at + 20);
}

/** Writes the report into a header of sub-type 1, all of it but sub-type and BlockOffset. */
export function writeCongestionReport(bytes: Uint8Array, at: number, report: CongestionReport): void {
  const rtt = Math.min(report.rtt, RTT_MAX);
  const echoDelay = Math.min(report.echoDelay, DELAY_MAX);
  bytes[at + 1] = (report.isPathProbed ? FLAG_P : 0) | (report.isFromMarks ? FLAG_E : 0);
  putUint32(bytes, at + 4, report.lossInterval);
  putUint32(bytes, at + 8, (rtt << 10) | (echoDelay >>> 11));
  putUint32(bytes, at + 12, (echoDelay << 21) | Math.min(report.transmitDelay, DELAY_MAX));
  putUint32(bytes, at + 16, report.tval);
  putUint32(bytes, at + 20, report.techo);
}

/**
 * Octets of the data block that begins at `at`, as its own header says, however many of them are there; or
 * {@link BLOCK_CUT_SHORT}, {@link BLOCK_IS_PAD}, {@link BLOCK_INVALID}.
 * @param available - octets from `at` on that may be read
 */
export function dataBlockLength(bytes: Uint8Array, at: number, available: number): number {
  if (available < 1) return BLOCK_CUT_SHORT;
  const type = bytes[at]! >>> 4;
  if (type === BLOCK_PAD) return BLOCK_IS_PAD;
  if (type === BLOCK_IPV4) {
    if (available < IPV4_LENGTH_END) return BLOCK_CUT_SHORT;
    const length = ipv4TotalLength(bytes, at);
    return length < IPV4_HEADER_LENGTH ? BLOCK_INVALID : length;
  }
  if (type !== BLOCK_IPV6) return BLOCK_INVALID;
  return available < IPV6_LENGTH_END ? BLOCK_CUT_SHORT : IPV6_HEADER_LENGTH + ipv6PayloadLength(bytes, at);
}

/** Flags of the USE_AGGFRAG notify, one octet (RFC 9347 section 6.1.4). */
export const UseAggfrag = {
  /** Its sender takes no pieces: inner packets have to come whole. */
  DONT_FRAGMENT: 1,
  /** Its sender requires congestion control information: payloads of sub-type 1. */
  CONGESTION_CONTROL: 2,
} as const;
