/** What the machine remembers of a connection while it has no IKE SA: wishes, failures, the time of the next try. */
import { after, DurationMs, type Instant } from "../base/instant.ts";
import type { RandomSource } from "../base/random.ts";
import type { ChildConfiguration, Connection, Keep } from "../policy/connection.ts";
import type { PacketSelectors } from "../policy/data-plane.ts";
import { RETRY_FIRST, RETRY_MAX } from "./limits.ts";
import type { FailureNotice } from "./notice.ts";

/** Failures in a row and when to try again. */
export interface Retry {
  failures: number;
  nextTryAt: Instant | undefined;
  lastFailure: FailureNotice | undefined;
}

/** Callers that were refused before they had proved who they are, since one from the same address was let in. */
export interface Refused {
  readonly count: number;
  /** Of the last one, with its address. */
  readonly failure: FailureNotice;
}

export interface ChildKeeper extends Retry {
  /** An operator took it down. */
  isDown: boolean;
  /** An operator or a packet wants it, beyond what `keep` says. */
  isWanted: boolean;
  /** The data plane waits for an answer to its acquire. */
  hasAcquire: boolean;
  /** First packet that asked for it. */
  packet: PacketSelectors | undefined;
}

export interface Keeper extends Retry {
  isDown: boolean;
  isWanted: boolean;
  /** A process before this one left child SAs: the peer may have its IKE SA, and is not told that there is none. */
  mayBeKnown: boolean;
  /** Which of the remote addresses is called next. */
  addressIndex: number;
  /** Key exchange method that the peer chose last; asked for first the next time. */
  method: number | undefined;
  readonly children: Map<string, ChildKeeper>;
  /** Of strangers; what they fail at is none of the connection's own failures. */
  lastRefused: Refused | undefined;
  /** Peers of a connection that serves many, numbered as they came. */
  readonly instances: Map<string, number>;
}

export function newKeeper(): Keeper {
  return {
    isDown: false,
    isWanted: false,
    mayBeKnown: false,
    addressIndex: 0,
    method: undefined,
    lastRefused: undefined,
    children: new Map(),
    instances: new Map(),
    ...noFailure(),
  };
}

function noFailure(): Retry {
  return { failures: 0, nextTryAt: undefined, lastFailure: undefined };
}

export function childKeeper(keeper: Keeper, child: string): ChildKeeper {
  const known = keeper.children.get(child);
  if (known !== undefined) return known;
  const fresh: ChildKeeper = {
    isDown: false,
    isWanted: false,
    hasAcquire: false,
    packet: undefined,
    ...noFailure(),
  };
  keeper.children.set(child, fresh);
  return fresh;
}

/** Whether a child ought to have an SA now. */
export function isChildWanted(keeper: Keeper, child: ChildConfiguration): boolean {
  if (keeper.isDown) return false;
  const state = keeper.children.get(child.name);
  if (state?.isDown === true) return false;
  return child.keep === "up" || state?.isWanted === true;
}

/** Whether an operator took down what would otherwise come up: then the peer must not bring it back either. */
export function isTakenDown(
  state: { readonly isDown: boolean } | undefined,
  { keep }: { readonly keep: Keep },
): boolean {
  return state?.isDown === true && keep !== "respond";
}

/** Whether a connection ought to have an IKE SA now. */
export function isConnectionWanted(keeper: Keeper, connection: Connection): boolean {
  if (keeper.isDown) return false;
  if (connection.keep === "up" || keeper.isWanted) return true;
  return connection.children.some((child) => isChildWanted(keeper, child));
}

/** Counts a failure and sets the next try: doubled waits up to a cap, a quarter more or less at random. */
export function postpone(
  retry: Retry,
  failure: FailureNotice | undefined,
  now: Instant,
  random: RandomSource,
): Instant {
  retry.failures++;
  if (failure !== undefined) retry.lastFailure = failure;
  retry.nextTryAt = after(now, retryWait(retry.failures, random));
  return retry.nextTryAt;
}

/** The wait after so many failures in a row. */
export function retryWait(failures: number, random: RandomSource): DurationMs {
  const wait = Math.min(RETRY_FIRST * 2 ** (failures - 1), RETRY_MAX);
  return DurationMs(wait * (0.75 + 0.5 * random.fraction()));
}

export function clearFailures(retry: Retry): void {
  retry.failures = 0;
  retry.nextTryAt = undefined;
  retry.lastFailure = undefined;
}
