/** Packets and octets of each configured child since the start: they go on over rekeys and never fall. */
import type { SaTraffic } from "../dataplane/data-plane.ts";
import type { IkeNotice } from "../ike/notice.ts";
import type { ConfiguredNames } from "./configured-names.ts";

export interface Traffic {
  readonly inboundPackets: number;
  readonly inboundOctets: number;
  readonly outboundPackets: number;
  readonly outboundOctets: number;
}

type Sum = { -readonly [field in keyof Traffic]: Traffic[field] };

const FIELDS = ["inboundPackets", "inboundOctets", "outboundPackets", "outboundOctets"] as const;

export class TrafficTotals {
  #names: ConfiguredNames;
  /** Of SAs that are gone, by `connection/child`. */
  #past = new Map<string, Sum>();
  /** Whose each SA is, by inbound SPI: several peers of one connection may share a policy. */
  readonly #owners = new Map<number, string>();

  constructor(names: ConfiguredNames) {
    this.#names = names;
  }

  /** Another configuration: what it has no more is forgotten. */
  setNames(names: ConfiguredNames): void {
    this.#names = names;
    this.#past = new Map([...this.#past].filter(([key]) => names.hasChild(key)));
  }

  onNotice(notice: IkeNotice): void {
    if (notice.code !== "childSaUp" && notice.code !== "childSaRekeyed") return;
    const { connection, child, spis } = notice;
    const name = connection === undefined ? undefined : this.#names.connectionOf(connection);
    if (name !== undefined && child !== undefined) this.#owners.set(spis.inboundSpi, `${name}/${child}`);
  }

  /** An SA, or a half of it, is gone, and counts no further. @param isLast - nothing more comes of this SPI */
  onEnd(ended: SaTraffic, isLast: boolean): void {
    const key = this.#keyOf(ended);
    if (key !== undefined && this.#names.hasChild(key)) add(this.#past, key, ended);
    if (isLast) this.#owners.delete(ended.inboundSpi);
  }

  /** @param traffic - of all SAs that are not told to have ended */
  totals(traffic: readonly SaTraffic[]): ReadonlyMap<string, Traffic> {
    const sums = new Map([...this.#past].map(([key, sum]) => [key, { ...sum }]));
    for (const one of traffic) {
      const key = this.#keyOf(one);
      if (key !== undefined) add(sums, key, one);
    }
    return sums;
  }

  #keyOf({ inboundSpi, policy }: SaTraffic): string | undefined {
    return this.#owners.get(inboundSpi) ?? this.#names.childOf(policy);
  }
}

function add(sums: Map<string, Sum>, key: string, traffic: Traffic): void {
  let sum = sums.get(key);
  if (sum === undefined) {
    sum = { inboundPackets: 0, inboundOctets: 0, outboundPackets: 0, outboundOctets: 0 };
    sums.set(key, sum);
  }
  for (const field of FIELDS) sum[field] += traffic[field];
}
