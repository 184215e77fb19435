/** Sequence numbers of manual children: reserved on disk where a number used twice would break the cipher [ESP-02]. */
import type { GatewayManualChild } from "../gateway/gateway-configuration.ts";
import { lastSequenceNumber, type ManualNumbers } from "../gateway/manual-sa.ts";
import { type LockFile, SequenceReservation } from "../io/sequence-reservation.ts";
import type { PolicyName } from "../policy/data-plane.ts";

export interface StatefulManualChild extends GatewayManualChild {
  readonly stateFile?: string;
}

export class ManualKeys {
  readonly #lockFile: LockFile;
  readonly #reservations = new Map<PolicyName, SequenceReservation>();

  constructor(lockFile: LockFile) {
    this.#lockFile = lockFile;
  }

  /** @throws {IoError} when the state file cannot vouch for the numbers: the child must not be used then */
  open(child: StatefulManualChild): ManualNumbers {
    const limit = lastSequenceNumber(child.outbound.suite.esn);
    if (child.stateFile === undefined) return { first: 1, last: limit };
    const { reservation, range } = SequenceReservation.open(child.stateFile, limit, this.#lockFile);
    this.#reservations.set(child.policy, reservation);
    return range;
  }

  /**
   * Reserves more; `undefined` when the child needs no reservation.
   * @throws {IoError} when the disk refuses: the child ends at its old limit
   */
  extend(policy: PolicyName): number | undefined {
    return this.#reservations.get(policy)?.extend();
  }

  /** Gives one child's file up; lanes may have used any of its reserved numbers, so that none of them is given back. */
  release(policy: PolicyName): void {
    this.#reservations.get(policy)?.close(0);
    this.#reservations.delete(policy);
  }

  /**
   * Gives back what no packet has used.
   * @param nextOf - the first number that no packet has, once nothing is sent any more; `undefined`: not known
   */
  close(nextOf: (policy: PolicyName) => number | undefined): void {
    for (const [policy, reservation] of this.#reservations) reservation.close(nextOf(policy) ?? 0);
    this.#reservations.clear();
  }
}
