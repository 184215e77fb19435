/** Events for many readers: one history of bounded length, and for each reader its place in it. */
import type { GatewayEvent } from "./events-schema.ts";

/** Events that are kept; who is further behind has lost what lies before. */
export const EVENTS_KEPT_MAX = 1024;

type LostEvent = Extract<GatewayEvent, { type: "lost" }>;
/** `Omit` on each member of the union. */
type Unnumbered<Event> = Event extends GatewayEvent ? Omit<Event, "id" | "at"> : never;
export type NewEvent = Unnumbered<Exclude<GatewayEvent, LostEvent>>;

interface KeptEvent {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly make: () => NewEvent;
}

export class EventStream {
  /** Of this start of the daemon; ids of another one mean nothing here. */
  readonly #epoch: string;
  readonly #wallClock: () => number;
  readonly #kept: KeptEvent[] = [];
  /** Number of the next event; the first is 1. */
  #next = 1;
  readonly #waiting = new Set<() => void>();

  /** @param epoch - letters and digits, unlike those of former starts */
  constructor(epoch: string, wallClock: () => number = Date.now) {
    this.#epoch = epoch;
    this.#wallClock = wallClock;
  }

  /** @param make - called when somebody reads the event: most are never read */
  publish(make: () => NewEvent): void {
    this.#kept[this.#next % EVENTS_KEPT_MAX] = { at: this.#wallClock(), make };
    this.#next++;
    for (const wake of [...this.#waiting]) wake();
  }

  /**
   * @param after - id of the last event that the reader knows; absent: it begins with what comes next
   * @param connection - the reader's only interest
   */
  read(after: string | undefined, connection: string | undefined): EventReader {
    const known = after === undefined ? this.#next - 1 : this.#numberOf(after);
    return new EventReader(this, known, connection);
  }

  /** @internal for {@link EventReader} */
  get end(): number {
    return this.#next;
  }

  /** @internal @returns `undefined` when it is no longer kept */
  eventAt(number: number): GatewayEvent | undefined {
    const kept = number < this.oldest ? undefined : this.#kept[number % EVENTS_KEPT_MAX];
    return kept && { id: this.#idOf(number), at: isoTime(kept.at), ...kept.make() };
  }

  /** @internal */
  get oldest(): number {
    return Math.max(1, this.#next - EVENTS_KEPT_MAX);
  }

  /** @internal @param count - `undefined`: nobody knows how many */
  lost(upTo: number, count: number | undefined): GatewayEvent {
    const common = { type: "lost" as const, id: this.#idOf(upTo), at: isoTime(this.#wallClock()) };
    return count === undefined ? common : { ...common, count };
  }

  /** @internal Resolves with the next event, or when `signal` says so. */
  news(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      if (signal.aborted) return resolve();
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }

  #idOf(number: number): string {
    return `${this.#epoch}-${number}`;
  }

  #numberOf(id: string): number | undefined {
    const [epoch, digits, ...more] = id.split("-");
    const number = /^\d{1,15}$/.test(digits ?? "") ? Number(digits) : Number.NaN;
    return epoch === this.#epoch && more.length === 0 && number < this.#next ? number : undefined;
  }
}

function isoTime(at: number): string {
  return new Date(at).toISOString();
}

export class EventReader {
  readonly #stream: EventStream;
  readonly #connection: string | undefined;
  /** Number of the event to look at next; `undefined`: what the reader knew was of another start. */
  #at: number | undefined;

  constructor(stream: EventStream, known: number | undefined, connection: string | undefined) {
    this.#stream = stream;
    this.#connection = connection;
    this.#at = known === undefined ? undefined : known + 1;
  }

  /** What there is for this reader at once; `undefined`: nothing yet. */
  take(): GatewayEvent | undefined {
    const { oldest, end } = this.#stream;
    if (this.#at === undefined) {
      this.#at = oldest;
      return this.#stream.lost(oldest - 1, undefined);
    }
    if (this.#at < oldest) {
      const count = oldest - this.#at;
      this.#at = oldest;
      return this.#stream.lost(oldest - 1, count);
    }
    while (this.#at < end) {
      const event = this.#stream.eventAt(this.#at++);
      if (event !== undefined && this.#isWanted(event)) return event;
    }
    return undefined;
  }

  /** Waits for one. @returns `undefined` when `signal` ended the waiting */
  async next(signal: AbortSignal): Promise<GatewayEvent | undefined> {
    for (;;) {
      const event = this.take();
      if (event !== undefined || signal.aborted) return event;
      await this.#stream.news(signal);
    }
  }

  #isWanted(event: GatewayEvent): boolean {
    if (this.#connection === undefined) return true;
    const name = "connection" in event ? event.connection : undefined;
    return name === this.#connection || name?.startsWith(`${this.#connection}#`) === true;
  }
}
