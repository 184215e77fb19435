/**
 * What a lane dropped last, flow by flow: what `explain` asks when somebody wonders where a packet went. A fixed memory that
 * another thread may read; who fills it with strangers' packets only overwrites older records, and costs a bounded time.
 */
import { uint32At } from "../base/bytes.ts";
import type { Instant } from "../base/instant.ts";
import { Instant as instant } from "../base/instant.ts";
import { IpAddress } from "../base/ip-address.ts";
import { META_FAMILY, META_LOCAL_ADDRESS, META_REMOTE_ADDRESS } from "../base/packet-batch.ts";
import { createPacketFields, type PacketFields, parseIpPacket } from "../wire/ip/ip-packet.ts";
import { DROP_REASONS, type DropReason } from "./drop-reason.ts";

/** Flows of inner packets, each with its last drop. */
export const DROP_FLOWS = 512;
/** Outer packets are kept apart, since anybody can send those: the last by SPI, or by sender where no SA has it. */
export const DROP_DATAGRAMS = 64;
/** Drops that one turn of a lane writes down. */
export const DROPS_PER_TURN_MAX = 64;

/** Words of a cell. */
const Cell = {
  /** Odd while the cell is being written. */
  VERSION: 0,
  /** 0: nothing was written yet. */
  KIND: 1,
  REASON: 2,
  PACKETS: 3,
  LENGTH: 4,
  SPI: 5,
  FAMILY: 6,
  PROTOCOL: 7,
  HAS_PORTS: 8,
  SOURCE_PORT: 9,
  DESTINATION_PORT: 10,
  SOURCE: 12,
  DESTINATION: 16,
  /** Float64 Instants. */
  FIRST_AT: 20,
  LAST_AT: 22,
  WORDS: 24,
} as const;

const CELLS = DROP_FLOWS + DROP_DATAGRAMS;
/** Octets of the memory, a multiple of eight. */
export const DROP_RECORD_OCTETS = CELLS * Cell.WORDS * 4;

const KINDS = ["outbound", "inbound", "datagram"] as const;
const OUTBOUND = 1;
const INBOUND = 2;
const DATAGRAM = 3;

/** The last drop of a flow, and how often the same has happened to it before. */
export interface DropTrace {
  /** Inner packets out of a TUN device or out of an SA, or an outer one that was not opened. */
  readonly kind: (typeof KINDS)[number];
  readonly reason: DropReason;
  readonly firstAt: Instant;
  readonly lastAt: Instant;
  /** In a row for this reason; packets that came when many were dropped at once are missing. */
  readonly packets: number;
  /** Octets of the last one. */
  readonly length: number;
  /** Inbound: of the SA that carried it; datagrams: what it names. */
  readonly spi?: number;
  /** Of datagrams the outer ones, and 50 or 51. */
  readonly protocol: number;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  /** Where they were there to read. */
  readonly sourcePort?: number;
  readonly destinationPort?: number;
}

export class DropRecord {
  readonly #words: Uint32Array;
  readonly #times: Float64Array;
  readonly #fields = createPacketFields();
  #now = 0;
  #left = DROPS_PER_TURN_MAX;

  /** @param memory - {@link DROP_RECORD_OCTETS} octets, zeroed */
  constructor(memory: ArrayBufferLike) {
    this.#words = new Uint32Array(memory);
    this.#times = new Float64Array(memory);
  }

  /** At the begin of a turn. */
  begin(now: Instant): void {
    this.#now = now;
    this.#left = DROPS_PER_TURN_MAX;
  }

  /** An inner packet on its way out; `packets` that it would have become. */
  noteOutbound(reason: number, packets: number, bytes: Uint8Array, at: number, length: number): void {
    if (this.#left > 0 && parseIpPacket(bytes, at, length, this.#fields))
      this.#noteInner(OUTBOUND, reason, packets, this.#fields, 0);
  }

  /** An inner packet that came through the SA of `spi`. */
  noteInbound(reason: number, fields: PacketFields, spi: number): void {
    this.#noteInner(INBOUND, reason, 1, fields, spi);
  }

  /**
   * An ESP or AH packet that was refused as such.
   * @param hasSa - there is one with this SPI
   * @param meta - where it came from, `metaAt` octets on
   */
  noteDatagram(
    reason: number,
    protocol: number,
    spi: number,
    hasSa: boolean,
    meta: Uint8Array,
    metaAt: number,
    length: number,
  ): void {
    if (this.#left === 0) return;
    this.#left--;
    let hash = hasSa ? spi : reason;
    if (!hasSa)
      for (let octet = 0; octet < 16; octet++)
        hash = Math.imul(hash ^ meta[metaAt + META_REMOTE_ADDRESS + octet]!, MULTIPLIER);
    const at = (DROP_FLOWS + mixed(hash, DROP_DATAGRAMS)) * Cell.WORDS;
    const words = this.#words;
    const isSame =
      words[at + Cell.REASON] === reason &&
      (words[at + Cell.SPI] === spi || !hasSa) &&
      sameAddress(words, at + Cell.SOURCE, meta, metaAt + META_REMOTE_ADDRESS);
    this.#open(at, DATAGRAM, reason, isSame, 1, length);
    words[at + Cell.SPI] = spi;
    words[at + Cell.FAMILY] = meta[metaAt + META_FAMILY]!;
    words[at + Cell.PROTOCOL] = protocol;
    words[at + Cell.HAS_PORTS] = 0;
    for (let word = 0; word < 4; word++) {
      words[at + Cell.SOURCE + word] = uint32At(meta, metaAt + META_REMOTE_ADDRESS + 4 * word);
      words[at + Cell.DESTINATION + word] = uint32At(meta, metaAt + META_LOCAL_ADDRESS + 4 * word);
    }
    this.#close(at);
  }

  #noteInner(kind: number, reason: number, packets: number, fields: PacketFields, spi: number): void {
    if (this.#left === 0) return;
    this.#left--;
    const { source, destination, protocol, sourcePort, destinationPort } = fields;
    let hash = kind ^ (protocol << 8) ^ Math.imul((sourcePort << 16) | destinationPort, MULTIPLIER);
    for (let word = 0; word < 4; word++) {
      hash = Math.imul(hash ^ source[word]!, MULTIPLIER);
      hash = Math.imul(hash ^ (hash >>> 15) ^ destination[word]!, MULTIPLIER);
    }
    const at = mixed(hash, DROP_FLOWS) * Cell.WORDS;
    const words = this.#words;
    let isSame =
      words[at + Cell.KIND] === kind &&
      words[at + Cell.REASON] === reason &&
      words[at + Cell.PROTOCOL] === protocol &&
      words[at + Cell.SOURCE_PORT] === sourcePort &&
      words[at + Cell.DESTINATION_PORT] === destinationPort;
    for (let word = 0; word < 4; word++)
      isSame &&=
        words[at + Cell.SOURCE + word] === source[word] &&
        words[at + Cell.DESTINATION + word] === destination[word];
    this.#open(at, kind, reason, isSame, packets, fields.totalLength);
    words[at + Cell.SPI] = spi;
    words[at + Cell.FAMILY] = fields.family;
    words[at + Cell.PROTOCOL] = protocol;
    words[at + Cell.HAS_PORTS] = fields.hasPorts ? 1 : 0;
    words[at + Cell.SOURCE_PORT] = sourcePort;
    words[at + Cell.DESTINATION_PORT] = destinationPort;
    for (let word = 0; word < 4; word++) {
      words[at + Cell.SOURCE + word] = source[word]!;
      words[at + Cell.DESTINATION + word] = destination[word]!;
    }
    this.#close(at);
  }

  #open(at: number, kind: number, reason: number, isSame: boolean, packets: number, length: number): void {
    const words = this.#words;
    Atomics.store(words, at + Cell.VERSION, words[at + Cell.VERSION]! + 1);
    if (!isSame) {
      words[at + Cell.PACKETS] = 0;
      this.#times[(at + Cell.FIRST_AT) >> 1] = this.#now;
    }
    words[at + Cell.KIND] = kind;
    words[at + Cell.REASON] = reason;
    words[at + Cell.PACKETS] = Math.min(words[at + Cell.PACKETS]! + packets, 0xffffffff);
    words[at + Cell.LENGTH] = length;
    this.#times[(at + Cell.LAST_AT) >> 1] = this.#now;
  }

  #close(at: number): void {
    const words = this.#words;
    Atomics.store(words, at + Cell.VERSION, words[at + Cell.VERSION]! + 1);
  }
}

/** What a record holds, in no order; cells that are being written at the moment are left out. */
export function readDropRecord(memory: ArrayBufferLike): DropTrace[] {
  const words = new Uint32Array(memory);
  const copy = new Uint32Array(Cell.WORDS);
  const traces: DropTrace[] = [];
  for (let at = 0; at < CELLS * Cell.WORDS; at += Cell.WORDS) {
    const version = Atomics.load(words, at + Cell.VERSION);
    if (version === 0 || (version & 1) === 1) continue;
    copy.set(words.subarray(at, at + Cell.WORDS));
    if (Atomics.load(words, at + Cell.VERSION) === version) traces.push(traceOf(copy));
  }
  return traces;
}

function traceOf(words: Uint32Array): DropTrace {
  const times = new Float64Array(words.buffer);
  const isV4 = words[Cell.FAMILY] === 4;
  return {
    kind: KINDS[words[Cell.KIND]! - 1]!,
    reason: DROP_REASONS[words[Cell.REASON]!]!,
    firstAt: instant(times[Cell.FIRST_AT >> 1]!),
    lastAt: instant(times[Cell.LAST_AT >> 1]!),
    packets: words[Cell.PACKETS]!,
    length: words[Cell.LENGTH]!,
    ...(words[Cell.SPI] === 0 ? {} : { spi: words[Cell.SPI]! }),
    protocol: words[Cell.PROTOCOL]!,
    source: addressOf(words, Cell.SOURCE, isV4),
    destination: addressOf(words, Cell.DESTINATION, isV4),
    ...(words[Cell.HAS_PORTS] === 1
      ? { sourcePort: words[Cell.SOURCE_PORT]!, destinationPort: words[Cell.DESTINATION_PORT]! }
      : {}),
  };
}

function addressOf(words: Uint32Array, at: number, isV4: boolean): IpAddress {
  const octets = new Uint8Array(isV4 ? 4 : 16);
  const view = new DataView(octets.buffer);
  for (let word = 0; word < octets.length / 4; word++) view.setUint32(4 * word, words[at + word]!);
  return IpAddress(octets);
}

const MULTIPLIER = 0x9e3779b1;

/** @param cells - a power of two */
function mixed(hash: number, cells: number): number {
  const folded = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  return (folded >>> 8) & (cells - 1);
}

function sameAddress(words: Uint32Array, at: number, bytes: Uint8Array, from: number): boolean {
  for (let word = 0; word < 4; word++)
    if (words[at + word] !== uint32At(bytes, from + 4 * word)) return false;
  return true;
}
