/** Every pair of transforms that an engine must know, and the records that name them. */
import { createPacketBatch, type PacketBatch } from "../../../src/base/packet-batch.ts";
import type { EspEngine, EspKeyStore } from "../../../src/esp/engine.ts";
import { type SaTable, Slot } from "../../../src/policy/sa-table.ts";
import { Encr, Integ } from "../../../src/wire/ike/registries.ts";

export interface EngineSuite {
  readonly name: string;
  readonly encr: number;
  readonly keyBits: number;
  readonly integ: number;
  readonly keyLength: number;
  readonly integKeyLength: number;
  readonly ivLength: number;
  readonly icvLength: number;
  readonly blockSize: number;
}

function aead(name: string, encr: number, keyBits: number, keyLength: number): EngineSuite {
  const lengths = { integ: 0, integKeyLength: 0, ivLength: 8, icvLength: 16, blockSize: 4 };
  return { name, encr, keyBits, keyLength, ...lengths };
}

function cbc(name: string, keyBits: number, integ: number, integKeyLength: number): EngineSuite {
  const lengths = { keyLength: keyBits / 8, ivLength: 16, icvLength: integKeyLength / 2, blockSize: 16 };
  return { name, encr: Encr.AES_CBC, keyBits, integ, integKeyLength, ...lengths };
}

export const GCM_128 = aead("AES-GCM-16 128", Encr.AES_GCM_16, 128, 20);
export const CBC_128_SHA_256 = cbc("AES-CBC 128 HMAC-SHA2-256", 128, Integ.HMAC_SHA2_256_128, 32);
export const NULL_SHA_256: EngineSuite = {
  name: "NULL HMAC-SHA2-256",
  encr: Encr.NULL,
  keyBits: 0,
  integ: Integ.HMAC_SHA2_256_128,
  keyLength: 0,
  integKeyLength: 32,
  ivLength: 0,
  icvLength: 16,
  blockSize: 4,
};
export const SUITES: readonly EngineSuite[] = [
  GCM_128,
  aead("AES-GCM-16 192", Encr.AES_GCM_16, 192, 28),
  aead("AES-GCM-16 256", Encr.AES_GCM_16, 256, 36),
  aead("ChaCha20-Poly1305", Encr.CHACHA20_POLY1305, 0, 36),
  CBC_128_SHA_256,
  cbc("AES-CBC 192 HMAC-SHA2-384", 192, Integ.HMAC_SHA2_384_192, 48),
  cbc("AES-CBC 256 HMAC-SHA2-512", 256, Integ.HMAC_SHA2_512_256, 64),
  NULL_SHA_256,
];

/** An engine with its table and keys. */
export interface EngineUnderTest {
  readonly table: SaTable;
  readonly keys: EspKeyStore;
  readonly engine: EspEngine;
}

export const INBOUND = 0;
export const OUTBOUND = 1;

export interface SlotRecord {
  readonly spi?: number;
  readonly direction: number;
  readonly esn?: boolean;
  /** Last number taken. */
  readonly sequence?: bigint;
  readonly limit?: bigint;
}

export function fieldIndex(table: SaTable, slot: number, field: number): number {
  return (table.regions.slots + slot * Slot.STRIDE + field) / 4;
}

export function setSequence(table: SaTable, slot: number, sequence: bigint, limit = 0xffffffffn): void {
  const counters = new BigUint64Array(table.bytes.buffer);
  counters[fieldIndex(table, slot, Slot.SEQUENCE) / 2] = sequence;
  counters[fieldIndex(table, slot, Slot.SEQUENCE_LIMIT) / 2] = limit;
}

export function sequenceOf(table: SaTable, slot: number): bigint {
  return new BigUint64Array(table.bytes.buffer)[fieldIndex(table, slot, Slot.SEQUENCE) / 2]!;
}

/** Writes what an engine reads of a slot. */
export function writeSlot(table: SaTable, slot: number, suite: EngineSuite, record: SlotRecord): void {
  const set = (field: number, value: number) => {
    table.u32[fieldIndex(table, slot, field)] = value;
  };
  set(Slot.SPI, record.spi ?? 0xc0ffee00 + slot);
  set(Slot.DIRECTION, record.direction);
  set(Slot.ESN, record.esn === true ? 1 : 0);
  set(Slot.ENCR, suite.encr);
  set(Slot.ENCR_KEY_BITS, suite.keyBits);
  set(Slot.INTEG, suite.integ);
  set(Slot.IV_LENGTH, suite.ivLength);
  set(Slot.ICV_LENGTH, suite.icvLength);
  set(Slot.BLOCK_SIZE, suite.blockSize);
  setSequence(table, slot, record.sequence ?? 0n, record.limit ?? 0xffffffffn);
}

/** Octets that differ from place to place; `seed` makes others. */
export function octets(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 37 + seed * 101 + (i >> 8)) & 0xff);
}

/** Installs the same keys for both directions: `outbound` seals what `inbound` opens. */
export function installPair(
  { table, keys }: Pick<EngineUnderTest, "table" | "keys">,
  suite: EngineSuite,
  { outbound = 0, inbound = 1, seed = 1, ...record }: Partial<SlotRecord> & PairSlots = {},
): void {
  const encr = octets(suite.keyLength, seed);
  const integ = octets(suite.integKeyLength, seed + 1);
  for (const [slot, direction] of [
    [outbound, OUTBOUND],
    [inbound, INBOUND],
  ] as const) {
    writeSlot(table, slot, suite, { ...record, direction });
    keys.install(slot, encr, integ);
  }
}

export interface PairSlots {
  readonly outbound?: number;
  readonly inbound?: number;
  readonly seed?: number;
}

const PACKET_LENGTH_MAX = 2048;

/** A batch with one packet per length, contents by {@link octets} of its index, for `slot`. */
export function plaintexts(lengths: readonly number[], slot = 0): PacketBatch {
  const batch = createPacketBatch(Math.max(64, lengths.length), PACKET_LENGTH_MAX);
  batch.count = lengths.length;
  lengths.forEach((length, i) => {
    const at = i * batch.stride + batch.headroom;
    batch.bytes.set(octets(length, i + 2), at);
    batch.offset[i] = at;
    batch.length[i] = length;
    batch.slot[i] = slot;
  });
  return batch;
}

/** A batch with these packets for `slot`. */
export function packets(contents: readonly Uint8Array[], slot = 1): PacketBatch {
  const batch = plaintexts(
    contents.map((content) => content.length),
    slot,
  );
  contents.forEach((content, i) => {
    batch.bytes.set(content, batch.offset[i]!);
  });
  return batch;
}

export function packetOf(batch: PacketBatch, i = 0): Uint8Array {
  return batch.bytes.slice(batch.offset[i]!, batch.offset[i]! + batch.length[i]!);
}

export function allPackets(batch: PacketBatch): Uint8Array[] {
  return Array.from({ length: batch.count }, (_, i) => packetOf(batch, i));
}

/** Lets `slot` handle every packet of the batch. */
export function assign(batch: PacketBatch, slot: number, sequenceHigh = 0): PacketBatch {
  batch.slot.fill(slot);
  batch.sequenceHigh.fill(sequenceHigh);
  return batch;
}
