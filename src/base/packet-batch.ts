/**
 * Packets of one turn of a lane: struct of arrays over one arena, made once and used for ever.
 *
 * Packet `i` is `bytes[offset[i] .. offset[i] + length[i])`. Cell `i` of the arena spans `stride` octets from
 * `i * stride`; a reader places the packet `headroom` octets into its cell, so that headers can grow to the left and
 * trailers to the right in place.
 */
export interface PacketBatch {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly capacity: number;
  readonly stride: number;
  readonly headroom: number;
  readonly offset: Uint32Array;
  readonly length: Uint32Array;
  /** SA slot that seals or opens the packet. */
  readonly slot: Uint32Array;
  /** Endpoint slot that the packet is sent to. */
  readonly endpoint: Uint32Array;
  /** Upper 32 bits of the sequence number for an inbound packet with ESN; zero otherwise. */
  readonly sequenceHigh: Uint32Array;
  /** Outer TOS or traffic class octet: to send with, or as received. */
  readonly tos: Uint8Array;
  /** Result for each packet: see {@link PACKET_OK} and the codes beside it. */
  readonly status: Uint8Array;
  /** Where each received datagram came from: {@link DATAGRAM_META_STRIDE} octets each. */
  readonly meta: Uint8Array;
  count: number;
}

/** Sealed, opened, sent. */
export const PACKET_OK = 0;
/** The integrity check failed; the octets hold no plaintext. */
export const PACKET_NOT_AUTHENTIC = 1;
/** The outbound sequence number has reached its hard limit; nothing was sealed. */
export const PACKET_SEQUENCE_EXHAUSTED = 2;
/** Too short, or not a whole number of cipher blocks, or past its cell. */
export const PACKET_BAD_LENGTH = 3;
/** The slot holds no key. */
export const PACKET_NO_KEY = 4;
/** The system refused to send it: too big for the path. */
export const PACKET_TOO_BIG = 5;
/** The system refused to send it for any other reason. */
export const PACKET_NOT_SENT = 6;

/**
 * Octets of source information per datagram, numbers in the machine's byte order:
 * 0 remote address (16; IPv4 in the first 4), 16 local address (16), 32 remote port (2), 34 local port (2),
 * 36 family 4 or 6 (1), 37 TOS (1), 38 zero (2), 40 interface index (4), 44 zero (4).
 */
export const DATAGRAM_META_STRIDE = 48;
export const META_REMOTE_ADDRESS = 0;
export const META_LOCAL_ADDRESS = 16;
export const META_REMOTE_PORT = 32;
export const META_LOCAL_PORT = 34;
export const META_FAMILY = 36;
export const META_TOS = 37;
export const META_INTERFACE = 40;

/** Most octets that ESP puts in front of an inner packet: outer-mode headers are the kernel's; SPI, number and IV. */
export const BATCH_HEADROOM = 64;
/** Most octets behind it: padding up to 255, two octets of trailer, an ICV of up to 32. */
export const BATCH_TAILROOM = 320;

/** Makes a batch over `bytes`, or over memory of its own. `packetLengthMax` is the longest packet that a cell takes. */
export function createPacketBatch(
  capacity: number,
  packetLengthMax: number,
  bytes?: Uint8Array,
): PacketBatch {
  const stride = packetBatchStride(packetLengthMax);
  const arena = bytes ?? new Uint8Array(capacity * stride);
  return {
    bytes: arena,
    view: new DataView(arena.buffer, arena.byteOffset, arena.byteLength),
    capacity,
    stride,
    headroom: BATCH_HEADROOM,
    offset: new Uint32Array(capacity),
    length: new Uint32Array(capacity),
    slot: new Uint32Array(capacity),
    endpoint: new Uint32Array(capacity),
    sequenceHigh: new Uint32Array(capacity),
    tos: new Uint8Array(capacity),
    status: new Uint8Array(capacity),
    meta: new Uint8Array(capacity * DATAGRAM_META_STRIDE),
    count: 0,
  };
}

/** Octets per cell, a multiple of 64 so that cells start on cache lines. */
export function packetBatchStride(packetLengthMax: number): number {
  return Math.ceil((BATCH_HEADROOM + packetLengthMax + BATCH_TAILROOM) / 64) * 64;
}
