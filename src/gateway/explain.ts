/**
 * What becomes of a packet, step by step and in both directions: route, forwarding, policy, SA, size, and what happened to the last
 * such packet. A decision over a snapshot; it asks nobody and changes nothing.
 */

import { equal } from "../base/bytes.ts";
import type { Instant } from "../base/instant.ts";
import type { IpAddress } from "../base/ip-address.ts";
import type { Spi } from "../base/spi.ts";
import type { DropTrace } from "../dataplane/drop-record.ts";
import type { ChildSaState, ChildState, ConnectionState } from "../ike/connection-state.ts";
import type { ConfigurationPlace } from "../policy/connection.ts";
import type { Encapsulation, PolicyName } from "../policy/data-plane.ts";
import { matchSelectors, type PacketView, type SelectorField } from "../policy/selector-match.ts";
import type { SpdEntry } from "../policy/spd.ts";
import type { SelectorPair } from "../policy/traffic-selector.ts";
import type { InterfaceSpd } from "./interface-spd.ts";

/** What somebody asks about; what is absent may be anything. */
export interface AskedPacket {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly protocol?: number;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
}

/** A packet seen from the gateway: which of its ends is behind us, and what policy says. */
export interface Orientation {
  /** The packet asked about leaves through a tunnel, or would come in through one. */
  readonly direction: "out" | "in";
  readonly packet: PacketView;
  /** The TUN device whose policy matches; absent: none does. */
  readonly device?: string;
  readonly entry?: SpdEntry;
  /** False: it depends on protocol or ports that were not said. */
  readonly isCertain: boolean;
}

export type RouteFact =
  /** `isTunnel`: one of our TUN devices. */
  | { readonly kind: "link"; readonly name: string; readonly isTunnel: boolean; readonly gateway?: IpAddress }
  | { readonly kind: "local" }
  | { readonly kind: "refused"; readonly code: string };

/** A child with manual keys, as far as it matters here. */
export interface ManualFact {
  readonly policy: PolicyName;
  readonly selectors: SelectorPair;
  readonly inboundSpi: Spi;
  readonly outboundSpi: Spi;
}

export interface ExplainSnapshot {
  readonly orientation: Orientation;
  readonly spds: readonly InterfaceSpd[];
  /** The end behind us is this host itself. */
  readonly isLocalOwn: boolean;
  /** Where the kernel sends the packet from the local to the remote end. */
  readonly routeOut: RouteFact;
  /** Where it sends what comes out of the tunnel for the local end; absent: no tunnel is meant. */
  readonly routeIn?: RouteFact;
  /** Switches of the kernel that have to be on and are not, as sysctl names them. */
  readonly forwardingOff: readonly string[];
  readonly states: readonly ConnectionState[];
  readonly manual: readonly ManualFact[];
  /** Inner MTU of an SA, by its inbound SPI. */
  readonly innerMtu: (inboundSpi: Spi) => number | undefined;
  readonly drops: readonly DropTrace[];
  readonly now: Instant;
}

export type SaFact = Pick<ChildSaState, "inboundSpi" | "outboundSpi"> & {
  readonly encapsulation?: Encapsulation;
  readonly remote?: IpAddress;
  readonly upSince?: Instant;
};

export interface NearEntry {
  readonly entry: SpdEntry;
  readonly differs: readonly SelectorField[];
}

export type ExplainStep =
  | { readonly step: "route"; readonly way: "out" | "in"; readonly route: RouteFact }
  | { readonly step: "forwarding"; readonly missing: readonly string[] }
  | { readonly step: "policy"; readonly entry: SpdEntry; readonly isCertain: boolean }
  | { readonly step: "noPolicy"; readonly nearest?: NearEntry }
  | { readonly step: "sa"; readonly way: "out" | "in"; readonly policy: PolicyName; readonly sa: SaFact }
  | { readonly step: "noSa"; readonly connection: string; readonly child: ChildState }
  | { readonly step: "noManualSa"; readonly policy: PolicyName }
  /** The child is up, and its SAs do not carry this: the peer took a part of the selectors. */
  | { readonly step: "narrowed"; readonly policy: PolicyName; readonly carried: readonly SelectorPair[] }
  | { readonly step: "size"; readonly innerMtu: number }
  | { readonly step: "drops"; readonly drops: readonly DropTrace[] };

/** What becomes of such a packet now. */
export type Fate =
  /** Sealed and sent, or handed to the host or on to the network behind it. */
  | "protected"
  | "delivered"
  /** It waits for an SA, which it brings about. */
  | "held"
  | "dropped"
  /** The kernel sends it elsewhere, in clear. */
  | "clear"
  /** Nothing comes before there is an SA. */
  | "waits";

export interface Way {
  readonly steps: readonly ExplainStep[];
  readonly fate: Fate;
}

/** What to do about the first thing that is in the way. */
export type NextStep =
  | {
      readonly kind: "routeElsewhere";
      readonly device: string;
      readonly remote: IpAddress;
      readonly policy: PolicyName;
    }
  | { readonly kind: "noRoute"; readonly to: IpAddress; readonly code: string }
  | { readonly kind: "forwarding"; readonly switches: readonly string[] }
  | { readonly kind: "addSelector"; readonly nearest: NearEntry }
  | { readonly kind: "discarded" | "bypassInTunnel"; readonly place?: ConfigurationPlace }
  | { readonly kind: "bringUp"; readonly connection: string; readonly child: ChildState }
  | { readonly kind: "negotiated"; readonly policy: PolicyName }
  | { readonly kind: "reversePath"; readonly device: string }
  | { readonly kind: "notOurs" };

export interface Explanation {
  readonly orientation: Orientation;
  readonly out: Way;
  /** Absent where no tunnel is meant. */
  readonly in?: Way;
  readonly next?: NextStep;
}

/** Looks at policy alone: whoever takes the snapshot has to know which routes to ask for. */
export function orient(asked: AskedPacket, spds: readonly InterfaceSpd[]): Orientation {
  const { source, destination, protocol, sourcePort, destinationPort } = asked;
  const open = protocol === undefined ? {} : { protocol };
  const out: PacketView = {
    local: source,
    remote: destination,
    ...open,
    ...(sourcePort === undefined ? {} : { localPort: sourcePort }),
    ...(destinationPort === undefined ? {} : { remotePort: destinationPort }),
  };
  const back: PacketView = {
    local: destination,
    remote: source,
    ...open,
    ...(destinationPort === undefined ? {} : { localPort: destinationPort }),
    ...(sourcePort === undefined ? {} : { remotePort: sourcePort }),
  };
  const isProtected = (one: Orientation) => one.entry?.action === "protect";
  const leaving = decide(out, "out", spds);
  if (isProtected(leaving)) return leaving;
  const coming = decide(back, "in", spds);
  if (isProtected(coming)) return coming;
  return leaving.entry !== undefined || coming.entry === undefined ? leaving : coming;
}

/**
 * The first match of the first device that has one, PROTECT before others; where something was left open, the first that
 * matches whatever it is, for most packets are no exceptions.
 */
function decide(packet: PacketView, direction: "out" | "in", spds: readonly InterfaceSpd[]): Orientation {
  let found: Orientation = { direction, packet, isCertain: true };
  for (const { interface: device, entries } of spds) {
    const possible = entries
      .map((entry) => ({ entry, ...matchSelectors(entry.selectors, packet) }))
      .filter(({ differs }) => differs.length === 0);
    const [first] = possible;
    const match = possible.find((one) => one.isCertain) ?? first;
    if (match === undefined) continue;
    const { entry } = match;
    const isCertain = match === first && match.isCertain;
    if (found.entry === undefined || (found.entry.action !== "protect" && entry.action === "protect"))
      found = { direction, packet, device, entry, isCertain };
  }
  return found;
}

export function explain(snapshot: ExplainSnapshot): Explanation {
  const { orientation } = snapshot;
  const out = explainOut(snapshot);
  const back = orientation.entry?.action === "protect" ? explainIn(snapshot) : undefined;
  const next = out.next ?? back?.next;
  return {
    orientation,
    out: out.way,
    ...(back === undefined ? {} : { in: back.way }),
    ...(next === undefined ? {} : { next }),
  };
}

interface Explained {
  readonly way: Way;
  readonly next?: NextStep;
}

function explainOut(snapshot: ExplainSnapshot): Explained {
  const { orientation, routeOut, forwardingOff, isLocalOwn } = snapshot;
  const steps: ExplainStep[] = [{ step: "route", way: "out", route: routeOut }];
  if (!isLocalOwn) steps.push({ step: "forwarding", missing: forwardingOff });
  const policy = policyStep(snapshot);
  steps.push(policy);
  const child =
    policy.step === "policy" && policy.entry.action === "protect" ? saStep(snapshot, "out") : undefined;
  if (child !== undefined) steps.push(child);
  const innerMtu = child?.step === "sa" ? snapshot.innerMtu(child.sa.inboundSpi) : undefined;
  if (innerMtu !== undefined) steps.push({ step: "size", innerMtu });
  steps.push({ step: "drops", drops: dropsOf(snapshot, "out") });
  return {
    way: { steps, fate: fateOut(snapshot, policy, child) },
    ...nextOut(orientation, snapshot, policy, child),
  };
}

function policyStep({
  orientation,
  spds,
}: ExplainSnapshot): ExplainStep & { readonly step: "policy" | "noPolicy" } {
  const { entry, isCertain, packet } = orientation;
  if (entry !== undefined) return { step: "policy", entry, isCertain };
  const nearest = nearestEntry(spds, packet);
  return nearest === undefined ? { step: "noPolicy" } : { step: "noPolicy", nearest };
}

/** The PROTECT entry that the least keeps from matching, where an address weighs more than a port; of equal ones the first. */
function nearestEntry(spds: readonly InterfaceSpd[], packet: PacketView): NearEntry | undefined {
  let nearest: NearEntry | undefined;
  for (const { entries } of spds)
    for (const entry of entries) {
      if (entry.action !== "protect") continue;
      const { differs } = matchSelectors(entry.selectors, packet);
      if (nearest === undefined || distance(differs) < distance(nearest.differs))
        nearest = { entry, differs };
    }
  return nearest !== undefined && distance(nearest.differs) <= NEAR_MAX ? nearest : undefined;
}

function distance(differs: readonly SelectorField[]): number {
  const isAddress = (field: SelectorField) => field === "localAddress" || field === "remoteAddress";
  return differs.reduce((sum, field) => sum + (isAddress(field) ? ADDRESS_WEIGHT : 1), 0);
}

const ADDRESS_WEIGHT = 3;

/** One address and little else. */
const NEAR_MAX = 4;

type SaStep = ExplainStep & { readonly step: "sa" | "noSa" | "noManualSa" | "narrowed" };

/** Which SA carries it, or why none does. */
function saStep({ orientation, states, manual }: ExplainSnapshot, way: "out" | "in"): SaStep | undefined {
  const policy = orientation.entry?.policy?.name;
  if (policy === undefined) return undefined;
  const byHand = manual.find((child) => child.policy === policy);
  if (byHand !== undefined) return { step: "sa", way, policy, sa: byHand };
  const children = states.flatMap((state) =>
    state.children
      .filter((child) => child.policy === policy)
      .map((child) => ({ connection: state.name, child })),
  );
  const carried: SelectorPair[] = [];
  for (const { child } of children)
    for (const sa of [child.sa, ...(child.parts ?? []), ...(child.siblings ?? [])]) {
      if (sa === undefined) continue;
      carried.push(sa.selectors);
      if (matchSelectors(sa.selectors, orientation.packet).differs.length > 0) continue;
      const { inboundSpi, outboundSpi, encapsulation, remote, upSince } = sa;
      return {
        step: "sa",
        way,
        policy,
        sa: { inboundSpi, outboundSpi, encapsulation, remote: remote.address, upSince },
      };
    }
  if (carried.length > 0) return { step: "narrowed", policy, carried };
  const [first] = children;
  return first === undefined ? { step: "noManualSa", policy } : { step: "noSa", ...first };
}

function fateOut(
  { routeOut, forwardingOff, isLocalOwn }: ExplainSnapshot,
  policy: ExplainStep,
  child?: SaStep,
): Fate {
  if (routeOut.kind === "local") return "delivered";
  if (!isLocalOwn && forwardingOff.length > 0) return "dropped";
  if (routeOut.kind === "refused") return "dropped";
  if (!routeOut.isTunnel) return "clear";
  if (policy.step !== "policy" || policy.entry.action !== "protect") return "dropped";
  if (child?.step === "sa") return "protected";
  return child?.step === "noSa" && mayComeUp(child.child) ? "held" : "dropped";
}

/** A packet asks for an SA unless the operator has taken it down; whether one comes of it is another question. */
function mayComeUp({ waitsFor, lastFailure }: ChildState): boolean {
  return (
    waitsFor !== "operator" && waitsFor !== "peer" && (waitsFor === "packet" || lastFailure === undefined)
  );
}

function nextOut(
  { device, packet, entry }: Orientation,
  { routeOut, forwardingOff, isLocalOwn }: ExplainSnapshot,
  policy: ExplainStep,
  child: SaStep | undefined,
): { readonly next?: NextStep } {
  if (policy.step === "noPolicy") {
    if (policy.nearest !== undefined) return { next: { kind: "addSelector", nearest: policy.nearest } };
    return { next: { kind: "notOurs" } };
  }
  const place = entry?.place === undefined ? {} : { place: entry.place };
  if (entry?.action === "discard") return { next: { kind: "discarded", ...place } };
  if (entry?.action === "bypass")
    return routeOut.kind === "link" && routeOut.isTunnel
      ? { next: { kind: "bypassInTunnel", ...place } }
      : {};
  if (!isLocalOwn && forwardingOff.length > 0)
    return { next: { kind: "forwarding", switches: forwardingOff } };
  if (routeOut.kind === "refused")
    return { next: { kind: "noRoute", to: packet.remote, code: routeOut.code } };
  if (routeOut.kind === "link" && !routeOut.isTunnel && device !== undefined && entry?.policy !== undefined)
    return { next: { kind: "routeElsewhere", device, remote: packet.remote, policy: entry.policy.name } };
  if (child?.step === "noSa")
    return { next: { kind: "bringUp", connection: child.connection, child: child.child } };
  if (child?.step === "narrowed") return { next: { kind: "negotiated", policy: child.policy } };
  return {};
}

function explainIn(snapshot: ExplainSnapshot): Explained {
  const { routeIn, isLocalOwn, forwardingOff, orientation } = snapshot;
  const sa = saStep(snapshot, "in");
  const steps: ExplainStep[] = sa === undefined ? [] : [sa];
  if (routeIn !== undefined) steps.push({ step: "route", way: "in", route: routeIn });
  steps.push({ step: "drops", drops: dropsOf(snapshot, "in") });
  const isBlocked = !isLocalOwn && forwardingOff.length > 0;
  const isDelivered = routeIn?.kind === "local" || (routeIn?.kind === "link" && !routeIn.isTunnel);
  const arrives: Fate = isDelivered && !isBlocked ? "delivered" : "dropped";
  const fate = sa?.step === "sa" ? arrives : sa?.step === "narrowed" ? "dropped" : "waits";
  return { way: { steps, fate }, ...nextIn(orientation, routeIn) };
}

function nextIn({ device, packet }: Orientation, route: RouteFact | undefined): { readonly next?: NextStep } {
  if (route === undefined || device === undefined) return {};
  // The kernel's way to say that what comes from there has to come in elsewhere.
  if (route.kind === "refused" && route.code === "EXDEV") return { next: { kind: "reversePath", device } };
  if (route.kind === "refused") return { next: { kind: "noRoute", to: packet.local, code: route.code } };
  if (route.kind === "link" && route.isTunnel)
    return { next: { kind: "noRoute", to: packet.local, code: "ELOOP" } };
  return {};
}

/** Newest first: inner packets that are like the one asked about, and for the way in what came in ESP and was not opened. */
function dropsOf(
  { orientation, drops, states, manual }: ExplainSnapshot,
  way: "out" | "in",
): readonly DropTrace[] {
  const { local, remote, protocol, localPort, remotePort } = orientation.packet;
  const isOut = way === "out";
  const [source, destination] = isOut ? [local, remote] : [remote, local];
  const [sourcePort, destinationPort] = isOut ? [localPort, remotePort] : [remotePort, localPort];
  const isLike = (drop: DropTrace) =>
    drop.kind === (isOut ? "outbound" : "inbound") &&
    equal(drop.source, source) &&
    equal(drop.destination, destination) &&
    (protocol === undefined || drop.protocol === protocol) &&
    (sourcePort === undefined || drop.sourcePort === undefined || drop.sourcePort === sourcePort) &&
    (destinationPort === undefined ||
      drop.destinationPort === undefined ||
      drop.destinationPort === destinationPort);
  const spis = isOut ? new Set<number>() : inboundSpis(orientation, states, manual);
  const isOfSa = (drop: DropTrace) =>
    drop.kind === "datagram" && drop.spi !== undefined && spis.has(drop.spi);
  return drops
    .filter((drop) => isLike(drop) || isOfSa(drop))
    .sort((a, b) => b.lastAt - a.lastAt)
    .slice(0, DROPS_MAX);
}

const DROPS_MAX = 5;

function inboundSpis(
  { entry }: Orientation,
  states: readonly ConnectionState[],
  manual: readonly ManualFact[],
): ReadonlySet<number> {
  const policy = entry?.policy?.name;
  const children = states.flatMap((state) => state.children.filter((child) => child.policy === policy));
  const sas = children.flatMap(({ sa, parts = [], siblings = [], old }) => [
    ...(sa === undefined ? [] : [sa]),
    ...parts,
    ...siblings,
    ...old,
  ]);
  return new Set<number>(
    [...sas, ...manual.filter((one) => one.policy === policy)].map(({ inboundSpi }) => inboundSpi),
  );
}
