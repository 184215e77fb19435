/**
 * The layout of the SA table, one memory for all threads (a memfd in production, an ArrayBuffer in simulation).
 *
 * The main thread alone writes records and publishes them; an owner lane writes its SAs' replay state and counters;
 * native code takes outbound sequence numbers here and nowhere else. native/sa_table.h mirrors the offsets, and a test
 * compares the two. Keys are not here: they live in memory that JavaScript cannot see.
 */

export const SA_TABLE_MAGIC = 0x54475341;
export const SA_TABLE_LAYOUT_VERSION = 4;

/** Octet offsets in the header page. */
export const Header = {
  MAGIC: 0,
  LAYOUT_VERSION: 4,
  SLOT_COUNT: 8,
  ENDPOINT_COUNT: 12,
  POLICY_COUNT: 16,
  INDEX_CAPACITY: 20,
  LANE_COUNT: 24,
  /** Goes up with every change that a lane may have remembered an answer about: SAs, chains of policies. */
  GENERATION: 28,
  /** Goes up when an outbound SA comes or goes that sends by the clock. */
  PACED_GENERATION: 64,
  /** Goes up when an endpoint record is filled or given up. */
  ENDPOINT_GENERATION: 68,
  /** Records that were ever used are below these numbers: nobody needs to look at, and so to touch, the rest. */
  SLOTS_USED: 72,
  ENDPOINTS_USED: 76,
  /** Slot + 1 of the first of them; 0 when there is none. */
  PACED_HEAD: 80,
  /** One uint32 per lane: odd while it is in a turn, one more at each begin and end; for the reuse of slots. */
  LANE_EPOCHS: 256,
  SIZE: 4096,
} as const;
export const LANES_MAX = 64;

/** The SPI index: open addressing over pairs (uint32 SPI, uint32 slot + 1; 0 empty, 0xffffffff deleted). */
export const INDEX_ENTRY_STRIDE = 8;

/** Octet offsets in a policy record. */
export const Policy = {
  /** Slot + 1 of the SA that new packets leave through; 0 when there is none. */
  OUTBOUND_HEAD: 0,
  /** 0 quiet, 1 raised: set by the lane that raises an acquire, cleared by the main thread. */
  ACQUIRE: 4,
  /** Goes up after every change of the chain of outbound SAs: answers that were taken from it before are void. */
  GENERATION: 8,
  /** 1: SAs for some DSCP values or some lane have been in the chain, so that its first is not always the best. */
  HAS_SIBLINGS: 12,
  /** Small, so that those of thousands of policies stay in a cache. */
  STRIDE: 16,
} as const;

/** Octet offsets in an endpoint record; the first 37 octets are laid out like a datagram's meta. A used one never changes. */
export const EndpointRecord = {
  REMOTE_ADDRESS: 0,
  LOCAL_ADDRESS: 16,
  REMOTE_PORT: 32,
  LOCAL_PORT: 34,
  FAMILY: 36,
  /** 0 raw ESP, 1 UDP. */
  ENCAPSULATION: 37,
  /** Number of SAs that point here, main thread only. */
  REFERENCES: 40,
  STRIDE: 64,
} as const;

/** Octet offsets in an SA slot. Uint32 unless it says otherwise. */
export const Slot = {
  /** See {@link SlotState}; written last when a record is published. */
  STATE: 0,
  SPI: 4,
  /** 0 inbound, 1 outbound. */
  DIRECTION: 8,
  /** 1: extended sequence numbers. */
  ESN: 12,
  ENCR: 16,
  ENCR_KEY_BITS: 20,
  INTEG: 24,
  IV_LENGTH: 28,
  ICV_LENGTH: 32,
  /** Plaintext with trailer is a multiple of this: at least 4 [ESP-09]. */
  BLOCK_SIZE: 36,
  /** Goes up whenever the slot gets a key, so that a lane knows when its cipher context is stale. */
  KEY_GENERATION: 40,
  OWNER_LANE: 44,
  POLICY: 48,
  ENDPOINT: 52,
  /** Slot + 1 of the other direction. */
  PAIR: 56,
  /** Slot + 1 of the next outbound SA of the same policy. */
  NEXT_FOR_POLICY: 60,
  /** uint64: the last sequence number taken; the next packet has one more [ESP-02]. */
  SEQUENCE: 64,
  /** uint64: the last sequence number that may ever be taken [ESP-03]. */
  SEQUENCE_LIMIT: 72,
  /** Float64 counters, written by the owner lane alone. */
  PACKETS: 80,
  OCTETS: 88,
  /** Float64 Instant of the last packet; NaN before the first. */
  LAST_AT: 96,
  /** Float64 limits; Infinity for none. */
  SOFT_PACKETS: 104,
  HARD_PACKETS: 112,
  SOFT_OCTETS: 120,
  HARD_OCTETS: 128,
  /** Float64: highest authenticated sequence number; the right edge of the window. */
  REPLAY_HIGHEST: 136,
  /** Packets that the window spans; 0: no anti-replay. */
  REPLAY_WINDOW: 144,
  /** Bit 0: the soft limit was reported; bit 1: the hard one. */
  LIMITS_RAISED: 148,
  /** 0..63, or DSCP_COPY. */
  DSCP: 152,
  /** 0 copy, 1 clear. */
  ECN: 156,
  /** 0 copy, 1 set, 2 clear. */
  DF: 160,
  LOCAL_SELECTOR_COUNT: 164,
  REMOTE_SELECTOR_COUNT: 168,
  /** Octets of the largest outer packet that fits the way to the peer; written by the main thread at any time. */
  PATH_MTU: 172,
  /** Float64: sequence number at which the soft limit for numbers is reached. */
  SOFT_SEQUENCE: 176,
  /** See {@link SaMode}. */
  MODE: 184,
  /** IP protocol: 50 ESP, 51 AH. */
  PROTOCOL: 188,
  /** Octets that payloads are padded to, 0 for none, or TFC_PAD_TO_MTU. */
  TFC_PAD: 192,
  /** See {@link AggfragMode}. */
  AGGFRAG_MODE: 196,
  /** Octets of an outer packet; 0: what the path takes. */
  AGGFRAG_PACKET_SIZE: 200,
  /** 1: inner packets are sent whole. */
  AGGFRAG_WHOLE: 204,
  /** Outer octets a second with a constant rate. */
  AGGFRAG_RATE: 208,
  /** Microseconds that a packet waits for company. */
  AGGFRAG_DELAY: 212,
  /** Payloads that wait for an earlier one, inbound. */
  AGGFRAG_REORDER: 216,
  /** Packets a second that dummies fill up to; 0: none. */
  DUMMY_RATE: 220,
  /** Octets of the largest inner packet that the operator allows; 0: what the path takes. */
  INNER_MTU_MAX: 240,
  /** TCP's MSS is lowered to fit (0), to this at most, or not at all (0xffffffff). */
  MSS: 244,
  /** See {@link AggfragCongestionMode}. */
  AGGFRAG_CONGESTION: 248,
  /**
   * Outbound, written by the owner lane where congestion is controlled: octets a second, the round trip in microseconds, and
   * packets between two loss events; 0: not known.
   */
  AGGFRAG_RATE_NOW: 252,
  AGGFRAG_RTT: 256,
  AGGFRAG_LOSS_INTERVAL: 260,
  /** Outbound: one bit for each DSCP value whose packets leave here, 0 to 31 in the first word; none: what has no SA of its own. */
  DSCP_SET: 224,
  /** Outbound: number + 1 of the lane whose packets leave here; 0: any lane's. */
  RESOURCE: 232,
  /** Inbound, transport mode through a NAT: {@link NAT_SUM_KNOWN} and the sum of the addresses before translation; 0: none. */
  NAT_SUM: 236,
  /** Slot + 1 of the next outbound SA that sends by the clock. */
  NEXT_PACED: 384,
  /** Float64 Instant at which the SA ends, for a process that finds it without its IKE SA; Infinity: nobody said. */
  EXPIRES_AT: 392,
  /** The one local selector and the one remote selector, of an SA that has no more of that side; see `policy/slot-tail`. */
  LOCAL_SELECTOR: 400,
  REMOTE_SELECTOR: 440,
  /** The anti-replay bitmap of a window of up to {@link SLOT_REPLAY_WINDOW} packets. */
  REPLAY_BITMAP: 512,
  /** No power of two: the same field of many slots would share a few lines of a processor's cache. */
  STRIDE: 1088,
} as const;

/** Octet offsets in a slot's tail, a memory of its own for what is larger: few SAs touch any of it. */
export const SlotTail = {
  /** {@link SELECTORS_PER_SIDE} of each side. */
  LOCAL_SELECTORS: 0,
  REMOTE_SELECTORS: 1280,
  REPLAY_BITMAP: 4096,
  STRIDE: 12288,
} as const;

export const SaMode = {
  TUNNEL: 0,
  /** The IP header of what is carried is the outer one (RFC 4301 section 4.1). */
  TRANSPORT: 1,
} as const;

export const SlotState = {
  FREE: 0,
  LIVE: 1,
  /** Outbound: takes no new packets. */
  STOPPED: 2,
  /** Waits until every lane has passed the epoch in which it was removed. */
  RETIRED: 3,
} as const;

/** In {@link Slot.NAT_SUM}, beside 16 bits of the Internet checksum's sum. */
export const NAT_SUM_KNOWN = 0x10000;

export const DSCP_COPY = 0xff;
/** In {@link Slot.MSS}; other numbers are the most that is let through. */
export const MSS_AUTO = 0;
export const MSS_OFF = 0xffffffff;
/** In {@link Slot.TFC_PAD}: as long as the path takes. */
export const TFC_PAD_TO_MTU = 0xffffffff;
export const AggfragMode = { OFF: 0, AGGREGATE: 1, CONSTANT: 2 } as const;
export const AggfragCongestionMode = { OFF: 0, REPORT: 1, LOSS: 2, ECN: 3 } as const;
export const SELECTORS_PER_SIDE = 32;
/** RFC 4303 leaves the window's size open; the largest that a slot has room for in itself, and the largest of all. */
export const SLOT_REPLAY_WINDOW = 4096;
export const REPLAY_WINDOW_MAX = (SlotTail.STRIDE - SlotTail.REPLAY_BITMAP) * 8;

/**
 * Bits that sequence numbers go round in: the power of two that holds the window. The lower half of a number picks its bit,
 * since a power of two divides 2^32.
 */
export function replayRingBits(window: number): number {
  return window <= 32 ? 32 : 1 << (32 - Math.clz32(window - 1));
}

/** Octet offsets in a selector; addresses are four uint32 of big-endian value (IPv4: the first). */
export const SelectorRecord = {
  FAMILY: 0,
  PROTOCOL: 1,
  START_PORT: 4,
  END_PORT: 6,
  START_ADDRESS: 8,
  END_ADDRESS: 24,
  STRIDE: 40,
} as const;

export interface SaTableSize {
  readonly slots: number;
  readonly endpoints: number;
  readonly policies: number;
  readonly lanes: number;
}

/**
 * Room for 10,000 SA pairs and as many rekeys as come at once. What is not used costs no memory: slots lie close together, and
 * an SA with one selector of each side and a window of up to {@link SLOT_REPLAY_WINDOW} packets touches nothing else.
 */
export const DEFAULT_SA_TABLE_SIZE: SaTableSize = {
  slots: 32_768,
  endpoints: 16_384,
  policies: 16_384,
  lanes: 1,
};

/** Where each region starts; every party computes it from the four counts. */
export interface SaTableRegions {
  /** A power of two, at least twice the slots. */
  readonly indexCapacity: number;
  readonly index: number;
  readonly policies: number;
  readonly endpoints: number;
  /** On a page boundary. */
  readonly slots: number;
  /** On a page boundary. */
  readonly tails: number;
  readonly total: number;
}

export function saTableRegions(size: SaTableSize): SaTableRegions {
  let indexCapacity = 64;
  while (indexCapacity < size.slots * 2) indexCapacity *= 2;
  const index = Header.SIZE;
  const policies = index + indexCapacity * INDEX_ENTRY_STRIDE;
  const endpoints = policies + size.policies * Policy.STRIDE;
  const slots = pageUp(endpoints + size.endpoints * EndpointRecord.STRIDE);
  const tails = pageUp(slots + size.slots * Slot.STRIDE);
  const total = tails + size.slots * SlotTail.STRIDE;
  return { indexCapacity, index, policies, endpoints, slots, tails, total };
}

function pageUp(octets: number): number {
  return Math.ceil(octets / 4096) * 4096;
}

/** The table's memory seen as numbers; every thread makes its own over the same memory. */
export interface SaTable {
  readonly size: SaTableSize;
  readonly regions: SaTableRegions;
  readonly bytes: Uint8Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly f64: Float64Array;
}

/**
 * Lays an empty table out over zeroed memory of `saTableRegions(size).total` octets.
 * @throws {RangeError} when there are more lanes than the header has room for
 */
export function formatSaTable(memory: ArrayBuffer, size: SaTableSize): SaTable {
  if (size.lanes < 1 || size.lanes > LANES_MAX) throw new RangeError(`${size.lanes} is no number of lanes`);
  const u32 = new Uint32Array(memory);
  u32[Header.LAYOUT_VERSION / 4] = SA_TABLE_LAYOUT_VERSION;
  u32[Header.SLOT_COUNT / 4] = size.slots;
  u32[Header.ENDPOINT_COUNT / 4] = size.endpoints;
  u32[Header.POLICY_COUNT / 4] = size.policies;
  u32[Header.INDEX_CAPACITY / 4] = saTableRegions(size).indexCapacity;
  u32[Header.LANE_COUNT / 4] = size.lanes;
  u32[Header.MAGIC / 4] = SA_TABLE_MAGIC;
  return openSaTable(memory);
}

/** @throws {RangeError} when the memory holds no table of this layout */
export function openSaTable(memory: ArrayBuffer): SaTable {
  const u32 = new Uint32Array(memory);
  if (u32[Header.MAGIC / 4] !== SA_TABLE_MAGIC || u32[Header.LAYOUT_VERSION / 4] !== SA_TABLE_LAYOUT_VERSION)
    throw new RangeError("this memory holds no SA table of this version");
  const size: SaTableSize = {
    slots: u32[Header.SLOT_COUNT / 4]!,
    endpoints: u32[Header.ENDPOINT_COUNT / 4]!,
    policies: u32[Header.POLICY_COUNT / 4]!,
    lanes: u32[Header.LANE_COUNT / 4]!,
  };
  return {
    size,
    regions: saTableRegions(size),
    bytes: new Uint8Array(memory),
    u32,
    i32: new Int32Array(memory),
    f64: new Float64Array(memory),
  };
}
