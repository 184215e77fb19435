/** Octets per SA pair over the last seconds, as bits per second. */
import type { Instant } from "../base/instant.ts";
import type { SaPairState } from "../dataplane/data-plane.ts";

export interface Rates {
  readonly inboundBitsPerSecond: number;
  readonly outboundBitsPerSecond: number;
}

interface Sample {
  readonly at: Instant;
  readonly inbound: number;
  readonly outbound: number;
}

/** A shorter time says nothing. */
const SPAN_MS_MIN = 500;

export class RateMeter {
  #samples: ReadonlyMap<number, Sample> = new Map();
  /** For whoever asks right after a sample. */
  #earlier: ReadonlyMap<number, Sample> = new Map();

  /** Call every few seconds. */
  sample(pairs: readonly SaPairState[], now: Instant): void {
    this.#earlier = this.#samples;
    this.#samples = new Map(
      pairs.map(({ inboundSpi, usage }) => [
        inboundSpi,
        { at: now, inbound: usage.inboundOctets, outbound: usage.outboundOctets },
      ]),
    );
  }

  /** Since the last sample that is old enough; `undefined` for a pair that is too young. */
  rates({ inboundSpi, usage }: SaPairState, now: Instant): Rates | undefined {
    const sample = [this.#samples, this.#earlier]
      .map((samples) => samples.get(inboundSpi))
      .find((one) => one !== undefined && now - one.at >= SPAN_MS_MIN);
    if (sample === undefined) return undefined;
    const perSecond = (octets: number) => Math.max(0, Math.round((octets * 8000) / (now - sample.at)));
    return {
      inboundBitsPerSecond: perSecond(usage.inboundOctets - sample.inbound),
      outboundBitsPerSecond: perSecond(usage.outboundOctets - sample.outbound),
    };
  }
}
