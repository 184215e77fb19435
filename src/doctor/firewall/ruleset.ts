/** Packet filter rules of nftables and iptables, as far as they are understood here. */
import type { AddressRange } from "../../base/address-range.ts";

export type Hook = "ingress" | "prerouting" | "input" | "forward" | "output" | "postrouting" | "egress";

/** What a packet passes on its way through this host, to it, and from it. */
export const FORWARDED: readonly Hook[] = ["ingress", "prerouting", "forward", "postrouting", "egress"];
export const RECEIVED: readonly Hook[] = ["ingress", "prerouting", "input"];
export const SENT: readonly Hook[] = ["output", "postrouting", "egress"];

/** Names may end with `*`; numbers are inclusive ranges. */
export type Value =
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "numbers"; readonly from: number; readonly to: number }
  | { readonly kind: "addresses"; readonly range: AddressRange };

export type Field =
  | "family"
  | "iif"
  | "oif"
  | "source"
  | "destination"
  | "protocol"
  | "sourcePort"
  | "destinationPort"
  | "state"
  | "mark"
  /** A rate that is not reached: holds for the packets that are thought of here. */
  | "rate"
  /** Nobody can tell. */
  | "unknown";

export interface Condition {
  readonly field: Field;
  readonly isNegated: boolean;
  readonly values: readonly Value[];
  /** With `mark`: the bits that are looked at. */
  readonly mask?: number;
}

export type Verdict =
  | { readonly kind: "accept" | "drop" | "return" | "translateSource" | "translateDestination" }
  | { readonly kind: "jump" | "goto"; readonly chain: string }
  /** The flow is handed to a flowtable, and the packet goes on. */
  | { readonly kind: "flow"; readonly table: string }
  /** Somebody decides whom doctor cannot ask: a queue to a program, a target that is not known here. */
  | { readonly kind: "unknown" };

export interface Rule {
  readonly conditions: readonly Condition[];
  /** Absent: it counts, logs or changes, and the packet goes on. */
  readonly verdict?: Verdict;
  /** As an operator would look for it. */
  readonly text: string;
}

export interface Chain {
  /** Table and chain: `inet filter input`, `iptables nat POSTROUTING`. */
  readonly name: string;
  readonly family: "ip" | "ip6" | "inet" | "netdev";
  /** Absent: reached from other chains alone. */
  readonly hook?: {
    readonly hook: Hook;
    readonly type: "filter" | "nat" | "route";
    readonly priority: number;
    /** Of ingress and egress; absent where nft does not tell (before 1.0.7). */
    readonly devices?: readonly string[];
  };
  readonly policy: "accept" | "drop";
  readonly rules: readonly Rule[];
  /** Some rule changes packets' marks, so that nobody can tell what one compares with. */
  readonly setsMarks?: true;
}

export interface Ruleset {
  readonly chains: ReadonlyMap<string, Chain>;
  /** Hooked chains of families that are not understood here, by name. */
  readonly unread: readonly string[];
  /** Packets that arrived in clear from protected prefixes, as our own table counts them. */
  readonly clearPackets: number;
}
