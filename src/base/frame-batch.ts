/**
 * What a lane protects: packets, or superpackets that become several packets when they are sealed. One decision is made
 * for each of them; its columns tell the engine what to make of it.
 */
import { createWideBatch, type PacketBatch } from "./packet-batch.ts";

export interface FrameBatch extends PacketBatch {
  /** {@link FRAME_PLAIN} and the kinds beside it. */
  readonly kind: Uint8Array;
  /** Octets of transport payload of each packet but the last that a superpacket is cut into; 0 for a plain packet. */
  readonly segmentLength: Uint16Array;
  /** Packets that the frame becomes, at least 1. */
  readonly segments: Uint16Array;
  /** Octets of the longest of them, IP header included. */
  readonly packetLength: Uint32Array;
  /** Of the ESP trailer. */
  readonly nextHeader: Uint8Array;
  /** Octets at the front of each packet that are not carried: the IP header in transport mode, else 0. */
  readonly strip: Uint8Array;
  /** Least octets of each payload, which gets zeros behind it up to there (RFC 4303 section 2.7); 0 for none. */
  readonly padTo: Uint16Array;
  /** Socket that the packets leave by. */
  readonly socket: Uint8Array;
  /** 1: the outer IPv4 header has DF clear. */
  readonly fragmentable: Uint8Array;
  /** Packets that were sealed. */
  readonly sealed: Uint16Array;
  /** Where sealing goes on: frame, and packet of that frame. */
  readonly cursor: Uint32Array;
}

/** One IP packet. */
export const FRAME_PLAIN = 0;
/** TCP over IPv4 or IPv6 with a payload of several segments; the numbers are those of virtio-net. */
export const FRAME_TCP4 = 1;
export const FRAME_TCP6 = 4;
/** UDP with the payloads of several datagrams. */
export const FRAME_UDP = 5;

/** Packets that one frame may become: a superpacket of 64 KiB with the least segment that TCP in Linux sends, 48 octets. */
export const FRAME_SEGMENTS_MAX = 1366;
/** The longest frame that a device gives at once. */
export const FRAME_OCTETS_MAX = 65_536;
const FRAME_COLUMNS = 11;
/** Octets of the columns that frames have besides, of one frame. */
const FRAME_COLUMN_OCTETS = 4 + 4 * 2 + 5;
/** Frames begin at multiples of this. */
const FRAME_ALIGNMENT = 64;

/** @param octets - of the arena; at least {@link FRAME_OCTETS_MAX} for one that a device is read into */
export function createFrameBatch(capacity: number, octets: number): FrameBatch {
  const [batch, memory] = createWideBatch(
    capacity,
    octets,
    capacity * FRAME_COLUMN_OCTETS + 8,
    FRAME_COLUMNS,
  );
  return {
    ...batch,
    kind: memory.u8(capacity),
    segmentLength: memory.u16(capacity),
    segments: memory.u16(capacity),
    packetLength: memory.u32(capacity),
    nextHeader: memory.u8(capacity),
    strip: memory.u8(capacity),
    padTo: memory.u16(capacity),
    socket: memory.u8(capacity),
    fragmentable: memory.u8(capacity),
    sealed: memory.u16(capacity),
    cursor: memory.u32(2),
  };
}

/**
 * Appends a plain frame of `length` octets, which the caller writes at `offset[i]`.
 * @returns its index, or -1 when there is no room
 */
export function appendFrame(frames: FrameBatch, length: number): number {
  const i = frames.count;
  const end = i === 0 ? 0 : frames.offset[i - 1]! + frames.length[i - 1]!;
  const at = Math.ceil(end / FRAME_ALIGNMENT) * FRAME_ALIGNMENT;
  if (i === frames.capacity || at + length > frames.bytes.length) return -1;
  frames.offset[i] = at;
  frames.length[i] = length;
  frames.kind[i] = FRAME_PLAIN;
  frames.segmentLength[i] = 0;
  frames.segments[i] = 1;
  frames.packetLength[i] = length;
  frames.count++;
  return i;
}

/** Forgets the frames. */
export function clearFrames(frames: FrameBatch): void {
  frames.count = 0;
  frames.cursor[0] = 0;
  frames.cursor[1] = 0;
}
