/** Traffic that we send and nothing answers: ESP has no acknowledgement, so that only what comes back can tell. */
import type { Instant } from "../base/instant.ts";
import type { SaPairState } from "../dataplane/data-plane.ts";
import { trafficKey } from "./traffic-key.ts";

/** Silence that may be chance. */
export const ONE_WAY_AFTER_MS = 30_000;
/** Packets that want no answer come one at a time. */
const PACKETS_MIN = 5;
/** We have to be sending for silence to mean something. */
const IDLE_AFTER_MS = 30_000;
const FORGOTTEN_MS = 120_000;

export interface OneWay {
  /** From then on we sent and nothing came. */
  readonly since: Instant;
  /** Sent since then. */
  readonly packets: number;
  /** Something has come before: it worked once. */
  readonly hasReturned: boolean;
}

interface Flow {
  /** When the first packet left that nothing has followed yet. */
  since: Instant | undefined;
  packets: number;
  lastSentAt: Instant;
  hasReturned: boolean;
  lookedAt: Instant;
}

export class OneWayWatch {
  readonly #flows = new Map<string, Flow>();
  #seen: ReadonlyMap<number, { readonly inbound: number; readonly outbound: number }> = new Map();
  #isFirst = true;

  /** Call every few seconds, with every pair. */
  sample(pairs: readonly SaPairState[], now: Instant): void {
    const seen = new Map<number, { inbound: number; outbound: number }>();
    const moved = new Map<string, { inbound: number; outbound: number }>();
    // An SA that was there before this process may have carried something to us then.
    const returned = new Set<string>();
    for (const pair of pairs) {
      const { inboundPackets: inbound, outboundPackets: outbound } = pair.usage;
      seen.set(pair.inboundSpi, { inbound, outbound });
      // Padding that we send of our own accord wants no answer.
      if (sendsByItself(pair)) continue;
      const before = this.#seen.get(pair.inboundSpi) ?? (this.#isFirst ? { inbound, outbound } : NOTHING);
      const key = trafficKey(pair);
      if (inbound > 0) returned.add(key);
      const sum = moved.get(key) ?? { inbound: 0, outbound: 0 };
      sum.inbound += inbound - before.inbound;
      sum.outbound += outbound - before.outbound;
      moved.set(key, sum);
    }
    for (const [key, { inbound, outbound }] of moved) {
      const flow = this.#note(key, inbound, outbound, now);
      if (returned.has(key)) flow.hasReturned = true;
    }
    this.#seen = seen;
    this.#isFirst = false;
    for (const [key, flow] of this.#flows) if (now - flow.lookedAt > FORGOTTEN_MS) this.#flows.delete(key);
  }

  #note(key: string, inbound: number, outbound: number, now: Instant): Flow {
    let flow = this.#flows.get(key);
    if (flow === undefined) {
      flow = {
        since: undefined,
        packets: 0,
        lastSentAt: now,
        hasReturned: false,
        lookedAt: now,
      };
      this.#flows.set(key, flow);
    }
    if (inbound > 0) {
      flow.since = undefined;
      flow.packets = 0;
    } else if (outbound > 0) {
      // It left after the look before this one.
      flow.since ??= flow.lookedAt;
      flow.packets += outbound;
    }
    if (outbound > 0) flow.lastSentAt = now;
    else if (now - flow.lastSentAt > IDLE_AFTER_MS) {
      flow.since = undefined;
      flow.packets = 0;
    }
    flow.lookedAt = now;
    return flow;
  }

  /** Set while we send through this pair, or its like, and nothing comes back. */
  oneWay(pair: SaPairState, now: Instant): OneWay | undefined {
    const flow = this.#flows.get(trafficKey(pair));
    if (flow?.since === undefined || sendsByItself(pair)) return undefined;
    // Since the last look something may have come.
    if (pair.usage.lastInboundAt !== undefined && pair.usage.lastInboundAt > flow.lookedAt) return undefined;
    if (now - flow.since < ONE_WAY_AFTER_MS || flow.packets < PACKETS_MIN) return undefined;
    return { since: flow.since, packets: flow.packets, hasReturned: flow.hasReturned };
  }
}

const NOTHING = { inbound: 0, outbound: 0 };

function sendsByItself({ flow }: SaPairState): boolean {
  return flow.aggfrag !== "off" || flow.dummiesPerSecond > 0;
}
