/** When a request is repeated and when its IKE SA is given up (RFC 7296 sections 2.1 and 2.4). */
import { after, DurationMs, type Instant, seconds } from "../../base/instant.ts";
import type { RandomSource } from "../../base/random.ts";

export interface RetransmissionPlan {
  /** Wait after the first transmission. */
  readonly first: DurationMs;
  /** Each wait is this many times the one before. */
  readonly growth: number;
  readonly longest: DurationMs;
  /** Transmissions in all; after the last one's wait the peer counts as gone. */
  readonly tries: number;
}

/** For established IKE SAs: thirteen tries in about three minutes [MID-07]. */
export const ESTABLISHED_PLAN: RetransmissionPlan = {
  first: seconds(1),
  growth: 1.6,
  longest: seconds(25),
  tries: 13,
};

/** For IKE_SA_INIT and IKE_AUTH, where nothing is lost by starting over: about 40 seconds. */
export const CONNECT_PLAN: RetransmissionPlan = {
  first: DurationMs(500),
  growth: 1.7,
  longest: seconds(12),
  tries: 8,
};

/** The moment of the next transmission, or of giving up, after `tries` transmissions; up to a tenth is random [MID-07]. */
export function retransmitAt(
  plan: RetransmissionPlan,
  tries: number,
  now: Instant,
  random: RandomSource,
): Instant {
  const wait = Math.min(plan.first * plan.growth ** (tries - 1), plan.longest);
  return after(now, DurationMs(wait * (1 + 0.1 * random.fraction())));
}
