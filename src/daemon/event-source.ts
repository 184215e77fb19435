/** Makes events of what happens: notices in words, changes of state, moves, and now and then a sum of drops. */
import type { Instant } from "../base/instant.ts";
import { formatEndpoint } from "../base/udp-endpoint.ts";
import { EventStream, type NewEvent } from "../control/event-stream.ts";
import type { ConnectionState } from "../ike/connection-state.ts";
import type { IkeNotice } from "../ike/notice.ts";
import type { Clock } from "../io/clock.ts";
import { LineLimiter } from "../observe/line-limiter.ts";
import { FAILURE_LINES_PER_MINUTE, noticeLevel, STRANGER_LINES_PER_MINUTE } from "../observe/log.ts";
import { noticeWords } from "../observe/words.ts";
import { shownChildState, shownConnectionState } from "./shown-state.ts";

/** What goes down without a word is found so late. */
const LOOK_MS = 10_000;
const DROPS_MS = 60_000;

export interface EventGateway {
  /** @param only - the connection to describe, or one peer of it; absent: all of them */
  describe(only?: string): readonly ConnectionState[];
  drops(): { readonly [reason: string]: number };
}

export class EventSource {
  readonly stream: EventStream;
  readonly #clock: Clock;
  readonly #limiter = new LineLimiter();
  /** By connection, and by `connection/child`: the state that was told last. */
  readonly #told = new Map<string, Map<string, string>>();
  /** Connections of which something was said. */
  readonly #touched = new Set<string>();
  #gateway: EventGateway | undefined;
  #timers: readonly NodeJS.Timeout[] = [];
  #drops: { readonly [reason: string]: number } = {};

  constructor(clock: Clock, epoch: string) {
    this.#clock = clock;
    this.stream = new EventStream(epoch);
  }

  attach(gateway: EventGateway): void {
    this.#gateway = gateway;
    for (const state of gateway.describe()) this.#told.set(state.name, statesOf(state));
    this.#timers = [
      setInterval(() => this.look(), LOOK_MS).unref(),
      setInterval(() => this.sumDrops(), DROPS_MS).unref(),
    ];
  }

  detach(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.look();
    this.#gateway = undefined;
  }

  onNotice(notice: IkeNotice): void {
    if (notice.connection !== undefined) this.#touched.add(notice.connection);
    const now = this.#clock.now();
    if (this.#isTooOften(notice, now)) return;
    this.stream.publish(() => movedEvent(notice, now) ?? noticeEvent(notice, now));
  }

  /** States may have changed: looks at those of which something was said. */
  onTurn(): void {
    if (this.#gateway === undefined || this.#touched.size === 0) return;
    const names = [...this.#touched];
    this.#touched.clear();
    for (const name of names) this.#compare(this.#gateway.describe(name));
  }

  /** Looks at all of them. */
  look(): void {
    if (this.#gateway === undefined) return;
    const states = this.#gateway.describe();
    this.#compare(states);
    const names = new Set(states.map(({ name }) => name));
    for (const [name, told] of this.#told) {
      if (names.has(name)) continue;
      // A peer that nobody named has no place of its own any more.
      for (const [key, from] of told) if (from !== "down") this.#publishState(key, from, "down");
      this.#told.delete(name);
    }
  }

  /** Tells what was dropped since the last call, unless nothing was. */
  sumDrops(): void {
    const drops = this.#gateway?.drops() ?? {};
    const more = Object.entries(drops)
      .map(([reason, count]) => [reason, count - (this.#drops[reason] ?? 0)] as const)
      .filter(([, count]) => count > 0);
    this.#drops = drops;
    if (more.length > 0)
      this.stream.publish(() => ({
        type: "drops",
        seconds: DROPS_MS / 1000,
        drops: Object.fromEntries(more),
      }));
  }

  #compare(states: readonly ConnectionState[]): void {
    for (const state of states) {
      const now = statesOf(state);
      const told = this.#told.get(state.name);
      this.#told.set(state.name, now);
      for (const [key, to] of now) {
        const from = told?.get(key) ?? "down";
        if (from !== to) this.#publishState(key, from, to);
      }
    }
  }

  #publishState(key: string, from: string, to: string): void {
    const slash = key.indexOf("/");
    const of =
      slash < 0 ? { connection: key } : { connection: key.slice(0, slash), child: key.slice(slash + 1) };
    this.stream.publish(() => ({ type: "state", ...of, from, to }));
  }

  /** As in the log: what strangers and forgers can cause is limited, so that it pushes nothing out of the history. */
  #isTooOften(notice: IkeNotice, now: Instant): boolean {
    const { code, connection, child } = notice;
    if (connection !== undefined && noticeLevel(notice) === "info") return false;
    const text = linesOf(notice, now).join("\n");
    if (connection === undefined)
      return this.#limiter.take("", text, STRANGER_LINES_PER_MINUTE, now) === undefined;
    const key = `${connection}/${child ?? ""}/${code}`;
    return this.#limiter.take(key, text, FAILURE_LINES_PER_MINUTE, now) === undefined;
  }
}

function statesOf(state: ConnectionState): Map<string, string> {
  const { name, children } = state;
  return new Map([
    [name, shownConnectionState(state)],
    ...children.map((child) => [`${name}/${child.name}`, shownChildState(child)] as const),
  ]);
}

function named({ connection, child }: IkeNotice) {
  return {
    ...(connection === undefined ? {} : { connection }),
    ...(child === undefined ? {} : { child }),
  };
}

function linesOf(notice: IkeNotice, now: Instant): string[] {
  const lines = noticeWords(notice, now);
  return lines.length === 0 ? [notice.code] : [...lines];
}

function noticeEvent(notice: IkeNotice, at: Instant): NewEvent {
  const lines = linesOf(notice, at);
  return { type: "notice", code: notice.code, level: noticeLevel(notice), ...named(notice), lines };
}

function movedEvent(notice: IkeNotice, at: Instant): NewEvent | undefined {
  switch (notice.code) {
    case "peerMoved":
    case "ownAddressChanged":
    case "addressesUpdated":
      return {
        type: "moved",
        code: notice.code,
        ...(notice.connection === undefined ? {} : { connection: notice.connection }),
        what: notice.code === "peerMoved" ? "peer" : notice.what,
        from: formatEndpoint(notice.from),
        to: formatEndpoint(notice.to),
        lines: linesOf(notice, at),
      };
    default:
      return undefined;
  }
}
