/**
 * What the gateway counts and knows, as Prometheus reads it. Labels are names of the configuration and words of closed lists:
 * nothing that a peer chose. Times are timestamps, so that an age is `time() - x`.
 */
import type { Instant } from "../base/instant.ts";
import type { Configuration } from "../config/configuration.ts";
import type { SaPairState } from "../dataplane/data-plane.ts";
import type { Loss } from "../gateway/loss-meter.ts";
import type { ChildState, ConnectionState } from "../ike/connection-state.ts";
import { Exposition, labelText, type Sample } from "../observe/exposition.ts";
import type { CertificateExpiry } from "./certificate-expiry.ts";
import { innerMtu } from "./inner-mtu.ts";
import { addProcessMetrics, type GatewayMetrics } from "./metrics-process.ts";
import type { Tally } from "./notice-tally.ts";
import type { Traffic } from "./traffic-totals.ts";

export type LossOf = (pair: SaPairState) => Pick<Loss, "recent"> | undefined;

export interface MetricsInput extends GatewayMetrics {
  readonly configuration: Configuration;
  readonly now: Instant;
  /** Milliseconds since 1970, at `now`. */
  readonly wallClock: number;
  readonly states: readonly ConnectionState[];
  readonly pairs: readonly SaPairState[];
  /** By `connection/child`. */
  readonly traffic: ReadonlyMap<string, Traffic>;
  /** Of `connection` or `connection/child`. */
  readonly tally: (name: string) => Tally;
  readonly loss: LossOf;
  readonly certificates: readonly CertificateExpiry[];
}

export function metricsText(input: MetricsInput): string {
  const out = new Exposition();
  const children = childrenOf(input);
  addConnections(out, input);
  addChildren(out, input, children);
  addTraffic(out, input, children);
  addLoss(out, input, children);
  addCertificates(out, input);
  addProcessMetrics(out, input);
  return out.text();
}

/** One series each: a configured connection with all of its peers of the moment. */
function addConnections(out: Exposition, input: MetricsInput): void {
  const byName = new Map<string, ConnectionState[]>();
  for (const state of input.states)
    byName.set(state.connection, [...(byName.get(state.connection) ?? []), state]);
  const manual = new Set(input.configuration.manual.map(({ connection }) => connection));
  const up: Sample[] = [];
  const peers: Sample[] = [];
  const established: Sample[] = [];
  const createdAt: Sample[] = [];
  const rekeyAt: Sample[] = [];
  const rekeyed: Sample[] = [];
  const failed: Sample[] = [];
  const failures: Sample[] = [];
  for (const [name, states] of byName) {
    manual.delete(name);
    const labels = labelText({ connection: name });
    const sas = states.flatMap(({ ikeSa }) => ikeSa ?? []);
    up.push([labelText({ connection: name, keep: states[0]!.keep }), sas.length > 0 ? 1 : 0]);
    peers.push([labels, sas.length]);
    const tally = input.tally(name);
    established.push([labels, tally.established]);
    rekeyed.push([labels, tally.rekeyed]);
    failed.push([labels, tally.failed]);
    failures.push([labels, Math.max(...states.map((state) => state.failures))]);
    if (sas.length === 0) continue;
    createdAt.push([labels, timestamp(Math.min(...sas.map(({ upSince }) => upSince)), input)]);
    rekeyAt.push([labels, timestamp(Math.min(...sas.map((sa) => sa.rekeyAt)), input)]);
  }
  for (const name of manual) {
    const isUp = input.pairs.some(({ policy }) => policy.startsWith(`${name}/`));
    up.push([labelText({ connection: name, keep: "manual" }), isUp ? 1 : 0]);
  }
  out.add("tungate_connection_up", "gauge", "Whether an IKE SA stands (with manual keys: an SA).", up);
  out.add("tungate_connection_peers", "gauge", "Peers with an IKE SA; one, unless it serves many.", peers);
  out.add(
    "tungate_connection_up_since_timestamp_seconds",
    "gauge",
    "When the oldest IKE SA's peer was authenticated; rekeys do not change it. Absent while down.",
    createdAt,
  );
  out.add(
    "tungate_connection_rekey_timestamp_seconds",
    "gauge",
    "When the next rekey of an IKE SA is due. Absent while down.",
    rekeyAt,
  );
  out.add("tungate_connection_established_total", "counter", "IKE SAs that came up.", established);
  out.add("tungate_connection_rekeys_total", "counter", "Rekeys of IKE SAs.", rekeyed);
  out.add("tungate_connection_failures_total", "counter", "Failures that concern the connection.", failed);
  out.add("tungate_connection_failed_tries", "gauge", "Failed tries in a row; 0 after a success.", failures);
}

interface ChildSeries {
  /** `connection/child`. */
  readonly key: string;
  readonly labels: string;
  readonly keep: string;
  readonly states: readonly ChildState[];
  /** Inbound SPIs of what carries its traffic. */
  readonly spis: readonly number[];
}

function childrenOf({ configuration, states }: MetricsInput): readonly ChildSeries[] {
  const series = new Map<string, { connection: string; child: string; keep: string; states: ChildState[] }>();
  for (const { connection, children } of states)
    for (const child of children) {
      const key = `${connection}/${child.name}`;
      const known = series.get(key);
      if (known !== undefined) known.states.push(child);
      else series.set(key, { connection, child: child.name, keep: child.keep, states: [child] });
    }
  const negotiated = [...series].map(([key, { connection, child, keep, states: all }]) => ({
    key,
    labels: labelText({ connection, child }),
    keep,
    states: all,
    spis: all.flatMap(spisOf),
  }));
  const manual = configuration.manual.map(({ connection, name, inbound }) => ({
    key: `${connection}/${name}`,
    labels: labelText({ connection, child: name }),
    keep: "manual",
    states: [],
    spis: [inbound.spi],
  }));
  return [...negotiated, ...manual];
}

function spisOf({ sa, parts = [], siblings = [] }: ChildState): number[] {
  return [
    ...new Set([...(sa === undefined ? [] : [sa]), ...parts, ...siblings].map((one) => one.inboundSpi)),
  ];
}

function addChildren(out: Exposition, input: MetricsInput, children: readonly ChildSeries[]): void {
  const pairs = new Map<number, SaPairState>(input.pairs.map((pair) => [pair.inboundSpi, pair]));
  const up: Sample[] = [];
  const sas: Sample[] = [];
  const createdAt: Sample[] = [];
  const rekeyAt: Sample[] = [];
  const mtus: Sample[] = [];
  const established: Sample[] = [];
  const rekeyed: Sample[] = [];
  for (const { key, labels, keep, states, spis } of children) {
    const found = spis.flatMap((spi) => pairs.get(spi) ?? []);
    const isUp = keep === "manual" ? found.length > 0 : states.some(({ state }) => state === "up");
    up.push([`${labels.slice(0, -1)},keep="${keep}"}`, isUp ? 1 : 0]);
    sas.push([labels, found.length]);
    if (found.length > 0)
      mtus.push([
        labels,
        Math.min(...found.map((pair) => (carriesAnySize(pair) ? Infinity : innerMtu(pair).inner))),
      ]);
    if (keep === "manual") continue;
    const tally = input.tally(key);
    established.push([labels, tally.established]);
    rekeyed.push([labels, tally.rekeyed]);
    const current = states.flatMap(({ sa, parts = [], siblings = [] }) => [
      ...(sa === undefined ? [] : [sa]),
      ...parts,
      ...siblings,
    ]);
    if (current.length === 0) continue;
    createdAt.push([labels, timestamp(Math.min(...current.map(({ upSince }) => upSince)), input)]);
    rekeyAt.push([labels, timestamp(Math.min(...current.map((sa) => sa.rekeyAt)), input)]);
  }
  out.add("tungate_child_up", "gauge", "Whether an SA carries the child's traffic; keep as configured.", up);
  out.add(
    "tungate_child_sas",
    "gauge",
    "SA pairs that carry it: one, or one per class, lane, part or peer.",
    sas,
  );
  out.add(
    "tungate_child_sa_created_timestamp_seconds",
    "gauge",
    "When its oldest SA was made; a rekey makes a new one. Absent while down.",
    createdAt,
  );
  out.add(
    "tungate_child_rekey_timestamp_seconds",
    "gauge",
    "When the next rekey of one of its SAs is due. Absent while down.",
    rekeyAt,
  );
  out.add(
    "tungate_child_inner_mtu_bytes",
    "gauge",
    "Largest inner packet; +Inf where packets of any size are carried in pieces.",
    mtus,
  );
  out.add("tungate_child_established_total", "counter", "SAs that came up; rekeys not counted.", established);
  out.add("tungate_child_rekeys_total", "counter", "Rekeys of the child's SAs.", rekeyed);
}

function carriesAnySize({ flow }: SaPairState): boolean {
  return flow.aggfrag !== "off";
}

/** Per direction: family of packets, family of octets, how much of each. */
const DIRECTIONS = [
  ["receive", "inboundPackets", "inboundOctets", "arrived through the child and were authentic"],
  ["transmit", "outboundPackets", "outboundOctets", "left through the child"],
] as const;

function addTraffic(out: Exposition, { traffic }: MetricsInput, children: readonly ChildSeries[]): void {
  for (const [direction, packets, octets, words] of DIRECTIONS) {
    const samples = (field: keyof Traffic): Sample[] =>
      children.map(({ key, labels }) => [labels, traffic.get(key)?.[field] ?? 0]);
    const name = `tungate_child_${direction}`;
    out.add(`${name}_packets_total`, "counter", `Packets that ${words}.`, samples(packets));
    out.add(
      `${name}_bytes_total`,
      "counter",
      `Octets that ${words}, as the SA's lifetime counts them.`,
      samples(octets),
    );
  }
}

function addLoss(out: Exposition, { pairs, loss }: MetricsInput, children: readonly ChildSeries[]): void {
  const bySpi = new Map<number, SaPairState>(pairs.map((pair) => [pair.inboundSpi, pair]));
  const ratios = children.map(({ labels, spis }): Sample | undefined => {
    const recent = spis
      .flatMap((spi) => bySpi.get(spi) ?? [])
      .flatMap((pair) => loss(pair)?.recent ?? [])
      .filter(({ sent }) => sent > 0);
    return recent.length === 0
      ? undefined
      : [labels, Math.max(...recent.map(({ sent, lost }) => lost / sent))];
  });
  out.add(
    "tungate_child_receive_loss_ratio",
    "gauge",
    "Part of the peer's packets that did not arrive within the last minute, by gaps in their numbers; absent without any.",
    ratios.filter((sample) => sample !== undefined),
  );
}

function addCertificates(out: Exposition, { certificates }: MetricsInput): void {
  out.add(
    "tungate_certificate_expiry_timestamp_seconds",
    "gauge",
    "End of the validity of a configured certificate, by its place in the configuration.",
    certificates.map(({ connection, use, number, notAfter }) => [
      labelText({ connection, use, number }),
      notAfter / 1000,
    ]),
  );
}

function timestamp(at: number, { now, wallClock }: MetricsInput): number {
  return Math.round(wallClock + at - now) / 1000;
}
