/** Times by name, and which of them comes first: what a turn has to look at without looking at everything. */
import type { Instant } from "../base/instant.ts";
import type { Timeout } from "./machine.ts";

interface Entry<Key> {
  readonly key: Key;
  readonly timeout: Timeout;
}

/** A heap of entries; those that were replaced meanwhile are passed over when they come up. */
export class Agenda<Key> {
  readonly #current = new Map<Key, Timeout>();
  #heap: Entry<Key>[] = [];

  /** Sets or clears the time of one name. */
  set(key: Key, timeout: Timeout | undefined): void {
    const known = this.#current.get(key);
    if (known?.at === timeout?.at && known?.reason === timeout?.reason) return;
    if (timeout === undefined) {
      this.#current.delete(key);
      return;
    }
    this.#current.set(key, timeout);
    this.#push({ key, timeout });
    // Replaced entries go with time; a heap that is mostly made of them is built anew.
    if (this.#heap.length > 64 && this.#heap.length > 4 * this.#current.size) this.#rebuild();
  }

  first(): Timeout | undefined {
    this.#dropReplaced();
    return this.#heap[0]?.timeout;
  }

  /** The names that are due; each is cleared. */
  takeDue(now: Instant): readonly Key[] {
    const due: Key[] = [];
    for (let key = this.takeFirst(now); key !== undefined; key = this.takeFirst(now)) due.push(key);
    return due;
  }

  /** The name that comes first, when it is due; it is cleared. */
  takeFirst(now: Instant): Key | undefined {
    this.#dropReplaced();
    const top = this.#heap[0];
    if (top === undefined || top.timeout.at > now) return undefined;
    this.#current.delete(top.key);
    this.#pop();
    return top.key;
  }

  #dropReplaced(): void {
    for (let top = this.#heap[0]; top !== undefined; top = this.#heap[0]) {
      if (this.#current.get(top.key) === top.timeout) return;
      this.#pop();
    }
  }

  #rebuild(): void {
    this.#heap = [...this.#current].map(([key, timeout]) => ({ key, timeout }));
    this.#heap.sort((a, b) => a.timeout.at - b.timeout.at);
  }

  #push(entry: Entry<Key>): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]!.timeout.at <= entry.timeout.at) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.timeout.at < heap[child]!.timeout.at) child++;
      if (heap[child]!.timeout.at >= last.timeout.at) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}
