/** Later fragments that came before their first: they wait for its ports, in a bounded memory (RFC 4301 section 7.3). */
import { type Instant, Instant as instant } from "../base/instant.ts";

/** Of one lane and direction; a further one takes the place of the oldest. */
export const EARLY_FRAGMENTS_MAX = 64;
/** A longer fragment does not wait. */
export const EARLY_FRAGMENT_OCTETS_MAX = 2048;
/** What the way reorders is back in order sooner. */
export const EARLY_FRAGMENT_AGE_MS = 1000;

const EMPTY = Number.POSITIVE_INFINITY;

/** A ring of cells, each with a fragment or empty; positions count from the oldest. */
export class EarlyFragments {
  readonly #bytes = new Uint8Array(EARLY_FRAGMENTS_MAX * EARLY_FRAGMENT_OCTETS_MAX);
  readonly #length = new Uint16Array(EARLY_FRAGMENTS_MAX);
  /** A device on the way out, a slot on the way in. */
  readonly #source = new Uint32Array(EARLY_FRAGMENTS_MAX);
  /** What the slot was then, so that another SA in it is noticed. */
  readonly #mark = new Uint32Array(EARLY_FRAGMENTS_MAX);
  readonly #tos = new Uint8Array(EARLY_FRAGMENTS_MAX);
  readonly #since = new Float64Array(EARLY_FRAGMENTS_MAX).fill(EMPTY);
  #next = 0;
  #count = 0;
  /** A first fragment has passed that some of them may have waited for. */
  #isDue = false;

  get count(): number {
    return this.#count;
  }

  /**
   * Copies a fragment.
   * @returns how many are lost for it: itself when it is too long, the oldest when there is no room, or none
   */
  hold(
    bytes: Uint8Array,
    at: number,
    length: number,
    of: { readonly source: number; readonly mark: number; readonly tos: number },
    now: Instant,
  ): number {
    if (length > EARLY_FRAGMENT_OCTETS_MAX) return 1;
    const cell = this.#next;
    this.#next = (cell + 1) % EARLY_FRAGMENTS_MAX;
    const lost = this.#since[cell] === EMPTY ? 0 : 1;
    this.#bytes.set(bytes.subarray(at, at + length), cell * EARLY_FRAGMENT_OCTETS_MAX);
    this.#length[cell] = length;
    this.#source[cell] = of.source;
    this.#mark[cell] = of.mark;
    this.#tos[cell] = of.tos;
    this.#since[cell] = now;
    this.#count += 1 - lost;
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

  /** The cell at a position, or -1 for an empty one. */
  cellAt(position: number): number {
    const cell = (this.#next + position) % EARLY_FRAGMENTS_MAX;
    return this.#since[cell] === EMPTY ? -1 : cell;
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
    this.#since[cell] = EMPTY;
    this.#count--;
  }

  /** Forgets those that have waited long enough; how many. */
  expire(now: Instant): number {
    let lost = 0;
    for (let position = 0; this.#count > 0 && position < EARLY_FRAGMENTS_MAX; position++) {
      const cell = this.cellAt(position);
      if (cell < 0) continue;
      if (now - this.#since[cell]! < EARLY_FRAGMENT_AGE_MS) break;
      this.remove(cell);
      lost++;
    }
    return lost;
  }

  nextExpiry(): Instant | undefined {
    for (let position = 0; this.#count > 0 && position < EARLY_FRAGMENTS_MAX; position++) {
      const cell = this.cellAt(position);
      if (cell >= 0) return instant(this.#since[cell]! + EARLY_FRAGMENT_AGE_MS);
    }
    return undefined;
  }
}
