/**
 * What a lane gives to another one: frames and datagrams of an SA that is the other's. One SA is sealed and opened by one
 * lane only, and what one lane gives to another stays in order. The receiver decides anew: between the two an SA may have
 * gone, and its slot may be another's.
 */
import { appendFrame, clearFrames, type FrameBatch } from "../base/frame-batch.ts";
import {
  DATAGRAM_META_STRIDE,
  META_HEADER_LENGTH,
  NO_ORIGIN,
  type PacketBatch,
} from "../base/packet-batch.ts";
import { HandOverRing, ringMemory } from "./hand-over-ring.ts";
import type { SocketIndex, TunIndex } from "./packet-io.ts";

/** Octets that wait from one lane for another, in each direction: less than a millisecond of a fast line. */
const RING_OCTETS = 1024 * 1024;
/** With more lanes than this the many queues are shorter. */
const LONG_RINGS_LANES_MAX = 8;
const SHORT_RING_OCTETS = 256 * 1024;

/** A packet that was passed on so often has no lane: the tables that name it change faster than it travels. */
const HAND_OVER_HOPS_MAX = 3;

/** Copies `length` octets. */
export type CopyOctets = (from: Uint8Array, at: number, length: number, to: Uint8Array, toAt: number) => void;

/** Memory of one lane, where others put what is its. */
type Inbox = ArrayBuffer | SharedArrayBuffer;

/** In front of an inbox's rings: word 0 is 1 while its lane sleeps or is about to. */
const INBOX_HEADER = 256;

export interface HandOverOptions {
  readonly lanes: number;
  readonly index: number;
  /** By lane; {@link inboxOctets} of zeroed memory each. */
  readonly inboxes: readonly Inbox[];
  readonly copy: CopyOctets;
  /** Ends another lane's sleep, or its next one. */
  readonly wake: (lane: number) => void;
  /** Counters of frames and of datagrams handed over, for whoever looks: {@link HAND_OVER_COUNTERS} numbers. */
  readonly counters: Float64Array;
}

export const HAND_OVER_COUNTERS = 2;
export const HANDED_FRAMES = 0;
export const HANDED_DATAGRAMS = 1;

function ringOctets(lanes: number): number {
  return lanes <= LONG_RINGS_LANES_MAX ? RING_OCTETS : SHORT_RING_OCTETS;
}

/** Octets of one lane's inbox; only what is used of it takes memory. */
export function inboxOctets(lanes: number): number {
  return INBOX_HEADER + (lanes - 1) * 2 * ringMemory(ringOctets(lanes));
}

/** Two rings of an inbox, by the lane that puts. */
interface Rings {
  readonly frames: HandOverRing;
  readonly datagrams: HandOverRing;
}

export class HandOver {
  readonly lanes: number;
  readonly #index: number;
  readonly #copy: CopyOctets;
  readonly #wake: (lane: number) => void;
  readonly #counters: Float64Array;
  /** By lane, this one left out: what it has for us, and what we have for it. */
  readonly #from: readonly (Rings | undefined)[];
  readonly #to: readonly (Rings | undefined)[];
  readonly #asleep: readonly Int32Array[];
  /** Lanes that were given something since they were woken last. */
  readonly #isOwedWake: Uint8Array;
  #owedWakes = 0;
  /** Device of the frames that were taken last. */
  device: TunIndex = 0;
  /** How often what is decided at the moment was handed over already; 0 for what this lane has read itself. */
  hops = 0;

  constructor({ lanes, index, inboxes, copy, wake, counters }: HandOverOptions) {
    this.lanes = lanes;
    this.#index = index;
    this.#copy = copy;
    this.#wake = wake;
    this.#counters = counters;
    const others = Array.from({ length: lanes }, (_, lane) => (lane === index ? undefined : lane));
    this.#from = others.map((lane) =>
      lane === undefined ? lane : ringsOf(inboxes[index]!, index, lane, lanes),
    );
    this.#to = others.map((lane) =>
      lane === undefined ? lane : ringsOf(inboxes[lane]!, lane, index, lanes),
    );
    this.#asleep = inboxes.map((inbox) => new Int32Array(inbox, 0, 1));
    this.#isOwedWake = new Uint8Array(lanes);
  }

  /** False for what was handed over too often already. */
  get mayGive(): boolean {
    return this.hops < HAND_OVER_HOPS_MAX;
  }

  /** Gives frame `i` to another lane; false when its queue is full. */
  giveFrame(lane: number, frames: FrameBatch, i: number, device: TunIndex): boolean {
    const ring = this.#to[lane]?.frames;
    if (ring === undefined) return false;
    const record = this.#put(ring, frames, i, 0);
    if (record < 0) return false;
    const word = ring.words(record);
    ring.u32[word] = device | ((this.hops + 1) << 8) | (frames.kind[i]! << 16);
    ring.u32[word + 1] = frames.segmentLength[i]! | (frames.segments[i]! << 16);
    ring.u32[word + 2] = frames.packetLength[i]!;
    ring.put(record);
    this.#owe(lane, HANDED_FRAMES);
    return true;
  }

  /** Gives datagram `i` of a socket, with the IP header in front of it, to another lane; false when its queue is full. */
  giveDatagram(lane: number, batch: PacketBatch, i: number, socket: SocketIndex): boolean {
    const ring = this.#to[lane]?.datagrams;
    if (ring === undefined) return false;
    const record = this.#put(ring, batch, i, headerLength(batch, i));
    if (record < 0) return false;
    const word = ring.words(record);
    ring.u32[word] = socket | ((this.hops + 1) << 8) | (batch.tos[i]! << 16);
    for (let octet = 0; octet < DATAGRAM_META_STRIDE; octet++)
      ring.meta[(word + 1) * 4 + octet] = batch.meta[i * DATAGRAM_META_STRIDE + octet]!;
    ring.put(record);
    this.#owe(lane, HANDED_DATAGRAMS);
    return true;
  }

  /** @param front - octets in front of the packet that go with it */
  #put(ring: HandOverRing, batch: PacketBatch, i: number, front: number): number {
    const length = batch.length[i]! + front;
    const record = batch.length[i] === 0 ? -1 : ring.reserve(length);
    if (record >= 0)
      this.#copy(batch.bytes, batch.offset[i]! - front, length, ring.bytes, ring.start(record));
    return record;
  }

  #owe(lane: number, counter: number): void {
    this.#counters[counter] = this.#counters[counter]! + 1;
    if (this.#isOwedWake[lane] === 1) return;
    this.#isOwedWake[lane] = 1;
    this.#owedWakes++;
  }

  /**
   * Fills the batch with the next frames that a lane has for us, all of one {@link device}, and how often each was
   * handed over.
   */
  takeFrames(lane: number, into: FrameBatch, hops: Uint8Array): void {
    clearFrames(into);
    const ring = this.#from[lane]?.frames;
    if (ring === undefined) return;
    for (let record = ring.front(); record >= 0; record = ring.front()) {
      const word = ring.words(record);
      const tags = ring.u32[word]!;
      const sizes = ring.u32[word + 1]!;
      const device = tags & 0xff;
      if (into.count > 0 && device !== this.device) return;
      const length = ring.length(record);
      const i = appendFrame(into, length);
      if (i < 0) return;
      this.device = device;
      this.#copy(ring.bytes, ring.start(record), length, into.bytes, into.offset[i]!);
      hops[i] = (tags >>> 8) & 0xff;
      into.kind[i] = (tags >>> 16) & 0xff;
      into.segmentLength[i] = sizes & 0xffff;
      into.segments[i] = sizes >>> 16;
      into.packetLength[i] = ring.u32[word + 2]!;
      ring.take();
    }
  }

  /** Fills the batch with the next datagrams that a lane has for us, with the socket of each and how often it was handed over. */
  takeDatagrams(lane: number, into: PacketBatch, sockets: Uint8Array, hops: Uint8Array): void {
    into.count = 0;
    let at = 0;
    const ring = this.#from[lane]?.datagrams;
    if (ring === undefined) return;
    for (let record = ring.front(); record >= 0; record = ring.front()) {
      const length = ring.length(record);
      const i = into.count;
      if (i === into.capacity || at + length > into.bytes.length) return;
      const word = ring.words(record);
      const tags = ring.u32[word]!;
      this.#copy(ring.bytes, ring.start(record), length, into.bytes, at);
      sockets[i] = tags & 0xff;
      hops[i] = (tags >>> 8) & 0xff;
      into.tos[i] = (tags >>> 16) & 0xff;
      into.frame[i] = NO_ORIGIN;
      for (let octet = 0; octet < DATAGRAM_META_STRIDE; octet++)
        into.meta[i * DATAGRAM_META_STRIDE + octet] = ring.meta[(word + 1) * 4 + octet]!;
      const front = headerLength(into, i);
      into.offset[i] = at + front;
      into.length[i] = length - front;
      into.count++;
      at = Math.ceil((at + length) / DATAGRAM_ALIGNMENT) * DATAGRAM_ALIGNMENT;
      ring.take();
    }
  }

  /** Wakes the lanes that were given something and sleep. */
  wakeOthers(): void {
    for (let lane = 0; this.#owedWakes > 0 && lane < this.lanes; lane++) {
      if (this.#isOwedWake[lane] === 0) continue;
      this.#isOwedWake[lane] = 0;
      this.#owedWakes--;
      const asleep = this.#asleep[lane]!;
      if (Atomics.load(asleep, 0) === 1 && Atomics.exchange(asleep, 0, 0) === 1) this.#wake(lane);
    }
  }

  /**
   * Whether the lane may sleep: nothing is there for it, and whoever gives it something from now on will wake it. Call
   * {@link stayAwake} afterwards, whatever ended the sleep.
   */
  fallAsleep(): boolean {
    const asleep = this.#asleep[this.#index]!;
    Atomics.store(asleep, 0, 1);
    if (!this.#hasWaiting()) return true;
    Atomics.store(asleep, 0, 0);
    return false;
  }

  stayAwake(): void {
    Atomics.store(this.#asleep[this.#index]!, 0, 0);
  }

  #hasWaiting(): boolean {
    for (let lane = 0; lane < this.lanes; lane++) {
      const rings = this.#from[lane];
      if (rings !== undefined && (rings.frames.front() >= 0 || rings.datagrams.front() >= 0)) return true;
    }
    return false;
  }
}

/** Octets of the IP header that lies in front of datagram `i`: AH covers it. */
function headerLength(batch: PacketBatch, i: number): number {
  return batch.meta[i * DATAGRAM_META_STRIDE + META_HEADER_LENGTH]!;
}

/** Datagrams begin at multiples of this in a batch. */
const DATAGRAM_ALIGNMENT = 64;

function ringsOf(inbox: Inbox, owner: number, sender: number, lanes: number): Rings {
  const octets = ringOctets(lanes);
  const position = sender < owner ? sender : sender - 1;
  const at = INBOX_HEADER + position * 2 * ringMemory(octets);
  return {
    frames: new HandOverRing(inbox, at, octets),
    datagrams: new HandOverRing(inbox, at + ringMemory(octets), octets),
  };
}
