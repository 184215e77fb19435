/**
 * How much of what a peer sends does not arrive, from the gaps in its sequence numbers (RFC 4303 section 2.2): between two
 * looks the highest authentic number of an SA went up by what was sent, and so many packets were accepted. Late ones count
 * when they are accepted, so that reordering is no loss; lanes do nothing for it that they do not do anyway.
 */
import type { Instant } from "../base/instant.ts";
import type { Spi } from "../base/spi.ts";
import type { SaPairState } from "../dataplane/data-plane.ts";
import type { PolicyName } from "../policy/data-plane.ts";
import { trafficKey } from "./traffic-key.ts";

/** Looks that the short figures span. */
const LOOKS = 12;
/** With manual keys a sender that was interrupted goes on further up: this many numbers at once, and next to no packets. */
const SKIP_MIN = 1024;
const SKIP_RATIO = 16;

/** Packets that the peer numbered, and those of them that did not come. */
export interface Loss {
  /** Since the first look, over all SAs that have carried this traffic. */
  readonly sent: number;
  readonly lost: number;
  readonly recent: { readonly seconds: number; readonly sent: number; readonly lost: number };
}

interface Look {
  readonly at: Instant;
  sent: number;
  received: number;
}

interface Flow {
  sent: number;
  received: number;
  /** Oldest first. */
  looks: Look[];
  lastSeenAt: Instant;
}

interface Seen {
  readonly highest: number;
  readonly packets: number;
}

export interface LossMeterOptions {
  /** Whether the keys of a policy are manual ones, whose numbers may skip. */
  readonly isManual: (policy: PolicyName) => boolean;
}

export class LossMeter {
  readonly #options: LossMeterOptions;
  readonly #flows = new Map<string, Flow>();
  #seen: ReadonlyMap<Spi, Seen> = new Map();
  #isFirst = true;

  constructor(options: LossMeterOptions) {
    this.#options = options;
  }

  /** Call every few seconds, with every pair. */
  sample(pairs: readonly SaPairState[], now: Instant): void {
    const seen = new Map<Spi, Seen>();
    for (const pair of pairs) {
      const { inboundSpi, inboundHighest: highest, usage } = pair;
      const packets = usage.inboundPackets;
      // What was there before the first look has a past that nobody watched.
      const before = this.#seen.get(inboundSpi) ?? (this.#isFirst ? { highest, packets } : NOTHING);
      seen.set(inboundSpi, { highest, packets });
      const flow = this.#flowOf(pair, now);
      const sent = highest - before.highest;
      const received = packets - before.packets;
      if (this.#options.isManual(pair.policy) && isSkip(sent, received)) add(flow, received, received);
      else add(flow, sent, received);
    }
    this.#seen = seen;
    this.#isFirst = false;
    for (const [key, flow] of this.#flows) if (isOver(flow, now)) this.#flows.delete(key);
  }

  /** What the flow of this pair has lost; `undefined` before there was anything to lose. */
  loss(pair: SaPairState, now: Instant): Loss | undefined {
    const flow = this.#flows.get(trafficKey(pair));
    if (flow === undefined || flow.sent === 0) return undefined;
    const recent = flow.looks.reduce(
      (sum, look) => ({ sent: sum.sent + look.sent, received: sum.received + look.received }),
      { sent: 0, received: 0 },
    );
    return {
      sent: flow.sent,
      lost: missing(flow),
      recent: {
        seconds: (now - flow.looks[0]!.at) / 1000,
        sent: Math.max(0, recent.sent),
        lost: missing(recent),
      },
    };
  }

  #flowOf(pair: SaPairState, now: Instant): Flow {
    const key = trafficKey(pair);
    let flow = this.#flows.get(key);
    if (flow === undefined) {
      flow = { sent: 0, received: 0, looks: [], lastSeenAt: now };
      this.#flows.set(key, flow);
    }
    // Several SAs of a child are one look.
    if (flow.looks.at(-1)?.at !== now) flow.looks.push({ at: now, sent: 0, received: 0 });
    if (flow.looks.length > LOOKS) flow.looks.shift();
    flow.lastSeenAt = now;
    return flow;
  }
}

const NOTHING: Seen = { highest: 0, packets: 0 };

function add(flow: Flow, sent: number, received: number): void {
  const look = flow.looks.at(-1)!;
  flow.sent += sent;
  flow.received += received;
  look.sent += sent;
  look.received += received;
}

/** Duplicates that a window of 0 lets through are more than were sent. */
function missing({ sent, received }: { readonly sent: number; readonly received: number }): number {
  return Math.max(0, sent - received);
}

function isSkip(sent: number, received: number): boolean {
  return sent - received >= SKIP_MIN && received * SKIP_RATIO < sent;
}

/** Longer than any two SAs of a child that follow each other are apart. */
const FORGOTTEN_MS = 120_000;

function isOver({ lastSeenAt }: Flow, now: Instant): boolean {
  return now - lastSeenAt > FORGOTTEN_MS;
}
