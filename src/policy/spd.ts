/** The security policy database of one TUN interface: ordered entries, compiled for lookup (RFC 4301 section 4.4.1). */
import type { ConfigurationPlace } from "./connection.ts";
import type { PolicyName } from "./data-plane.ts";
import type { SelectorPair } from "./traffic-selector.ts";

export type SpdAction = "protect" | "bypass" | "discard";

export interface SpdEntry {
  readonly action: SpdAction;
  readonly selectors: SelectorPair;
  /** Given with PROTECT: the policy and its index in the SA table. */
  readonly policy?: { readonly name: PolicyName; readonly index: number };
  readonly place?: ConfigurationPlace;
}

/** Entries as plain typed arrays: one structured clone hands them to another thread. */
export interface CompiledSpd {
  /** By entry: see {@link SPD_PROTECT}. */
  readonly action: Uint8Array;
  /** By entry: policy index, or {@link NO_POLICY}. */
  readonly policy: Uint32Array;
  /** By entry: first local selector record, their count, first remote one, their count. */
  readonly sides: Uint32Array;
  /** Selector records laid out as in the SA table. */
  readonly selectors: ArrayBuffer;
}

export const SPD_PROTECT = 0;
export const SPD_BYPASS = 1;
export const SPD_DISCARD = 2;
export const NO_POLICY = 0xffffffff;

/** Compiles entries in the order given: the first match decides. */
export declare function compileSpd(entries: readonly SpdEntry[]): CompiledSpd;
