/**
 * The crypto engine in TypeScript: the reference that native code is tested against, and what simulations run
 * (RFC 4303 sections 3.3 and 3.4). Keys lie in ordinary memory, and every packet allocates: not for production.
 */
import { concat, wipe } from "../base/bytes.ts";
import { FRAME_OCTETS_MAX, FRAME_PLAIN, FRAME_SEGMENTS_MAX, type FrameBatch } from "../base/frame-batch.ts";
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
import { computeGmac, computeIcv, type IntegAlgorithm, integAlgorithm } from "../crypto/integ.ts";
import { type SaTable, Slot } from "../policy/sa-table.ts";
import {
  ESP_HEADER_LENGTH,
  ESP_TRAILER_LENGTH,
  writeEspHeader,
  writeEspTrailer,
} from "../wire/esp/esp-packet.ts";
import { Encr } from "../wire/ike/registries.ts";
import { cutSegment, superpacketHeaders } from "../wire/ip/superpacket.ts";
import { paddedLength } from "./effective-mtu.ts";
import type { EspEngine, EspKeyStore } from "./engine.ts";

/** ESP aligns the trailer's end to this with every cipher [ESP-09]. */
const ESP_ALIGNMENT = 4;
/** Octet of the sequence number in AH. */
const AH_SEQUENCE = 8;
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
  // [AH-17] GMAC as an integrity algorithm is AH's, which has no cipher.
  if (integ.ivLength > 0 && encr.id !== Encr.NULL) return undefined;
  return { isCombined: false, encr, integ };
}

/** What an engine's parts share. */
interface Twin {
  readonly table: SaTable;
  readonly counters: BigUint64Array;
  readonly store: TwinKeyStore;
  readonly random: RandomSource;
}

/** @param random - gives the IVs of CBC [ESP-21] */
export function createTwinEspEngine(table: SaTable, store: TwinKeyStore, random: RandomSource): EspEngine {
  const twin: Twin = { table, counters: new BigUint64Array(table.bytes.buffer), store, random };
  return {
    seal(frames, packets) {
      packets.count = 0;
      let [i = 0, segment = 0] = frames.cursor;
      for (; i < frames.count; i++) {
        if (segment === 0) frames.sealed[i] = 0;
        segment = sealFrame(twin, frames, i, segment, packets);
        if (segment < frames.segments[i]!) break;
        segment = 0;
      }
      frames.cursor.set([i, segment]);
    },
    authenticate(batch) {
      for (let i = 0; i < batch.count; i++) batch.status[i] = authenticateOne(twin, batch, i);
    },
    open(batch) {
      for (let i = 0; i < batch.count; i++) batch.status[i] = openOne(twin, batch, i);
    },
  };
}

/** The keys of a slot for a direction: sealing with the peer's key would repeat its nonces. */
function keysFor({ store }: Twin, slot: number, direction: number): SlotKeys | undefined {
  const keys = store.keys.get(slot);
  return keys?.isOutbound === (direction === OUTBOUND) ? keys : undefined;
}

/** Makes the packets of one frame from packet `first` on; the next to make, or `segments` when it is done with. */
function sealFrame(twin: Twin, frames: FrameBatch, i: number, first: number, packets: PacketBatch): number {
  const refuse = (status: number) => {
    frames.status[i] = status;
    return frames.segments[i]!;
  };
  const slot = frames.slot[i]!;
  const keys = keysFor(twin, slot, OUTBOUND);
  if (keys === undefined || isOfAhAlone(keys)) return refuse(PACKET_NO_KEY);
  const segments = segmentsOfFrame(frames, i);
  if (segments === undefined || first >= segments.length) return refuse(PACKET_BAD_LENGTH);
  const { nextHeader, strip, padTo } = readColumns(frames, i);
  const around = ESP_HEADER_LENGTH + keys.ivLength + keys.icvLength;
  const sizeOf = (packet: Uint8Array) => around + paddedPayload(keys, packet.length - strip, padTo);
  const wanted = segments.slice(first);
  const room = roomFor(packets, sizeOf(segments[0]!), wanted.length);
  if (room === 0 && packets.count === 0) return refuse(PACKET_BAD_LENGTH);
  // Cut short only a frame that no call has room for.
  if (room < wanted.length && packets.count > 0) return first;
  const numbers = takeSequences(twin, slot, keys.esn, room);
  wanted.slice(0, numbers.count).forEach((packet, k) => {
    const place = endOf(packets);
    const payload = new Uint8Array(Math.max(packet.length - strip, padTo));
    payload.set(packet.subarray(strip));
    const esp = packets.bytes.subarray(place, place + sizeOf(packet));
    const spi = Atomics.load(twin.table.u32, fieldOf(twin.table, slot, Slot.SPI));
    const sequence = numbers.first + BigInt(k);
    writeEspHeader(esp, 0, spi, Number(BigInt.asUintN(32, sequence)));
    sealPayload(keys, sequence, payload, nextHeader, esp, twin.random);
    placePacket(packets, place, esp.length, frames, i);
  });
  frames.sealed[i] = frames.sealed[i]! + numbers.count;
  if (numbers.count < room) return refuse(PACKET_SEQUENCE_EXHAUSTED);
  frames.status[i] = PACKET_OK;
  return first + room;
}

/** Fills an ESP packet behind its header. */
function sealPayload(
  keys: SlotKeys,
  sequence: bigint,
  payload: Uint8Array,
  nextHeader: number,
  esp: Uint8Array,
  random: RandomSource,
): void {
  const front = ESP_HEADER_LENGTH + keys.ivLength;
  const length = esp.length - front - keys.icvLength;
  const iv = esp.subarray(ESP_HEADER_LENGTH, front);
  // Taken once per key, which is all that counter modes ask of their IV [ESP-20].
  if (!keys.suite.encr.needsUniqueIv) iv.set(random.publicBytes(iv.length));
  else if (iv.length > 0) new DataView(esp.buffer, esp.byteOffset).setBigUint64(ESP_HEADER_LENGTH, sequence);
  esp.set(payload, front);
  writeEspTrailer(esp, front + payload.length, length - payload.length - ESP_TRAILER_LENGTH, nextHeader);
  sealInPlace(keys, esp, front, length, Number(sequence >> 32n));
}

/** The number, and GMAC's IV behind it, go into AH, the ICV behind the packet. */
function authenticateOne(twin: Twin, batch: PacketBatch, i: number): number {
  const slot = batch.slot[i]!;
  const keys = keysFor(twin, slot, OUTBOUND);
  if (keys === undefined || keys.suite.isCombined || keys.suite.encr.id !== Encr.NULL) return PACKET_NO_KEY;
  const at = batch.offset[i]!;
  const length = batch.length[i]!;
  const number = batch.frame[i]! + AH_SEQUENCE;
  const room = batch.bytes.length - at - length;
  const end = number + 4 + keys.suite.integ.ivLength;
  if (length <= ESP_HEADER_LENGTH || end > length || room < keys.icvLength) return PACKET_BAD_LENGTH;
  const taken = takeSequences(twin, slot, keys.esn, 1);
  if (taken.count === 0) return PACKET_SEQUENCE_EXHAUSTED;
  batch.view.setUint32(at + number, Number(BigInt.asUintN(32, taken.first)));
  const image = batch.bytes.subarray(at, at + length);
  const iv = sequenceIv(keys.suite.integ, taken.first);
  image.set(iv, number + 4);
  batch.bytes.set(icvOf(keys, keys.suite.integ, image, Number(taken.first >> 32n), iv), at + length);
  return PACKET_OK;
}

function openOne(twin: Twin, batch: PacketBatch, i: number): number {
  const keys = keysFor(twin, batch.slot[i]!, INBOUND);
  if (keys === undefined) return PACKET_NO_KEY;
  if (!isInArena(batch, i)) return PACKET_BAD_LENGTH;
  const front = ESP_HEADER_LENGTH + keys.ivLength;
  const length = batch.length[i]! - front - keys.icvLength;
  // Pad length and next header are the least that a packet holds.
  if (length < ESP_TRAILER_LENGTH || length % keys.cipherBlockSize !== 0) return PACKET_BAD_LENGTH;
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

function fieldOf(table: SaTable, slot: number, name: number): number {
  return (table.regions.slots + slot * Slot.STRIDE + name) / 4;
}

function isInArena(batch: PacketBatch, i: number): boolean {
  return batch.offset[i]! + batch.length[i]! <= batch.bytes.length;
}

function readColumns(frames: FrameBatch, i: number) {
  return { nextHeader: frames.nextHeader[i]!, strip: frames.strip[i]!, padTo: frames.padTo[i]! };
}

/** The packets that a frame becomes; undefined when its columns and octets contradict each other. */
function segmentsOfFrame(frames: FrameBatch, i: number): readonly Uint8Array[] | undefined {
  const { kind, segmentLength, segments, strip } = frames;
  if (!isInArena(frames, i) || frames.length[i]! <= strip[i]! || frames.length[i]! > FRAME_OCTETS_MAX)
    return undefined;
  const at = frames.offset[i]!;
  const bytes = frames.bytes.subarray(at, at + frames.length[i]!);
  if (kind[i] === FRAME_PLAIN) return segments[i] === 1 ? [bytes] : undefined;
  const headers = superpacketHeaders(bytes, 0, bytes.length, kind[i]!);
  if (headers === undefined || segmentLength[i] === 0 || strip[i]! > headers.ipLength) return undefined;
  const count = Math.ceil((bytes.length - headers.length) / segmentLength[i]!);
  if (count !== segments[i] || count > FRAME_SEGMENTS_MAX) return undefined;
  return Array.from({ length: count }, (_, k) => cutSegment(bytes, headers, segmentLength[i]!, k));
}

/** Octets that the cipher sees: payload, TFC padding, padding and trailer. */
function paddedPayload(keys: SlotKeys, payloadLength: number, padTo: number): number {
  return paddedLength(Math.max(payloadLength, padTo), Math.max(ESP_ALIGNMENT, keys.cipherBlockSize));
}

function endOf(packets: PacketBatch): number {
  const last = packets.count - 1;
  return last < 0 ? 0 : packets.offset[last]! + packets.length[last]!;
}

/** How many of `wanted` packets of up to `octets` each fit behind what is there. */
function roomFor(packets: PacketBatch, octets: number, wanted: number): number {
  const places = packets.capacity - packets.count;
  return Math.min(wanted, places, Math.floor((packets.bytes.length - endOf(packets)) / octets));
}

function placePacket(packets: PacketBatch, at: number, length: number, frames: FrameBatch, i: number): void {
  const place = packets.count++;
  packets.offset[place] = at;
  packets.length[place] = length;
  packets.frame[place] = i;
  packets.endpoint[place] = frames.endpoint[i]!;
  packets.tos[place] = frames.tos[i]!;
  packets.status[place] = PACKET_OK;
}

/** Takes the slot's next numbers, at most `wanted` and as many as are left [ESP-02] [ESP-03]. */
function takeSequences(
  { counters, table }: Twin,
  slot: number,
  esn: boolean,
  wanted: number,
): { readonly first: bigint; readonly count: number } {
  const at = fieldOf(table, slot, Slot.SEQUENCE) / 2;
  const reserved = Atomics.load(counters, fieldOf(table, slot, Slot.SEQUENCE_LIMIT) / 2);
  const limit = !esn && reserved > LAST_SHORT_SEQUENCE ? LAST_SHORT_SEQUENCE : reserved;
  for (;;) {
    const last = Atomics.load(counters, at);
    const left = last >= limit ? 0n : limit - last;
    const count = left < BigInt(wanted) ? Number(left) : wanted;
    if (count === 0) return { first: 0n, count };
    if (Atomics.compareExchange(counters, at, last, last + BigInt(count)) === last)
      return { first: last + 1n, count };
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
  const sentIv = esp.subarray(icvAt, icvAt + suite.integ.ivLength);
  const icv = icvOf(keys, suite.integ, esp.subarray(0, icvAt), sequenceHigh, sentIv);
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
function icvOf(
  keys: SlotKeys,
  integ: IntegAlgorithm,
  covered: Uint8Array,
  sequenceHigh: number,
  iv: Uint8Array = NOTHING,
): Uint8Array {
  const parts = keys.esn ? [covered, bigEndian(sequenceHigh)] : [covered];
  return integ.ivLength > 0
    ? computeGmac(integ, keys.integKey, iv, ...parts)
    : computeIcv(integ, keys.integKey, ...parts);
}

const NOTHING = new Uint8Array(0);

/** GMAC's IV: the number, which is taken once per key; nothing for other algorithms [AH-17]. */
function sequenceIv({ ivLength }: IntegAlgorithm, sequence: bigint): Uint8Array {
  const iv = new Uint8Array(ivLength);
  if (ivLength > 0) new DataView(iv.buffer).setBigUint64(0, sequence);
  return iv;
}

function isOfAhAlone({ suite }: SlotKeys): boolean {
  return !suite.isCombined && suite.integ.ivLength > 0;
}

function bigEndian(value: number): Uint8Array {
  const octets = new Uint8Array(4);
  new DataView(octets.buffer).setUint32(0, value);
  return octets;
}
