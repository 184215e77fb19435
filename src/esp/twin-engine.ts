/**
 * The crypto engine in TypeScript: the reference that native code is tested against, and what simulations run
 * (RFC 4303 sections 3.3 and 3.4). Keys lie in ordinary memory, and every packet allocates: not for production.
 */
import { concat, wipe } from "../base/bytes.ts";
import {
  PACKET_BAD_LENGTH,
  PACKET_NO_KEY,
  PACKET_NOT_AUTHENTIC,
  PACKET_OK,
  PACKET_SEQUENCE_EXHAUSTED,
  type PacketBatch,
} from "../base/packet-batch.ts";
import type { RandomSource } from "../base/random.ts";
import { constantTimeEqual } from "../crypto/constant-time.ts";
import { decrypt, type EncrAlgorithm, encrAlgorithm, encrypt, openAead, sealAead } from "../crypto/encr.ts";
import { computeIcv, type IntegAlgorithm, integAlgorithm } from "../crypto/integ.ts";
import { type SaTable, Slot } from "../policy/sa-table.ts";
import type { EspEngine, EspKeyStore } from "./engine.ts";

/** SPI and sequence number. */
const ESP_HEADER_LENGTH = 8;
/** ESP aligns the trailer's end to this with every cipher [ESP-09]. */
const ESP_ALIGNMENT = 4;
const INBOUND = 0;
const OUTBOUND = 1;
const LAST_SHORT_SEQUENCE = 0xffffffffn;

/** A combined mode, or an integrity algorithm with a cipher. */
type Suite =
  | { readonly isCombined: true; readonly encr: EncrAlgorithm }
  | { readonly isCombined: false; readonly encr: EncrAlgorithm; readonly integ: IntegAlgorithm };

/** What one slot was given; bound to the transforms, direction and ESN that the record named then. */
interface SlotKeys {
  readonly suite: Suite;
  readonly ivLength: number;
  readonly icvLength: number;
  readonly cipherBlockSize: number;
  readonly isOutbound: boolean;
  readonly esn: boolean;
  readonly encrKey: Uint8Array;
  readonly integKey: Uint8Array;
}

export interface TwinKeyStore extends EspKeyStore {
  /** For engines over the same store. */
  readonly keys: ReadonlyMap<number, SlotKeys>;
}

/** The key store for {@link createTwinEspEngine}. */
export function createTwinKeyStore(table: SaTable): TwinKeyStore {
  const keys = new Map<number, SlotKeys>();
  const wipeSlot = (slot: number) => {
    const old = keys.get(slot);
    wipe(old?.encrKey, old?.integKey);
    keys.delete(slot);
  };
  return {
    keys,
    install(slot, encr, integ) {
      const installed = bindKeys(table, slot, encr, integ);
      wipeSlot(slot);
      keys.set(slot, installed);
      Atomics.add(table.u32, fieldOf(table, slot, Slot.KEY_GENERATION), 1);
    },
    wipe: wipeSlot,
  };
}

function bindKeys(table: SaTable, slot: number, encrKey: Uint8Array, integKey: Uint8Array): SlotKeys {
  if (!(Number.isInteger(slot) && slot >= 0 && slot < table.size.slots))
    throw new RangeError(`there is no slot ${slot}`);
  const field = (name: number) => Atomics.load(table.u32, fieldOf(table, slot, name));
  const suite = suiteOf(field(Slot.ENCR), field(Slot.ENCR_KEY_BITS), field(Slot.INTEG));
  if (suite === undefined) throw new RangeError(`slot ${slot}: transforms that are not supported together`);
  const { keyLength, ivLength, blockSize } = suite.encr;
  const icvLength = suite.isCombined ? suite.encr.icvLength : suite.integ.icvLength;
  const fits =
    encrKey.length === keyLength &&
    integKey.length === (suite.isCombined ? 0 : suite.integ.keyLength) &&
    field(Slot.IV_LENGTH) === ivLength &&
    field(Slot.ICV_LENGTH) === icvLength &&
    field(Slot.BLOCK_SIZE) === Math.max(ESP_ALIGNMENT, blockSize) &&
    field(Slot.DIRECTION) <= OUTBOUND &&
    field(Slot.ESN) <= 1;
  if (!fits) throw new RangeError(`slot ${slot}: the keys or the record do not fit the transforms`);
  return {
    suite,
    ivLength,
    icvLength,
    cipherBlockSize: blockSize,
    isOutbound: field(Slot.DIRECTION) === OUTBOUND,
    esn: field(Slot.ESN) === 1,
    encrKey: encrKey.slice(),
    integKey: integKey.slice(),
  };
}

/** Exactly one of cipher and integrity algorithm authenticates [ESP-24] [ENC-09]; `undefined` otherwise. */
function suiteOf(encrId: number, keyBits: number, integId: number): Suite | undefined {
  const encr = encrAlgorithm(encrId, keyBits);
  if (encr?.isAead) return integId === 0 ? { isCombined: true, encr } : undefined;
  const integ = integAlgorithm(integId);
  if (integ === undefined || encr === undefined) return undefined;
  return { isCombined: false, encr, integ };
}

/** @param random - gives the IVs of CBC [ESP-21] */
export function createTwinEspEngine(table: SaTable, store: TwinKeyStore, random: RandomSource): EspEngine {
  const counters = new BigUint64Array(table.bytes.buffer);
  const keysFor = (slot: number, direction: number) => {
    const keys = store.keys.get(slot);
    // Sealing with the peer's key would repeat its nonces.
    return keys?.isOutbound === (direction === OUTBOUND) ? keys : undefined;
  };

  function sealOne(batch: PacketBatch, i: number): number {
    const slot = batch.slot[i]!;
    const keys = keysFor(slot, OUTBOUND);
    if (keys === undefined) return PACKET_NO_KEY;
    const front = ESP_HEADER_LENGTH + keys.ivLength;
    const offset = batch.offset[i]!;
    const length = batch.length[i]!;
    const blockSize = Math.max(ESP_ALIGNMENT, keys.cipherBlockSize);
    if (!isInCell(batch, i, front, keys.icvLength) || length === 0 || length % blockSize !== 0)
      return PACKET_BAD_LENGTH;
    const sequence = takeSequence(counters, table, slot, keys.esn);
    if (sequence === 0n) return PACKET_SEQUENCE_EXHAUSTED;
    const start = offset - front;
    batch.view.setUint32(start, Atomics.load(table.u32, fieldOf(table, slot, Slot.SPI)));
    batch.view.setUint32(start + 4, Number(BigInt.asUintN(32, sequence)));
    const iv = batch.bytes.subarray(start + ESP_HEADER_LENGTH, offset);
    // Taken once per key, which is all that counter modes ask of their IV [ESP-20].
    if (!keys.suite.encr.needsUniqueIv) iv.set(random.publicBytes(iv.length));
    else if (iv.length > 0) batch.view.setBigUint64(start + ESP_HEADER_LENGTH, sequence);
    const esp = batch.bytes.subarray(start, offset + length + keys.icvLength);
    sealInPlace(keys, esp, front, length, Number(sequence >> 32n));
    batch.offset[i] = start;
    batch.length[i] = esp.length;
    return PACKET_OK;
  }

  function openOne(batch: PacketBatch, i: number): number {
    const keys = keysFor(batch.slot[i]!, INBOUND);
    if (keys === undefined) return PACKET_NO_KEY;
    if (!isInCell(batch, i, 0, 0)) return PACKET_BAD_LENGTH;
    const front = ESP_HEADER_LENGTH + keys.ivLength;
    const length = batch.length[i]! - front - keys.icvLength;
    // Pad length and next header are the least that a packet holds.
    if (length < 2 || length % keys.cipherBlockSize !== 0) return PACKET_BAD_LENGTH;
    const offset = batch.offset[i]!;
    const esp = batch.bytes.subarray(offset, offset + batch.length[i]!);
    const plaintext = openCopy(keys, esp, front, batch.sequenceHigh[i]!);
    if (plaintext === undefined) {
      esp.fill(0);
      return PACKET_NOT_AUTHENTIC;
    }
    esp.set(plaintext, front);
    wipe(plaintext);
    batch.offset[i] = offset + front;
    batch.length[i] = length;
    return PACKET_OK;
  }

  return {
    seal(batch) {
      for (let i = 0; i < batch.count; i++) batch.status[i] = sealOne(batch, i);
    },
    open(batch) {
      for (let i = 0; i < batch.count; i++) batch.status[i] = openOne(batch, i);
    },
  };
}

function fieldOf(table: SaTable, slot: number, name: number): number {
  return (table.regions.slots + slot * Slot.STRIDE + name) / 4;
}

/** Whether the packet with `front` and `back` octets around it lies in one cell of the arena. */
function isInCell(batch: PacketBatch, i: number, front: number, back: number): boolean {
  const offset = batch.offset[i]!;
  if (offset >= batch.capacity * batch.stride) return false;
  const before = offset % batch.stride;
  return before >= front && before + batch.length[i]! + back <= batch.stride;
}

/** Takes the slot's next number, 0 when none is left [ESP-02] [ESP-03]. */
function takeSequence(counters: BigUint64Array, table: SaTable, slot: number, esn: boolean): bigint {
  const at = fieldOf(table, slot, Slot.SEQUENCE) / 2;
  const reserved = Atomics.load(counters, fieldOf(table, slot, Slot.SEQUENCE_LIMIT) / 2);
  const limit = !esn && reserved > LAST_SHORT_SEQUENCE ? LAST_SHORT_SEQUENCE : reserved;
  for (;;) {
    const last = Atomics.load(counters, at);
    if (last >= limit) return 0n;
    if (Atomics.compareExchange(counters, at, last, last + 1n) === last) return last + 1n;
  }
}

function sealInPlace(
  keys: SlotKeys,
  esp: Uint8Array,
  front: number,
  length: number,
  sequenceHigh: number,
): void {
  const { suite } = keys;
  const iv = ivOf(keys, esp, sequenceHigh);
  const plaintext = esp.subarray(front, front + length);
  if (suite.isCombined) {
    esp.set(sealAead(suite.encr, keys.encrKey, iv, aadOf(keys, esp, sequenceHigh), plaintext), front);
    return;
  }
  esp.set(encrypt(suite.encr, keys.encrKey, iv, plaintext), front);
  esp.set(icvOf(keys, suite.integ, esp.subarray(0, front + length), sequenceHigh), front + length);
}

/** The plaintext, verified before anything is decrypted [ESP-12]. */
function openCopy(
  keys: SlotKeys,
  esp: Uint8Array,
  front: number,
  sequenceHigh: number,
): Uint8Array | undefined {
  const { suite } = keys;
  const iv = ivOf(keys, esp, sequenceHigh);
  if (suite.isCombined)
    return openAead(suite.encr, keys.encrKey, iv, aadOf(keys, esp, sequenceHigh), esp.subarray(front));
  const icvAt = esp.length - keys.icvLength;
  const icv = icvOf(keys, suite.integ, esp.subarray(0, icvAt), sequenceHigh);
  if (!constantTimeEqual(icv, esp.subarray(icvAt))) return undefined;
  const ciphertext = esp.subarray(front, icvAt);
  return decrypt(suite.encr, keys.encrKey, iv, ciphertext);
}

/** As it was sent, or where it is implicit the sequence number of 64 bits (RFC 8750 section 4). */
function ivOf(keys: SlotKeys, esp: Uint8Array, sequenceHigh: number): Uint8Array {
  const { ivLength, nonceIvLength } = keys.suite.encr;
  if (ivLength === nonceIvLength) return esp.subarray(ESP_HEADER_LENGTH, ESP_HEADER_LENGTH + ivLength);
  return concat(bigEndian(keys.esn ? sequenceHigh : 0), esp.subarray(4, ESP_HEADER_LENGTH));
}

/** SPI and the sequence number of 32 or 64 bits (RFC 4106 section 5) [ESP-16]. */
function aadOf(keys: SlotKeys, esp: Uint8Array, sequenceHigh: number): Uint8Array {
  if (!keys.esn) return esp.slice(0, ESP_HEADER_LENGTH);
  return concat(esp.subarray(0, 4), bigEndian(sequenceHigh), esp.subarray(4, ESP_HEADER_LENGTH));
}

/** With ESN the high half is behind what is sent (RFC 4303 section 2.2.1) [ESP-06]. */
function icvOf(keys: SlotKeys, integ: IntegAlgorithm, covered: Uint8Array, sequenceHigh: number): Uint8Array {
  return keys.esn
    ? computeIcv(integ, keys.integKey, covered, bigEndian(sequenceHigh))
    : computeIcv(integ, keys.integKey, covered);
}

function bigEndian(value: number): Uint8Array {
  const octets = new Uint8Array(4);
  new DataView(octets.buffer).setUint32(0, value);
  return octets;
}
