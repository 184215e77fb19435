/** A child SA as plain data (RFC 7296 section 1.3). */
import type { Instant } from "../../base/instant.ts";
import type { Spi } from "../../base/spi.ts";
import type { Encapsulation, EspSuite, OutboundSa, PolicyName } from "../../policy/data-plane.ts";
import type { SelectorPair } from "../../policy/traffic-selector.ts";
import type { FlowConfidentiality } from "../negotiation/flow-confidentiality.ts";
import type { ChildDownReason } from "../notice.ts";

export interface ChildSa {
  /** Name in the configuration. */
  readonly name: string;
  readonly policy: PolicyName;
  readonly inboundSpi: Spi;
  readonly outboundSpi: Spi;
  readonly suite: EspSuite;
  /** Key exchange method of its own; 0 when it has none. */
  readonly ke: number;
  /** Methods of those after it (RFC 9370). */
  readonly additionalKe?: readonly number[];
  readonly selectors: SelectorPair;
  /** Number among the SAs that stand beside each other for this traffic; 0 is for what has none of its own. */
  readonly sibling: number;
  /** Both ends will have further ones bound to lanes (RFC 9611). */
  readonly takesResources: boolean;
  /** Made in IKE_AUTH, where a child has no key exchange of its own (RFC 7296 section 1.2). */
  readonly isFirst: boolean;
  /** The peer asked for it. */
  readonly byPeer: boolean;
  encapsulation: Encapsulation;
  readonly flow: FlowConfidentiality;
  readonly createdAt: Instant;
  /** Last packet either way through the SA that this one replaced, or its own beginning. */
  readonly usedAt: Instant;
  rekeyAt: Instant;
  readonly expiresAt: Instant;
  /**
   * `installed`: carries traffic. `replaced`: a successor does; the other end deletes this one. `deleting`: we delete it,
   * and our Delete may be on its way.
   */
  state: "installed" | "replaced" | "deleting";
  /** Why it goes, once it is not `installed`. */
  leaving: ChildDownReason | undefined;
  /** Inbound SPI of the child that took over. */
  replacedBy: Spi | undefined;
  /** When a `replaced` one is deleted by us after all. */
  deadline: Instant | undefined;
  /** Earliest next try of a rekey, and failed tries so far. */
  notBefore: Instant | undefined;
  failures: number;
  /** The outbound half waits for a sign that the peer has the new SA (RFC 7296 section 2.8); holds keys. */
  deferred: { readonly sa: OutboundSa; readonly until: Instant } | undefined;
}

/** A removed child whose inbound half still receives what is under way [CHILD-11]. */
export interface Lingering {
  readonly inboundSpi: Spi;
  /** When it ends if nothing comes any more, and when it ends in any case. */
  readonly until: Instant;
  readonly latest: Instant;
}
