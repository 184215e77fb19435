/** The outbound SAs of a lane that send by the clock or keep packets back, and their part of each turn. */
import type { FrameBatch } from "../base/frame-batch.ts";
import { AggfragMode, Header, Slot, SlotState } from "../policy/sa-table.ts";
import { slotOffset } from "../policy/sad.ts";
import { AggfragOutbound } from "./aggfrag-outbound.ts";
import { DummyPackets } from "./dummy-packets.ts";
import type { LaneContext } from "./lane-context.ts";
import { MadePayloads } from "./made-payloads.ts";
import type { SealAndSend } from "./seal-and-send.ts";

export class PacedSas {
  readonly #context: LaneContext;
  readonly #payloads: MadePayloads;
  readonly aggfrag: AggfragOutbound;
  readonly #dummies: DummyPackets;
  #generation = -1;

  /** @param made - memory for what is sent, empty between calls */
  constructor(context: LaneContext, made: FrameBatch, sealAndSend: SealAndSend) {
    this.#context = context;
    this.#payloads = new MadePayloads(context, made, sealAndSend);
    this.aggfrag = new AggfragOutbound(context, this.#payloads);
    this.#dummies = new DummyPackets(context, this.#payloads);
  }

  /** At the begin of a turn: learns of SAs that came and went. */
  begin(now: number): void {
    const generation = Atomics.load(this.#context.table.u32, Header.PACED_GENERATION / 4);
    if (generation === this.#generation) return;
    this.#generation = generation;
    this.#learn(now);
  }

  /** Apart from {@link begin}: whatever has functions of its own makes an object when it is called, until V8 optimises it. */
  #learn(now: number): void {
    const aggfrag: number[] = [];
    const dummies: number[] = [];
    const { table, index } = this.#context;
    let next = Atomics.load(table.u32, Header.PACED_HEAD / 4);
    // Whatever changes under the walk is walked again.
    for (let left = table.size.slots; next !== 0 && left > 0; left--) {
      const slot = next - 1;
      const base = slotOffset(table, slot);
      const get = (field: number) => Atomics.load(table.u32, (base + field) >> 2);
      next = get(Slot.NEXT_PACED);
      if (get(Slot.STATE) !== SlotState.LIVE || get(Slot.OWNER_LANE) !== index) continue;
      if (get(Slot.AGGFRAG_MODE) !== AggfragMode.OFF) aggfrag.push(slot);
      else dummies.push(slot);
    }
    this.aggfrag.setSlots(aggfrag, now);
    this.#dummies.setSlots(dummies, now);
  }

  /**
   * Octets of the longest inner packet of an SA in AGGFRAG mode. One that was published in the middle of the turn is
   * learnt of here.
   */
  aggfragMtu(slot: number, now: number): number {
    if (!this.aggfrag.has(slot)) this.begin(now);
    return this.aggfrag.mtu(slot);
  }

  /** At the end of a turn: sends what is due. */
  turn(now: number): void {
    this.aggfrag.turn(now);
    this.#dummies.turn(now);
    this.#payloads.flush();
  }

  /** Nothing is ever due; {@link nextTimeout} would say so with an object, until V8 optimises it. */
  get isIdle(): boolean {
    return this.aggfrag.isIdle && this.#dummies.isIdle;
  }

  /** When {@link turn} has something to send; Infinity: never. */
  nextTimeout(): number {
    return Math.min(this.aggfrag.nextTimeout(), this.#dummies.nextTimeout());
  }
}
