/** Later fragments that came before their first: they wait for its ports, in a bounded memory (RFC 4301 section 7.3). */
import { type Instant, Instant as instant } from "../base/instant.ts";

/** Of one lane and direction. A further one takes the place of the oldest of the policy that has the most. */
export const EARLY_FRAGMENTS_MAX = 64;
/** A longer fragment does not wait. */
export const EARLY_FRAGMENT_OCTETS_MAX = 2048;
/** What the way reorders is back in order sooner. */
export const EARLY_FRAGMENT_AGE_MS = 1000;

const NONE = 0xff;

/** What is kept beside the octets of a fragment. */
export interface EarlyFragment {
  /** Whose it is, one of the numbers that the constructor was told: so that a flood of one keeps no other out. */
  readonly policy: number;
  /** A device on the way out, a slot on the way in. */
  readonly source: number;
  /** What the slot was then, so that another SA in it is noticed. */
  readonly mark: number;
  readonly tos: number;
}

/** Cells, each with a fragment or empty; positions count from the oldest, with gaps where one has left. */
export class EarlyFragments {
  readonly #bytes = new Uint8Array(EARLY_FRAGMENTS_MAX * EARLY_FRAGMENT_OCTETS_MAX);
  readonly #length = new Uint16Array(EARLY_FRAGMENTS_MAX);
  readonly #policy = new Uint32Array(EARLY_FRAGMENTS_MAX);
  readonly #source = new Uint32Array(EARLY_FRAGMENTS_MAX);
  readonly #mark = new Uint32Array(EARLY_FRAGMENTS_MAX);
  readonly #tos = new Uint8Array(EARLY_FRAGMENTS_MAX);
  readonly #since = new Float64Array(EARLY_FRAGMENTS_MAX);
  /** Cells in order of arrival, or NONE. */
  readonly #order = new Uint8Array(EARLY_FRAGMENTS_MAX).fill(NONE);
  /** Positions in use, gaps among them. */
  #end = 0;
  #count = 0;
  /** Fragments of each policy. */
  readonly #ofPolicy: Uint8Array;
  readonly #isUsed = new Uint8Array(EARLY_FRAGMENTS_MAX);
  /** A first fragment has passed that some of them may have waited for. */
  #isDue = false;

  constructor(policies: number) {
    this.#ofPolicy = new Uint8Array(policies);
  }

  get count(): number {
    return this.#count;
  }

  /**
   * Copies a fragment.
   * @returns how many are lost for it: itself when it is too long, another one when there is no room, or none
   */
  hold(bytes: Uint8Array, at: number, length: number, of: EarlyFragment, now: Instant): number {
    if (length > EARLY_FRAGMENT_OCTETS_MAX) return 1;
    const lost = this.#count === EARLY_FRAGMENTS_MAX ? 1 : 0;
    if (lost > 0) this.remove(this.#order[this.#victim()]!);
    if (this.#end === EARLY_FRAGMENTS_MAX) this.#compact();
    const cell = this.#isUsed.indexOf(0);
    this.#bytes.set(bytes.subarray(at, at + length), cell * EARLY_FRAGMENT_OCTETS_MAX);
    this.#length[cell] = length;
    this.#policy[cell] = of.policy;
    this.#source[cell] = of.source;
    this.#mark[cell] = of.mark;
    this.#tos[cell] = of.tos;
    this.#since[cell] = now;
    this.#isUsed[cell] = 1;
    this.#ofPolicy[of.policy] = this.#ofPolicy[of.policy]! + 1;
    this.#order[this.#end++] = cell;
    this.#count++;
    return lost;
  }

  /** A first fragment passed. */
  noteFirst(): void {
    this.#isDue = this.#count > 0;
  }

  /** Whether some could follow now; asked once for each {@link noteFirst}. */
  takeDue(): boolean {
    const isDue = this.#isDue;
    this.#isDue = false;
    return isDue;
  }

  /** The cell at a position, or -1 for a gap. */
  cellAt(position: number): number {
    const cell = position < this.#end ? this.#order[position]! : NONE;
    return cell === NONE ? -1 : cell;
  }

  lengthOf(cell: number): number {
    return this.#length[cell]!;
  }

  sourceOf(cell: number): number {
    return this.#source[cell]!;
  }

  markOf(cell: number): number {
    return this.#mark[cell]!;
  }

  tosOf(cell: number): number {
    return this.#tos[cell]!;
  }

  copyTo(cell: number, bytes: Uint8Array, at: number): void {
    const from = cell * EARLY_FRAGMENT_OCTETS_MAX;
    bytes.set(this.#bytes.subarray(from, from + this.#length[cell]!), at);
  }

  remove(cell: number): void {
    const policy = this.#policy[cell]!;
    this.#ofPolicy[policy] = this.#ofPolicy[policy]! - 1;
    this.#isUsed[cell] = 0;
    this.#order[this.#order.indexOf(cell)] = NONE;
    if (--this.#count === 0) this.#end = 0;
  }

  /** Forgets those that have waited long enough; how many. */
  expire(now: Instant): number {
    let lost = 0;
    for (let position = 0; position < this.#end; position++) {
      const cell = this.cellAt(position);
      if (cell < 0) continue;
      if (now - this.#since[cell]! < EARLY_FRAGMENT_AGE_MS) break;
      this.remove(cell);
      lost++;
    }
    return lost;
  }

  nextExpiry(): Instant | undefined {
    for (let position = 0; position < this.#end; position++) {
      const cell = this.cellAt(position);
      if (cell >= 0) return instant(this.#since[cell]! + EARLY_FRAGMENT_AGE_MS);
    }
    return undefined;
  }

  /** Position of the oldest of the policy that has the most, when all cells are in use. */
  #victim(): number {
    let victim = 0;
    for (let position = 1; position < this.#end; position++)
      if (this.#heldBeside(position) > this.#heldBeside(victim)) victim = position;
    return victim;
  }

  #heldBeside(position: number): number {
    return this.#ofPolicy[this.#policy[this.#order[position]!]!]!;
  }

  #compact(): void {
    let kept = 0;
    for (let position = 0; position < this.#end; position++) {
      const cell = this.#order[position]!;
      if (cell !== NONE) this.#order[kept++] = cell;
    }
    this.#order.fill(NONE, kept);
    this.#end = kept;
  }
}
