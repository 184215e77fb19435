/** Every pair of transforms that an engine must know, and the records that name them. */
import { appendFrame, createFrameBatch, type FrameBatch } from "../../../src/base/frame-batch.ts";
import { createArenaBatch, type PacketBatch } from "../../../src/base/packet-batch.ts";
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
  /** The payload stays as it is: authenticated only. */
  readonly isReadable?: boolean;
}

function aead(name: string, encr: number, keyBits: number, more: Partial<EngineSuite> = {}): EngineSuite {
  const keyLength = (keyBits || 256) / 8 + 4;
  const lengths = { integ: 0, integKeyLength: 0, ivLength: 8, icvLength: 16, blockSize: 4 };
  return { name, encr, keyBits, keyLength, ...lengths, ...more };
}

function ccm(name: string, encr: number, keyBits: number, icvLength: number, ivLength = 8): EngineSuite {
  return aead(name, encr, keyBits, { keyLength: keyBits / 8 + 3, icvLength, ivLength });
}

interface Mac {
  readonly name: string;
  readonly integ: number;
  readonly integKeyLength: number;
  readonly icvLength: number;
}

const SHA_1: Mac = { name: "HMAC-SHA1", integ: Integ.HMAC_SHA1_96, integKeyLength: 20, icvLength: 12 };
const SHA_256: Mac = {
  name: "HMAC-SHA2-256",
  integ: Integ.HMAC_SHA2_256_128,
  integKeyLength: 32,
  icvLength: 16,
};
const SHA_384: Mac = {
  name: "HMAC-SHA2-384",
  integ: Integ.HMAC_SHA2_384_192,
  integKeyLength: 48,
  icvLength: 24,
};
const SHA_512: Mac = {
  name: "HMAC-SHA2-512",
  integ: Integ.HMAC_SHA2_512_256,
  integKeyLength: 64,
  icvLength: 32,
};
const XCBC: Mac = { name: "AES-XCBC", integ: Integ.AES_XCBC_96, integKeyLength: 16, icvLength: 12 };
const CMAC: Mac = { name: "AES-CMAC", integ: Integ.AES_CMAC_96, integKeyLength: 16, icvLength: 12 };

interface Cipher {
  readonly name: string;
  readonly encr: number;
  readonly ivLength: number;
  readonly blockSize: number;
  readonly saltLength?: number;
  readonly isReadable?: boolean;
}

const CBC: Cipher = { name: "AES-CBC", encr: Encr.AES_CBC, ivLength: 16, blockSize: 16 };
const CTR: Cipher = { name: "AES-CTR", encr: Encr.AES_CTR, ivLength: 8, blockSize: 4, saltLength: 4 };
const NULL: Cipher = { name: "NULL", encr: Encr.NULL, ivLength: 0, blockSize: 4, isReadable: true };

function withMac(cipher: Cipher, keyBits: number, mac: Mac): EngineSuite {
  return {
    ...cipher,
    ...mac,
    name: `${cipher.name}${keyBits === 0 ? "" : ` ${keyBits}`} ${mac.name}`,
    keyBits,
    keyLength: keyBits / 8 + (cipher.saltLength ?? 0),
  };
}

function tripleDes(mac: Mac): EngineSuite {
  const cipher = { name: "3DES", encr: Encr.DES3, ivLength: 8, blockSize: 8 };
  return { ...withMac(cipher, 0, mac), keyLength: 24 };
}

export const GCM_128 = aead("AES-GCM-16 128", Encr.AES_GCM_16, 128);
export const CBC_128_SHA_256 = withMac(CBC, 128, SHA_256);
export const NULL_SHA_256 = withMac(NULL, 0, SHA_256);
const GCM_256 = aead("AES-GCM-16 256", Encr.AES_GCM_16, 256);
const CCM_8 = ccm("AES-CCM-8 128", Encr.AES_CCM_8, 128, 8);
const CHACHA = aead("ChaCha20-Poly1305", Encr.CHACHA20_POLY1305, 0);
export const SUITES: readonly EngineSuite[] = [
  GCM_128,
  aead("AES-GCM-16 192", Encr.AES_GCM_16, 192),
  GCM_256,
  aead("AES-GCM-12 256", Encr.AES_GCM_12, 256, { icvLength: 12 }),
  aead("AES-GCM-8 128", Encr.AES_GCM_8, 128, { icvLength: 8 }),
  ccm("AES-CCM-16 256", Encr.AES_CCM_16, 256, 16),
  ccm("AES-CCM-12 192", Encr.AES_CCM_12, 192, 12),
  CCM_8,
  CHACHA,
  aead("AES-GMAC 128", Encr.NULL_AUTH_AES_GMAC, 128, { isReadable: true }),
  aead("AES-GMAC 192", Encr.NULL_AUTH_AES_GMAC, 192, { isReadable: true }),
  aead("AES-GMAC 256", Encr.NULL_AUTH_AES_GMAC, 256, { isReadable: true }),
  aead("AES-GCM-16 256 implicit IV", Encr.AES_GCM_16_IIV, 256, { ivLength: 0 }),
  ccm("AES-CCM-8 128 implicit IV", Encr.AES_CCM_8_IIV, 128, 8, 0),
  aead("ChaCha20-Poly1305 implicit IV", Encr.CHACHA20_POLY1305_IIV, 0, { ivLength: 0 }),
  CBC_128_SHA_256,
  withMac(CBC, 192, SHA_384),
  withMac(CBC, 256, SHA_512),
  withMac(CBC, 128, SHA_1),
  withMac(CBC, 256, XCBC),
  withMac(CBC, 128, CMAC),
  withMac(CTR, 128, SHA_256),
  withMac(CTR, 192, SHA_1),
  withMac(CTR, 256, SHA_512),
  withMac(CTR, 128, XCBC),
  withMac(CTR, 256, CMAC),
  tripleDes(SHA_1),
  tripleDes(SHA_256),
  NULL_SHA_256,
  withMac(NULL, 0, SHA_1),
  withMac(NULL, 0, XCBC),
  withMac(NULL, 0, CMAC),
];

const gmac = (keyBits: number, integ: number): EngineSuite =>
  withMac(NULL, 0, { name: `AES-GMAC ${keyBits}`, integ, integKeyLength: keyBits / 8 + 4, icvLength: 24 });

/** For AH alone: what authenticates without a cipher, and what ESP does not take. */
export const AH_GMAC_SUITES: readonly EngineSuite[] = [
  gmac(128, Integ.AES_128_GMAC),
  gmac(192, Integ.AES_192_GMAC),
  gmac(256, Integ.AES_256_GMAC),
];

/** Each suite with an implicit IV, and the one that sends it. */
export const IMPLICIT_IV_SUITES: readonly (readonly [implicit: EngineSuite, explicit: EngineSuite])[] =
  SUITES.filter(({ name }) => name.endsWith("implicit IV")).map((implicit) => [
    implicit,
    [GCM_256, CCM_8, CHACHA].find(({ name }) => implicit.name.startsWith(name))!,
  ]);

/** Whose IV is random, so that no two packets are equal. */
export function isCbc({ encr }: EngineSuite): boolean {
  return encr === Encr.AES_CBC || encr === Encr.DES3;
}

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

/** Of the ESP trailer of frames that tests make. */
export const NEXT_HEADER = 4;
const ARENA_OCTETS = 1 << 19;

/** A batch with these frames for `slot`. */
export function framesOf(contents: readonly Uint8Array[], slot = 0): FrameBatch {
  const batch = createFrameBatch(Math.max(64, contents.length), ARENA_OCTETS);
  for (const content of contents) {
    const i = appendFrame(batch, content.length);
    batch.bytes.set(content, batch.offset[i]);
    batch.slot[i] = slot;
    batch.nextHeader[i] = NEXT_HEADER;
  }
  return batch;
}

/** A batch with one frame per length, contents by {@link octets} of its index, for `slot`. */
export function plaintexts(lengths: readonly number[], slot = 0): FrameBatch {
  return framesOf(
    lengths.map((length, i) => octets(length, i + 2)),
    slot,
  );
}

/** Seals frames into a batch of its own. */
export function sealed({ engine }: Pick<EngineUnderTest, "engine">, frames: FrameBatch): PacketBatch {
  const into = createArenaBatch(1500, ARENA_OCTETS);
  frames.cursor.fill(0);
  engine.seal(frames, into);
  return into;
}

/** A payload as the cipher sees it: with padding, its length, and the next header. */
export function withTrailer(payload: Uint8Array, { blockSize }: EngineSuite): Uint8Array {
  const padLength = (blockSize - ((payload.length + 2) % blockSize)) % blockSize;
  const padding = Array.from({ length: padLength }, (_, i) => i + 1);
  return Uint8Array.of(...payload, ...padding, padLength, NEXT_HEADER);
}

/** A batch with these packets for `slot`, with some room between them. */
export function packets(contents: readonly Uint8Array[], slot = 1): PacketBatch {
  const batch = createArenaBatch(Math.max(64, contents.length), ARENA_OCTETS);
  let at = 64;
  contents.forEach((content, i) => {
    batch.bytes.set(content, at);
    batch.offset[i] = at;
    batch.length[i] = content.length;
    batch.slot[i] = slot;
    at += content.length + 5;
  });
  batch.count = contents.length;
  return batch;
}

export function packetOf(batch: PacketBatch, i = 0): Uint8Array {
  return batch.bytes.slice(batch.offset[i]!, batch.offset[i]! + batch.length[i]!);
}

export function allPackets(batch: PacketBatch): Uint8Array[] {
  return Array.from({ length: batch.count }, (_, i) => packetOf(batch, i));
}

/** Lets `slot` handle every packet of the batch. */
export function assign<Batch extends PacketBatch>(batch: Batch, slot: number, sequenceHigh = 0): Batch {
  batch.slot.fill(slot);
  batch.sequenceHigh.fill(sequenceHigh);
  return batch;
}
