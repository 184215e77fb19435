/** The manual children that are in place: IKE knows nothing of them, so their SAs' events end here. */
import { equal } from "../base/bytes.ts";
import { formatIpAddress, type IpAddress } from "../base/ip-address.ts";
import type { Spi } from "../base/spi.ts";
import type { DataPlane, SaPairState } from "../dataplane/data-plane.ts";
import { fingerprint } from "../ike/fingerprint.ts";
import type { DataPlaneEvent, PolicyName, SaLimit } from "../policy/data-plane.ts";
import type { GatewayManualChild } from "./gateway-configuration.ts";
import { type ManualNumbers, manualSaCommands, SUCCESSION_SKIP } from "./manual-sa.ts";

export type ManualNews =
  /** Comes near the end of its reserved numbers. */
  | { readonly kind: "reserveSequence"; readonly policy: PolicyName }
  /** Carries nothing further. */
  | { readonly kind: "manualEnded"; readonly policy: PolicyName; readonly reason: SaLimit };

export class ManualChildren {
  readonly #dataPlane: DataPlane;
  readonly #natPort: number;
  readonly #placed = new Map<PolicyName, { readonly inboundSpi: Spi; readonly key: string }>();
  /** First numbers that nobody has used, of outbound SAs that are gone: by SPI and peer, and by digest of the key. */
  readonly #used = new Map<string, number>();

  constructor(dataPlane: DataPlane, natPort: number) {
    this.#dataPlane = dataPlane;
    this.#natPort = natPort;
  }

  /** What is there already, for another process has left it, goes on with its own numbers. */
  add(child: GatewayManualChild, local: IpAddress, numbers: ManualNumbers): void {
    const key = keyName(child);
    const left = this.#pairOf(child.policy);
    if (left !== undefined && equal(left.local.address, local)) {
      this.#dataPlane.extendSequence(left.inboundSpi, numbers.last);
    } else {
      if (left !== undefined) {
        this.noteUse(left, key);
        this.#dataPlane.execute({ kind: "removePair", inboundSpi: left.inboundSpi });
      }
      const first = this.#firstUnused(child, numbers.first);
      for (const command of manualSaCommands(child, local, this.#natPort, { ...numbers, first }))
        this.#dataPlane.execute(command);
    }
    this.#placed.set(child.policy, { inboundSpi: child.inbound.spi, key });
  }

  /**
   * A pair goes, and another may come with its SPI or its keys: the numbers go on, for a nonce must not repeat [ESP-02] and the
   * peer's window has passed what was used.
   * @param key - digest of the outbound keys; absent: not known
   */
  noteUse({ outboundSpi, remote, usage }: SaPairState, key?: string): void {
    if (outboundSpi === undefined) return;
    for (const name of [spiName(outboundSpi, remote.address), ...(key === undefined ? [] : [key])])
      this.#used.set(name, Math.max(this.#used.get(name) ?? 1, usage.nextSequenceNumber));
  }

  /** What was reserved on disk lies behind all that was used already. */
  #firstUnused(child: GatewayManualChild, reserved: number): number {
    const names = [spiName(child.outbound.spi, child.remoteAddress), keyName(child)];
    const used = Math.max(1, ...names.map((name) => this.#used.get(name) ?? 1));
    return used > 1 && reserved < used ? used + SUCCESSION_SKIP : reserved;
  }

  #pairOf(policy: PolicyName): SaPairState | undefined {
    return this.#dataPlane.pairs().find((pair) => pair.policy === policy);
  }

  /** @returns the inbound SPI of what was there */
  remove(policy: PolicyName): Spi | undefined {
    const placed = this.#placed.get(policy);
    if (placed === undefined) return undefined;
    const { inboundSpi, key } = placed;
    const pair = this.#pairOf(policy);
    if (pair !== undefined) this.noteUse(pair, key);
    this.#dataPlane.execute({ kind: "removePair", inboundSpi });
    this.#placed.delete(policy);
    return inboundSpi;
  }

  /** `last` is on disk: numbers up to it may be used. */
  extend(policy: PolicyName, last: number): void {
    const inboundSpi = this.#placed.get(policy)?.inboundSpi;
    if (inboundSpi !== undefined) this.#dataPlane.extendSequence(inboundSpi, last);
  }

  /** Whether the event is about a manual child, and what it means to the daemon. */
  take(event: DataPlaneEvent): { readonly isManual: boolean; readonly news?: ManualNews } {
    if (event.kind === "acquire") {
      if (!this.#placed.has(event.policy)) return { isManual: false };
      this.#dataPlane.execute({ kind: "acquireFailed", policy: event.policy });
      return { isManual: true };
    }
    const policy = [...this.#placed].find(([, { inboundSpi }]) => inboundSpi === event.inboundSpi)?.[0];
    if (policy === undefined) return { isManual: false };
    if (event.kind === "softLimit" && event.reason === "sequenceNumbers")
      return { isManual: true, news: { kind: "reserveSequence", policy } };
    if (event.kind === "hardLimit")
      return { isManual: true, news: { kind: "manualEnded", policy, reason: event.reason } };
    return { isManual: true };
  }
}

function spiName(spi: Spi, remote: IpAddress): string {
  return `spi ${spi} ${formatIpAddress(remote)}`;
}

function keyName({ outbound: { keys } }: GatewayManualChild): string {
  return `key ${fingerprint(keys)}`;
}
