/** Congestion information of the pairs of a lane, which both directions work on (RFC 9347 section 3). */
import { AggfragCongestion } from "../esp/aggfrag-congestion.ts";
import { TfrcSender } from "../esp/tfrc-sender.ts";
import { AggfragCongestionMode, type SaTable, Slot, SlotState } from "../policy/sa-table.ts";
import { slotOffset } from "../policy/sad.ts";

interface Pair {
  readonly slot: number;
  readonly keyGeneration: number;
  readonly policy: number;
  readonly congestion: AggfragCongestion;
}

export class AggfragCongestions {
  readonly #table: SaTable;
  #pairs: readonly Pair[] = [];

  constructor(table: SaTable) {
    this.#table = table;
  }

  /** Of the pair with this inbound SA; `undefined` where nobody asked for any. Streams keep what they get. */
  of(slot: number, now: number): AggfragCongestion | undefined {
    const mode = this.#get(slot, Slot.AGGFRAG_CONGESTION);
    if (mode === AggfragCongestionMode.OFF) return undefined;
    this.#pairs = this.#pairs.filter((pair) => this.#isLive(pair));
    const known = this.#pairs.find((pair) => pair.slot === slot);
    if (known !== undefined) return known.congestion;
    const policy = this.#get(slot, Slot.POLICY);
    const old = this.#pairs.findLast((pair) => pair.policy === policy)?.congestion;
    const isAdapting = mode !== AggfragCongestionMode.REPORT;
    const congestion = new AggfragCongestion({
      sender: isAdapting ? this.#sender(slot, old, now) : undefined,
      old,
    });
    const keyGeneration = this.#get(slot, Slot.KEY_GENERATION);
    this.#pairs = [...this.#pairs, { slot, keyGeneration, policy, congestion }];
    return congestion;
  }

  /** A rekeyed SA goes on as fast as it was, and so does one that another process left. */
  #sender(slot: number, old: AggfragCongestion | undefined, now: number): TfrcSender {
    const outbound = this.#get(slot, Slot.PAIR) - 1;
    const left = outbound < 0 ? 0 : this.#get(outbound, Slot.AGGFRAG_RATE_NOW);
    const rate = old?.sender?.rate ?? left;
    return new TfrcSender(
      this.#get(slot, Slot.AGGFRAG_RATE),
      rate,
      aggfragPacketSize(this.#table, slot),
      now,
    );
  }

  #isLive({ slot, keyGeneration }: Pair): boolean {
    return (
      this.#get(slot, Slot.STATE) === SlotState.LIVE && this.#get(slot, Slot.KEY_GENERATION) === keyGeneration
    );
  }

  #get(slot: number, field: number): number {
    return Atomics.load(this.#table.u32, (slotOffset(this.#table, slot) + field) >> 2);
  }
}

/** Octets of the outer packets of an SA in AGGFRAG mode, when they are full. */
export function aggfragPacketSize(table: SaTable, slot: number): number {
  const base = slotOffset(table, slot);
  const pathMtu = Atomics.load(table.u32, (base + Slot.PATH_MTU) >> 2);
  const wanted = table.u32[(base + Slot.AGGFRAG_PACKET_SIZE) >> 2]!;
  return wanted === 0 ? pathMtu : Math.min(wanted, pathMtu);
}
