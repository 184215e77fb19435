/** An engine without secrecy for tests of decisions: real header, IV and ICV lengths, and an ICV that any change breaks. */
import {
  PACKET_BAD_LENGTH,
  PACKET_NO_KEY,
  PACKET_NOT_AUTHENTIC,
  PACKET_OK,
  PACKET_SEQUENCE_EXHAUSTED,
  type PacketBatch,
} from "../../../src/base/packet-batch.ts";
import type { EspEngine, EspKeyStore } from "../../../src/esp/engine.ts";
import { readUint64, writeUint64 } from "../../../src/policy/sa-record.ts";
import { type SaTable, Slot } from "../../../src/policy/sa-table.ts";
import { slotOffset } from "../../../src/policy/sad.ts";
import { ESP_HEADER_LENGTH, writeEspHeader } from "../../../src/wire/esp/esp-packet.ts";

export class PlainEngine implements EspEngine, EspKeyStore {
  readonly #table: SaTable;
  readonly keys = new Map<number, Uint8Array>();

  constructor(table: SaTable) {
    this.#table = table;
  }

  install(slot: number, encr: Uint8Array, integ: Uint8Array): void {
    this.keys.set(slot, Uint8Array.of(...encr, ...integ));
  }

  wipe(slot: number): void {
    this.keys.delete(slot);
  }

  #field(slot: number, field: number): number {
    return this.#table.u32[(slotOffset(this.#table, slot) + field) / 4]!;
  }

  seal(batch: PacketBatch): void {
    for (let i = 0; i < batch.count; i++) {
      const slot = batch.slot[i]!;
      const key = this.keys.get(slot);
      batch.status[i] = key === undefined ? PACKET_NO_KEY : this.#sealOne(batch, i, slot, key);
    }
  }

  #sealOne(batch: PacketBatch, i: number, slot: number, key: Uint8Array): number {
    const iv = this.#field(slot, Slot.IV_LENGTH);
    const icv = this.#field(slot, Slot.ICV_LENGTH);
    if (batch.length[i]! % this.#field(slot, Slot.BLOCK_SIZE) !== 0) return PACKET_BAD_LENGTH;
    const base = slotOffset(this.#table, slot);
    const taken = readUint64(this.#table, base + Slot.SEQUENCE);
    if (taken >= readUint64(this.#table, base + Slot.SEQUENCE_LIMIT)) return PACKET_SEQUENCE_EXHAUSTED;
    const sequence = taken + 1;
    writeUint64(this.#table, base + Slot.SEQUENCE, sequence);
    const start = batch.offset[i]! - iv - ESP_HEADER_LENGTH;
    const end = batch.offset[i]! + batch.length[i]!;
    writeEspHeader(batch.bytes, start, this.#field(slot, Slot.SPI), sequence >>> 0);
    batch.bytes.fill(0, start + ESP_HEADER_LENGTH, batch.offset[i]!);
    const high = this.#field(slot, Slot.ESN) === 1 ? Math.floor(sequence / 2 ** 32) : 0;
    batch.bytes.set(checkValue(key, high, batch.bytes.subarray(start, end), icv), end);
    batch.offset[i] = start;
    batch.length[i] = end + icv - start;
    return PACKET_OK;
  }

  open(batch: PacketBatch): void {
    for (let i = 0; i < batch.count; i++) {
      const slot = batch.slot[i]!;
      const key = this.keys.get(slot);
      batch.status[i] = key === undefined ? PACKET_NO_KEY : this.#openOne(batch, i, slot, key);
    }
  }

  #openOne(batch: PacketBatch, i: number, slot: number, key: Uint8Array): number {
    const iv = this.#field(slot, Slot.IV_LENGTH);
    const icv = this.#field(slot, Slot.ICV_LENGTH);
    const start = batch.offset[i]!;
    const end = start + batch.length[i]! - icv;
    if (end - start - ESP_HEADER_LENGTH - iv <= 0) return PACKET_BAD_LENGTH;
    const wanted = checkValue(key, batch.sequenceHigh[i]!, batch.bytes.subarray(start, end), icv);
    if (wanted.some((octet, at) => octet !== batch.bytes[end + at])) {
      batch.bytes.fill(0, start, end + icv);
      return PACKET_NOT_AUTHENTIC;
    }
    batch.offset[i] = start + ESP_HEADER_LENGTH + iv;
    batch.length[i] = end - batch.offset[i]!;
    return PACKET_OK;
  }
}

function checkValue(key: Uint8Array, high: number, covered: Uint8Array, length: number): Uint8Array {
  let hash = Math.imul(high + 1, 0x01000193);
  for (const octet of key) hash = Math.imul(hash ^ octet, 0x01000193);
  for (const octet of covered) hash = Math.imul(hash ^ octet, 0x01000193) ^ (hash >>> 7);
  return Uint8Array.from({ length }, (_, i) => (Math.imul(hash ^ i, 0x9e3779b1) >>> 11) & 0xff);
}
