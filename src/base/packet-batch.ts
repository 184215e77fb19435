/**
 * Packets of one turn of a lane: struct of arrays over one arena, made once and used for ever.
 *
 * Packet `i` is `bytes[offset[i] .. offset[i] + length[i])`, anywhere in the arena. Packets that the lane sends lie one
 * directly behind the other, so that a run of them is one piece; datagrams lie where the system wrote them.
 */
export interface PacketBatch {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly capacity: number;
  readonly offset: Uint32Array;
  readonly length: Uint32Array;
  /** SA slot that opens the packet. */
  readonly slot: Uint32Array;
  /** Endpoint slot that the packet is sent to. */
  readonly endpoint: Uint32Array;
  /** Upper 32 bits of the sequence number for an inbound packet with ESN; zero otherwise. */
  readonly sequenceHigh: Uint32Array;
  /**
   * Which frame a sealed packet was made of. Of a datagram its origin: neighbours with the same number have the same
   * {@link meta}; {@link NO_ORIGIN} says nothing about them.
   */
  readonly frame: Uint32Array;
  /** Outer TOS or traffic class octet: to send with, or as received. */
  readonly tos: Uint8Array;
  /** Result for each packet: see {@link PACKET_OK} and the codes beside it. */
  readonly status: Uint8Array;
  /** Where each received datagram came from: {@link DATAGRAM_META_STRIDE} octets each. */
  readonly meta: Uint8Array;
  count: number;
}

/** In `frame` of a datagram: it may have come from elsewhere than its neighbours. */
export const NO_ORIGIN = 0;

/** A batch whose arena is divided into cells: cell `i` spans `stride` octets from `i * stride`. */
export interface CellBatch extends PacketBatch {
  readonly stride: number;
  /** Octets in front of the packet in its cell. */
  readonly headroom: number;
}

/** Sealed, opened, sent. */
export const PACKET_OK = 0;
/** The integrity check failed; the octets hold no plaintext. */
export const PACKET_NOT_AUTHENTIC = 1;
/** The outbound sequence number has reached its hard limit; nothing was sealed. */
export const PACKET_SEQUENCE_EXHAUSTED = 2;
/** Too short, or not a whole number of cipher blocks, or past its arena. */
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
 * 36 family 4 or 6 (1), 37 TOS (1), 38 octets of the IP header that lies in front of the datagram, 0 when none does (1),
 * 39 zero (1), 40 interface index (4), 44 zero (4).
 */
export const DATAGRAM_META_STRIDE = 48;
export const META_REMOTE_ADDRESS = 0;
export const META_LOCAL_ADDRESS = 16;
export const META_REMOTE_PORT = 32;
export const META_LOCAL_PORT = 34;
export const META_FAMILY = 36;
export const META_TOS = 37;
export const META_HEADER_LENGTH = 38;
export const META_INTERFACE = 40;

/** Most octets that ESP puts in front of a payload: SPI, number and IV, with some to spare. */
export const BATCH_HEADROOM = 64;
/** Most octets behind it: padding up to 255, two octets of trailer, an ICV of up to 32. */
export const BATCH_TAILROOM = 320;

/**
 * What one read of a socket may take: the longest datagram or merged run, at distances that are no power of two, so that
 * the beginnings of all of them do not compete for the same lines of a cache.
 */
export const RECEIVE_STRIDE = 65_536 + 1_600;
/** Datagrams that the system merges into one run, as a rule; the rest of a longer one waits for the next turn. */
export const RECEIVE_RUN_MAX = 128;

/** Columns and arena in one memory, so that whoever checks that it is still there looks at one thing. */
export class BatchMemory {
  readonly #buffer: ArrayBuffer;
  #at = 0;

  constructor(octets: number, columns: number) {
    this.#buffer = new ArrayBuffer(octets + columns * BatchMemory.ALIGNMENT);
  }

  u8(count: number): Uint8Array {
    return new Uint8Array(this.#buffer, this.#take(count), count);
  }

  u16(count: number): Uint16Array {
    return new Uint16Array(this.#buffer, this.#take(2 * count), count);
  }

  u32(count: number): Uint32Array {
    return new Uint32Array(this.#buffer, this.#take(4 * count), count);
  }

  /** Columns begin on cache lines. */
  #take(octets: number): number {
    const at = this.#at;
    this.#at = Math.ceil((at + octets) / BatchMemory.ALIGNMENT) * BatchMemory.ALIGNMENT;
    return at;
  }

  static readonly ALIGNMENT = 64;
}

const COLUMNS = 10;
/** Octets of all columns of one packet. */
const COLUMN_OCTETS = 6 * 4 + 2 + DATAGRAM_META_STRIDE;

/** An arena of `octets` for up to `capacity` packets. */
export function createArenaBatch(capacity: number, octets: number): PacketBatch {
  return arenaBatch(new BatchMemory(octets + capacity * COLUMN_OCTETS, COLUMNS), capacity, octets);
}

/** Such a batch out of a memory that has room for `moreOctets` and `moreColumns` besides. */
export function createWideBatch(
  capacity: number,
  octets: number,
  moreOctets: number,
  moreColumns: number,
): readonly [PacketBatch, BatchMemory] {
  const size = octets + capacity * COLUMN_OCTETS + moreOctets;
  const memory = new BatchMemory(size, COLUMNS + moreColumns);
  return [arenaBatch(memory, capacity, octets), memory];
}

function arenaBatch(memory: BatchMemory, capacity: number, octets: number): PacketBatch {
  const bytes = memory.u8(octets);
  return {
    bytes,
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    capacity,
    offset: memory.u32(capacity),
    length: memory.u32(capacity),
    slot: memory.u32(capacity),
    endpoint: memory.u32(capacity),
    sequenceHigh: memory.u32(capacity),
    frame: memory.u32(capacity),
    tos: memory.u8(capacity),
    status: memory.u8(capacity),
    meta: memory.u8(capacity * DATAGRAM_META_STRIDE),
    count: 0,
  };
}

/** An arena that takes what `reads` reads of a socket give at most. */
export function createReceiveBatch(reads: number): PacketBatch {
  return createArenaBatch(reads * RECEIVE_RUN_MAX, reads * RECEIVE_STRIDE);
}

/** A batch of cells; `packetLengthMax` is the longest packet that a cell takes. */
export function createPacketBatch(capacity: number, packetLengthMax: number): CellBatch {
  const stride = Math.ceil((BATCH_HEADROOM + packetLengthMax + BATCH_TAILROOM) / 64) * 64;
  return { ...createArenaBatch(capacity, capacity * stride), stride, headroom: BATCH_HEADROOM };
}
