/** Where it ends, when we send and nothing comes back: IKE's answers tell the network from ESP's way and from the peer's policy. */

import { equal } from "../base/bytes.ts";
import type { Instant } from "../base/instant.ts";
import type { SaPairState } from "../dataplane/data-plane.ts";
import type { DropReason } from "../dataplane/drop-reason.ts";
import type { DropTrace } from "../dataplane/drop-record.ts";
import type { IkeSaState } from "../ike/connection-state.ts";
import type { OneWay } from "./one-way-watch.ts";

export type OneWayCause =
  /** They come, and are dropped here. */
  | { readonly kind: "refusedHere"; readonly reason: DropReason; readonly packets: number }
  /** The peer sends ESP with an SPI that nobody has here: it believes in another SA. */
  | { readonly kind: "otherSpi"; readonly spi: number }
  /** Other SAs with the same peer bring packets: the way is open. */
  | { readonly kind: "othersReturn" }
  /** IKE is answered, so the peer is there and the network carries UDP. */
  | { readonly kind: "ikeAnswers"; readonly port: number; readonly encapsulation: "udp" | "esp" }
  /** IKE has got no answer either, for so long. */
  | { readonly kind: "ikeSilent"; readonly forMs: number }
  /** There is no IKE SA to compare with, or it was not asked since. */
  | { readonly kind: "unknown" };

export interface Silence {
  readonly oneWay: OneWay;
  readonly pair: SaPairState;
  /** Of the connection; with several peers that of this one. */
  readonly ikeSa?: IkeSaState;
  /** Every SA pair there is. */
  readonly pairs: readonly SaPairState[];
  readonly drops: readonly DropTrace[];
}

/** A liveness check begins after this at most, since silence is a reason for one; its first answer is due then. */
const PATIENCE_MS = 2_000;

export function oneWayCause(silence: Silence, now: Instant): OneWayCause {
  const { oneWay, pair, ikeSa, pairs, drops } = silence;
  const recent = drops.filter(({ kind, lastAt }) => kind === "datagram" && lastAt >= oneWay.since);
  const here = recent.find(({ spi }) => spi === pair.inboundSpi);
  if (here !== undefined) return { kind: "refusedHere", reason: here.reason, packets: here.packets };
  const stray = recent.find(
    ({ reason, source }) => reason === "unknownSpi" && equal(source, pair.remote.address),
  );
  if (stray?.spi !== undefined) return { kind: "otherSpi", spi: stray.spi };
  const isOther = (one: SaPairState) =>
    one.policy !== pair.policy && equal(one.remote.address, pair.remote.address);
  if (pairs.some((one) => isOther(one) && (one.usage.lastInboundAt ?? 0) > oneWay.since))
    return { kind: "othersReturn" };
  if (ikeSa === undefined) return { kind: "unknown" };
  const { unansweredSince, lastIkeHeardAt } = ikeSa;
  if (unansweredSince !== undefined && now - unansweredSince > PATIENCE_MS)
    return { kind: "ikeSilent", forMs: now - unansweredSince };
  if (lastIkeHeardAt >= oneWay.since)
    return { kind: "ikeAnswers", port: ikeSa.remote.port, encapsulation: pair.encapsulation };
  return { kind: "unknown" };
}
