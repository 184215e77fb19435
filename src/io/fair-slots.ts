/** Shares the fetches that may be under way at once among peers: who is answered slowly about one holds up no other. */

/** Under way at once, and of them for one peer. */
const SLOTS = 16;
const SLOTS_PER_PEER = 4;
/** Waiting for one to end, and of them for one peer. */
const WAITING_MAX = 512;
const WAITING_PER_PEER_MAX = 16;

/** On whose behalf something is done. */
export interface Asker {
  /** The same for all that one peer makes us do. */
  readonly peer: string;
  /** When it is too late to begin. */
  readonly beginBy: number;
}

interface Waiting extends Asker {
  readonly begin: (isInTime: boolean) => void;
}

export class FairSlots {
  readonly #now: () => number;
  /** Under way, by peer. */
  readonly #busy = new Map<string, number>();
  #count = 0;
  /** In the order of coming. */
  readonly #waiting = new Set<Waiting>();

  /** @param now - milliseconds that only grow, as `beginBy` counts them */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** What comes of `action` once it is its turn; `undefined` when that never comes, or too late. */
  async take<T>(asker: Asker, action: () => Promise<T>): Promise<T | undefined> {
    const { peer } = asker;
    if (this.#isFree(peer)) this.#reserve(peer);
    else if (!(await this.#turnOf(asker))) return undefined;
    try {
      return await action();
    } finally {
      this.#release(peer);
    }
  }

  #isFree(peer: string): boolean {
    return this.#count < SLOTS && (this.#busy.get(peer) ?? 0) < SLOTS_PER_PEER;
  }

  #turnOf(asker: Asker): Promise<boolean> {
    const own = [...this.#waiting].filter(({ peer }) => peer === asker.peer).length;
    if (this.#waiting.size >= WAITING_MAX || own >= WAITING_PER_PEER_MAX) return Promise.resolve(false);
    return new Promise((resolve) => this.#waiting.add({ ...asker, begin: resolve }));
  }

  #reserve(peer: string): void {
    this.#busy.set(peer, (this.#busy.get(peer) ?? 0) + 1);
    this.#count++;
  }

  #release(peer: string): void {
    const left = this.#busy.get(peer)! - 1;
    if (left === 0) this.#busy.delete(peer);
    else this.#busy.set(peer, left);
    this.#count--;
    this.#beginNext();
  }

  /** Whoever of those that wait has the fewest under way, the first to come among equals. */
  #beginNext(): void {
    for (const one of this.#waiting) if (this.#now() > one.beginBy) this.#settle(one, false);
    const ready = [...this.#waiting].filter(({ peer }) => this.#isFree(peer));
    const busyOf = ({ peer }: Waiting) => this.#busy.get(peer) ?? 0;
    const [next] = ready.sort((a, b) => busyOf(a) - busyOf(b));
    if (next !== undefined) this.#settle(next, true);
  }

  #settle(one: Waiting, isInTime: boolean): void {
    this.#waiting.delete(one);
    if (isInTime) this.#reserve(one.peer);
    one.begin(isInTime);
  }
}
