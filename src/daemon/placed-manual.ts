/** The manual children whose SAs are in place, as the configuration that runs has them. */
import type { IpAddress } from "../base/ip-address.ts";
import { isSameValue } from "../base/same-value.ts";
import type { ManualChild } from "../config/configuration.ts";
import type { SaPairState } from "../dataplane/data-plane.ts";
import type { GatewayEvent } from "../gateway/gateway.ts";
import { IoError } from "../io/io-error.ts";
import type { PolicyName } from "../policy/data-plane.ts";
import type { DaemonLog } from "./daemon-log.ts";
import type { ManualKeys } from "./manual-keys.ts";

export interface PlacedManualOptions {
  readonly keys: ManualKeys;
  readonly feed: (event: GatewayEvent) => void;
  readonly localAddressFor: (remote: IpAddress) => IpAddress | undefined;
  readonly log: DaemonLog;
}

export class PlacedManual {
  readonly #options: PlacedManualOptions;
  readonly #placed = new Map<PolicyName, ManualChild>();

  constructor(options: PlacedManualOptions) {
    this.#options = options;
  }

  /**
   * These and no others. What went or changed goes first: a state file is one child's at a time.
   * @throws {IoError} of a child that cannot be placed; those before it are
   */
  place(children: readonly ManualChild[]): void {
    const { feed, keys } = this.#options;
    const wanted = new Map(children.map((child) => [child.policy, child]));
    for (const [policy, child] of this.#placed) {
      if (isSameValue(child, wanted.get(policy))) continue;
      feed({ kind: "removeManual", policy });
      keys.release(policy);
      this.#placed.delete(policy);
    }
    for (const [policy, child] of wanted) {
      if (!this.#placed.has(policy)) this.#add(child);
      this.#placed.set(policy, child);
    }
  }

  #add(child: ManualChild): void {
    const { feed, keys, localAddressFor } = this.#options;
    const local = child.localAddress ?? localAddressFor(child.remoteAddress);
    if (local === undefined)
      throw new IoError(
        "IO_ADDRESS_NOT_OURS",
        `${child.policy}: no address of this host leads to the peer; give the connection a local.address`,
      );
    const numbers = keys.open(child);
    try {
      feed({ kind: "addManual", child, local, numbers });
    } catch (error) {
      // The file would be in use when it is tried again.
      keys.release(child.policy);
      throw error;
    }
  }

  /** More numbers, on disk before they are used. */
  reserve(policy: PolicyName): void {
    const { feed, keys } = this.#options;
    this.#saying(() => {
      const last = keys.extend(policy);
      if (last !== undefined) feed({ kind: "sequenceReserved", policy, last });
    });
  }

  /** @param pairs - as they stand now that nothing is sent any more; of those that are not among them no number is given back */
  close(pairs: readonly SaPairState[]): void {
    this.#saying(() =>
      this.#options.keys.close(
        (policy) => pairs.find((pair) => pair.policy === policy)?.usage.nextSequenceNumber,
      ),
    );
  }

  #saying(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#options.log.error(error instanceof Error ? error.message : String(error));
    }
  }
}
