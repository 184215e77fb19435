/** Counts starts that did not last: state that ends every process that takes it over must not be kept for ever. */
import type { DescriptorStore } from "../io/descriptor-store.ts";
import { keepOctets, readKept, rewriteKept } from "../io/kept-memory.ts";
import type { Fd } from "../io/native.ts";
import { KEPT_STARTS } from "./kept-names.ts";

/** So many starts in a row with the same state that did not live so long, and the state is given up. */
export const STARTS_MAX = 6;
export const START_LASTS_MS = 5_000;

export class Starts {
  readonly #fd: Fd | undefined;
  /** This one included. */
  readonly count: number;

  constructor(store: DescriptorStore) {
    if (!store.isThere) {
      this.count = 1;
      return;
    }
    const given = store.given.get(KEPT_STARTS)?.[0];
    const before = given === undefined ? undefined : readKept(given)?.[0];
    this.count = Math.min((before ?? 0) + 1, STARTS_MAX + 1);
    this.#fd =
      given !== undefined && before !== undefined ? given : keepOctets(KEPT_STARTS, Uint8Array.of(0));
    if (this.#fd !== given) store.put(KEPT_STARTS, this.#fd);
    this.#write(this.count);
  }

  get areTooMany(): boolean {
    return this.count > STARTS_MAX;
  }

  /** This start has lasted, or ended in an orderly way: what comes next is the first again. */
  forget(): void {
    this.#write(0);
  }

  #write(count: number): void {
    if (this.#fd !== undefined) rewriteKept(this.#fd, Uint8Array.of(count));
  }
}
