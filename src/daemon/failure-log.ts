/** Remembers when each connection and child failed last, for `status` and for those who wait for a command. */
import type { Instant } from "../base/instant.ts";
import type { FailureNotice, IkeNotice } from "../ike/notice.ts";

/** Names that are kept: configured ones and instances; the oldest goes first. */
export const FAILURES_KEPT_MAX = 4096;

const FAILURE_CODES: { readonly [code in FailureNotice["code"]]: true } = {
  noCommonProposal: true,
  proposalRejectedByPeer: true,
  selectorsUnacceptable: true,
  identityMismatch: true,
  localIdentityMismatch: true,
  authenticationFailed: true,
  ppkRefused: true,
  authenticationRejectedByPeer: true,
  authenticationNotComputed: true,
  noCommonSignature: true,
  noAnswer: true,
  errorFromPeer: true,
  refused: true,
  keyExchangeRefused: true,
  encapsulationImpossible: true,
  transportRefused: true,
  noLocalAddress: true,
  noAddressToCall: true,
  peerSpeaksIkeV1: true,
  duplicateRefused: true,
  saTableFull: true,
  aggfragNotAgreed: true,
  childLimit: true,
  rekeyRefused: true,
};

export function isFailure(notice: IkeNotice): notice is FailureNotice {
  return Object.hasOwn(FAILURE_CODES, notice.code);
}

export class FailureLog {
  readonly #at = new Map<string, Instant>();

  note(notice: FailureNotice, now: Instant): void {
    if (notice.connection === undefined) return;
    const name = keyOf(notice);
    this.#at.delete(name);
    this.#at.set(name, now);
    if (this.#at.size <= FAILURES_KEPT_MAX) return;
    const [oldest] = this.#at.keys();
    if (oldest !== undefined) this.#at.delete(oldest);
  }

  /** When this failure was noted; now when it was not. */
  at(notice: FailureNotice, now: Instant): Instant {
    return this.#at.get(keyOf(notice)) ?? now;
  }
}

function keyOf({ connection, child, code }: FailureNotice): string {
  return `${connection ?? ""}/${child ?? ""}/${code}`;
}
