/** Dummy packets in the pauses of SAs that are to show none (RFC 4303 section 2.6) [ESP-10]. */
import { dummyDueAt } from "../esp/dummy-schedule.ts";
import { tfcLength } from "../esp/tfc-padding.ts";
import { Slot, TFC_PAD_TO_MTU } from "../policy/sa-table.ts";
import { slotOffset } from "../policy/sad.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import type { LaneContext } from "./lane-context.ts";
import type { MadePayloads } from "./made-payloads.ts";

export class DummyPackets {
  readonly #context: LaneContext;
  readonly #payloads: MadePayloads;
  #slots: readonly number[] = [];
  readonly #isKnown: Uint8Array;
  /** None is due before: sending puts a dummy off and nothing brings it forward. */
  readonly #next = Float64Array.of(Number.POSITIVE_INFINITY);
  /** By slot: when its SA was first seen here. */
  readonly #since: Float64Array;

  constructor(context: LaneContext, payloads: MadePayloads) {
    this.#context = context;
    this.#payloads = payloads;
    this.#since = new Float64Array(context.table.size.slots);
    this.#isKnown = new Uint8Array(context.table.size.slots);
  }

  setSlots(slots: readonly number[], now: number): void {
    for (const slot of slots) if (this.#isKnown[slot] === 0) this.#since[slot] = now;
    for (const slot of this.#slots) this.#isKnown[slot] = 0;
    for (const slot of slots) this.#isKnown[slot] = 1;
    this.#slots = slots;
    this.#next[0] = slots.length === 0 ? Number.POSITIVE_INFINITY : now;
  }

  turn(now: number): void {
    if (this.#slots.length === 0 || now < this.#next[0]!) return;
    let next = Number.POSITIVE_INFINITY;
    for (let k = 0; k < this.#slots.length; k++) {
      const slot = this.#slots[k]!;
      if (now >= this.#dueAt(slot)) this.#send(slot, now);
      next = Math.min(next, this.#dueAt(slot));
    }
    this.#next[0] = next;
  }

  /** Nothing is ever due. */
  get isIdle(): boolean {
    return this.#slots.length === 0;
  }

  nextTimeout(): number {
    return this.#next[0]!;
  }

  /** A dummy that its SA may not carry is tried again no sooner than the next one. */
  #dueAt(slot: number): number {
    const { table } = this.#context;
    const base = slotOffset(table, slot);
    const lastAt = table.f64[(base + Slot.LAST_AT) >> 3]!;
    const since = this.#since[slot]!;
    const rate = table.u32[(base + Slot.DUMMY_RATE) >> 2]!;
    return dummyDueAt(lastAt >= since ? lastAt : Number.NaN, since, rate);
  }

  /** As long as padded packets are, zeros that nobody sees. */
  #send(slot: number, now: number): void {
    const { table } = this.#context;
    const setting = table.u32[(slotOffset(table, slot) + Slot.TFC_PAD) >> 2]!;
    const mtu = this.#payloads.capacity(slot, 0);
    const length = tfcLength(setting === 0 ? TFC_PAD_TO_MTU : setting, mtu);
    this.#since[slot] = now;
    const i = this.#payloads.append(length);
    if (i < 0) return;
    const { bytes, offset } = this.#payloads.frames;
    bytes.fill(0, offset[i]!, offset[i]! + length);
    this.#payloads.protect(i, slot, IpProtocol.NO_NEXT_HEADER, now);
  }
}
