/** Traffic selectors (RFC 4301 section 4.4.1.1, RFC 7296 sections 2.9 and 3.13): values, intersection, narrowing. */
import type { AddressRange } from "../base/address-range.ts";

/** Ports, or ICMP type * 256 + code (RFC 7296 section 3.13.1); start above end stands for OPAQUE. */
export interface PortRange {
  readonly start: number;
  readonly end: number;
}

/** One side's selector: addresses, protocol (0 is any) and ports of that side. */
export interface TrafficSelector {
  readonly addresses: AddressRange;
  readonly protocol: number;
  readonly ports: PortRange;
}

export const ANY_PROTOCOL = 0;
export const ANY_PORT: PortRange = { start: 0, end: 65535 };
/** RFC 7296 section 3.13.1: matches only packets whose ports cannot be seen. */
export const OPAQUE_PORT: PortRange = { start: 65535, end: 0 };

/** What a child SA may carry, seen from one gateway: any local selector paired with any remote one. */
export interface SelectorPair {
  readonly local: readonly TrafficSelector[];
  readonly remote: readonly TrafficSelector[];
}
