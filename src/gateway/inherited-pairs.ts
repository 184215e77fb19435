/** SA pairs that a process before this one left without their IKE SA: they carry until others do, or until they expire. */
import { after, earlier, type Instant } from "../base/instant.ts";
import type { Spi } from "../base/spi.ts";
import type { DataPlane, SaPairState } from "../dataplane/data-plane.ts";
import { LINGER_MAX } from "../ike/limits.ts";
import type { PolicyName } from "../policy/data-plane.ts";

export interface InheritedNews {
  readonly kind: "inherited";
  /** `renewed`: others carry the traffic now. `ended`: the last packets are in. `unfit`: the configuration is another one. */
  readonly what: "renewed" | "ended" | "expired" | "unfit";
  readonly policy: PolicyName;
  readonly inboundSpi: Spi;
}

interface Inherited {
  readonly policy: PolicyName;
  readonly until: Instant | undefined;
  /** Others carry: only what is under way is received. */
  readonly isRenewed: boolean;
}

export class InheritedPairs {
  readonly #dataPlane: DataPlane;
  readonly #pairs = new Map<Spi, Inherited>();

  constructor(dataPlane: DataPlane) {
    this.#dataPlane = dataPlane;
  }

  /** Those that wait for a successor. */
  get waiting(): number {
    return [...this.#pairs.values()].filter(({ isRenewed }) => !isRenewed).length;
  }

  take({ policy, inboundSpi, expiresAt }: SaPairState): void {
    this.#pairs.set(inboundSpi, { policy, until: expiresAt, isRenewed: false });
  }

  /** A pair has been completed: what carried its traffic so far receives for a moment, and sends no more [CHILD-11]. */
  giveWay(successor: Spi, now: Instant): readonly InheritedNews[] {
    if (this.#pairs.size === 0) return [];
    return this.#dataPlane.twins(successor).flatMap((inboundSpi): readonly InheritedNews[] => {
      const old = this.#pairs.get(inboundSpi);
      if (old === undefined || old.isRenewed) return [];
      const { policy } = old;
      this.#dataPlane.execute({ kind: "removeOutboundSa", inboundSpi });
      this.#pairs.set(inboundSpi, { policy, until: after(now, LINGER_MAX), isRenewed: true });
      return [{ kind: "inherited", what: "renewed", policy, inboundSpi }];
    });
  }

  nextTimeout(): Instant | undefined {
    let next: Instant | undefined;
    for (const { until } of this.#pairs.values()) next = earlier(next, until);
    return next;
  }

  /** @returns those whose time is over: they are to be removed */
  advance(now: Instant): readonly InheritedNews[] {
    const over: InheritedNews[] = [];
    for (const [inboundSpi, { policy, until, isRenewed }] of this.#pairs) {
      if (until === undefined || now < until) continue;
      this.#pairs.delete(inboundSpi);
      over.push({ kind: "inherited", what: isRenewed ? "ended" : "expired", policy, inboundSpi });
    }
    return over;
  }
}
