/** What status says of an SA pair: counters, rates, loss, silence, and how large its packets may be. */
import type { Instant } from "../base/instant.ts";
import { familyOf, formatIpAddress, type IpAddress } from "../base/ip-address.ts";
import type { ChildStatus } from "../control/schema.ts";
import type { SaPairState } from "../dataplane/data-plane.ts";
import type { DropTrace } from "../dataplane/drop-record.ts";
import type { Loss } from "../gateway/loss-meter.ts";
import { oneWayCause } from "../gateway/one-way-cause.ts";
import type { OneWay } from "../gateway/one-way-watch.ts";
import type { PathState } from "../gateway/path-mtus.ts";
import type { IkeSaState } from "../ike/connection-state.ts";
import { flowText } from "../observe/flow-words.ts";
import { oneWayLines } from "../observe/one-way-words.ts";
import { innerMtu } from "./inner-mtu.ts";
import type { Rates } from "./rate-meter.ts";

export interface TrafficInput {
  readonly now: Instant;
  readonly pairs: readonly SaPairState[];
  readonly rates: (pair: SaPairState) => Rates | undefined;
  readonly loss: (pair: SaPairState) => Loss | undefined;
  readonly oneWay: (pair: SaPairState) => OneWay | undefined;
  readonly lastDrops: () => readonly DropTrace[];
  readonly pathTo: (remote: IpAddress) => PathState | undefined;
}

/** What stands for the child that a pair is of. */
export interface OfChild {
  readonly connection: string;
  /** Networks behind the peer. */
  readonly remote: readonly string[];
  readonly ikeSa?: IkeSaState;
}

export function trafficWords(pair: SaPairState, input: TrafficInput) {
  const { inboundPackets, inboundOctets, outboundPackets, outboundOctets } = pair.usage;
  const rates = input.rates(pair);
  return {
    counters: { inboundPackets, inboundOctets, outboundPackets, outboundOctets },
    ...(rates === undefined ? {} : { rates }),
  };
}

export function pairWords(pair: SaPairState, child: OfChild, input: TrafficInput) {
  const { lastInboundAt, lastOutboundAt } = pair.usage;
  const loss = input.loss(pair);
  const flow = flowText(pair.flow);
  return {
    ...trafficWords(pair, input),
    ...(lastInboundAt === undefined
      ? {}
      : { lastInboundSecondsAgo: secondsBetween(lastInboundAt, input.now) }),
    ...(lastOutboundAt === undefined
      ? {}
      : { lastOutboundSecondsAgo: secondsBetween(lastOutboundAt, input.now) }),
    ...(loss === undefined ? {} : { loss }),
    ...oneWayWords(pair, child, input),
    // In AGGFRAG mode packets of any size are carried, and their sum is another.
    ...(pair.flow.aggfrag === "off" ? { mtu: mtuWords(pair, input) } : {}),
    ...(flow === undefined ? {} : { flow }),
  };
}

function oneWayWords(
  pair: SaPairState,
  { connection, remote, ikeSa }: OfChild,
  input: TrafficInput,
): Pick<ChildStatus, "oneWay"> {
  const oneWay = input.oneWay(pair);
  if (oneWay === undefined) return {};
  const { now, pairs } = input;
  const drops = input.lastDrops();
  const cause = oneWayCause({ oneWay, pair, pairs, drops, ...(ikeSa === undefined ? {} : { ikeSa }) }, now);
  const seen = {
    seconds: secondsBetween(oneWay.since, now),
    packets: oneWay.packets,
    hasReturned: oneWay.hasReturned,
  };
  const peer = formatIpAddress(pair.remote.address);
  const lines = oneWayLines({ ...seen, cause, peer, remote: remote.join(", "), connection });
  return { oneWay: { ...seen, cause: cause.kind, lines: [...lines] } };
}

function mtuWords(pair: SaPairState, input: TrafficInput) {
  const path = input.pathTo(pair.remote.address);
  const size = innerMtu(pair);
  return {
    inner: size.inner,
    path: size.outer,
    outer: size.encapsulation,
    outerFamily: familyOf(pair.remote.address),
    protocol: pair.suite.protocol === "ah" ? ("ah" as const) : ("esp" as const),
    security: size.outer - size.encapsulation - size.inner,
    source: size.isConfigured ? ("configured" as const) : (path?.source ?? ("interface" as const)),
    ...(path?.reporter === undefined ? {} : { reporter: formatIpAddress(path.reporter) }),
    isProbed: path?.isProbed ?? false,
  };
}

export function secondsBetween(from: Instant, to: Instant): number {
  return Math.max(0, (to - from) / 1000);
}
