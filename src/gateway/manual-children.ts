/** The manual children that are in place: IKE knows nothing of them, so their SAs' events end here. */
import { equal } from "../base/bytes.ts";
import type { IpAddress } from "../base/ip-address.ts";
import type { Spi } from "../base/spi.ts";
import type { DataPlane } from "../dataplane/data-plane.ts";
import type { DataPlaneEvent, PolicyName, SaLimit } from "../policy/data-plane.ts";
import type { GatewayManualChild } from "./gateway-configuration.ts";
import { type ManualNumbers, manualSaCommands } from "./manual-sa.ts";

export type ManualNews =
  /** Comes near the end of its reserved numbers. */
  | { readonly kind: "reserveSequence"; readonly policy: PolicyName }
  /** Carries nothing further. */
  | { readonly kind: "manualEnded"; readonly policy: PolicyName; readonly reason: SaLimit };

export class ManualChildren {
  readonly #dataPlane: DataPlane;
  readonly #natPort: number;
  readonly #spis = new Map<PolicyName, Spi>();

  constructor(dataPlane: DataPlane, natPort: number) {
    this.#dataPlane = dataPlane;
    this.#natPort = natPort;
  }

  /** What is there already, for another process has left it, goes on with its own numbers. */
  add(child: GatewayManualChild, local: IpAddress, numbers: ManualNumbers): void {
    const left = this.#dataPlane.pairs().find(({ policy }) => policy === child.policy);
    if (left !== undefined && equal(left.local.address, local)) {
      this.#dataPlane.extendSequence(left.inboundSpi, numbers.last);
    } else {
      if (left !== undefined) this.#dataPlane.execute({ kind: "removePair", inboundSpi: left.inboundSpi });
      for (const command of manualSaCommands(child, local, this.#natPort, numbers))
        this.#dataPlane.execute(command);
    }
    this.#spis.set(child.policy, child.inbound.spi);
  }

  /** @returns the inbound SPI of what was there */
  remove(policy: PolicyName): Spi | undefined {
    const inboundSpi = this.#spis.get(policy);
    if (inboundSpi === undefined) return undefined;
    this.#dataPlane.execute({ kind: "removePair", inboundSpi });
    this.#spis.delete(policy);
    return inboundSpi;
  }

  /** `last` is on disk: numbers up to it may be used. */
  extend(policy: PolicyName, last: number): void {
    const inboundSpi = this.#spis.get(policy);
    if (inboundSpi !== undefined) this.#dataPlane.extendSequence(inboundSpi, last);
  }

  /** Whether the event is about a manual child, and what it means to the daemon. */
  take(event: DataPlaneEvent): { readonly isManual: boolean; readonly news?: ManualNews } {
    if (event.kind === "acquire") {
      if (!this.#spis.has(event.policy)) return { isManual: false };
      this.#dataPlane.execute({ kind: "acquireFailed", policy: event.policy });
      return { isManual: true };
    }
    const policy = [...this.#spis].find(([, spi]) => spi === event.inboundSpi)?.[0];
    if (policy === undefined) return { isManual: false };
    if (event.kind === "softLimit" && event.reason === "sequenceNumbers")
      return { isManual: true, news: { kind: "reserveSequence", policy } };
    if (event.kind === "hardLimit")
      return { isManual: true, news: { kind: "manualEnded", policy, reason: event.reason } };
    return { isManual: true };
  }
}
