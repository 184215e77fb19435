/**
 * A gateway without I/O: the IKE machine, the data plane's records and the SPDs, put together. Everything happens inside
 * `handle`, in order: a responder's inbound SA is there before its answer leaves, the outbound one after it.
 */
import { concat } from "../base/bytes.ts";
import { assert } from "../base/errors.ts";
import { earlier, type Instant } from "../base/instant.ts";
import type { IpAddress } from "../base/ip-address.ts";
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import type { UnreachableReason, UnreachableReport } from "../base/unreachable-report.ts";
import type { DataPlane, SaPairState, SaTraffic } from "../dataplane/data-plane.ts";
import type { IkeDatagram, LaneUpcall } from "../dataplane/lane-options.ts";
import { quotedIke } from "../dataplane/quoted-ike.ts";
import type { ConnectionState } from "../ike/connection-state.ts";
import { fingerprint } from "../ike/fingerprint.ts";
import type { DescribedIkeMachine } from "../ike/ike-machine.ts";
import type { ExportedIkeKeys } from "../ike/key-export.ts";
import type { IkeAction, IkeCommand, JobId, PathProbe, Timeout, Work, WorkResult } from "../ike/machine.ts";
import type { IkeNotice } from "../ike/notice.ts";
import { type Fingerprints, fingerprintsOf, type Predecessor } from "../ike/predecessor.ts";
import type { TracedMessage } from "../ike/trace.ts";
import type { Connection } from "../policy/connection.ts";
import type { DataPlaneCommand, PolicyName } from "../policy/data-plane.ts";
import { keepNumbers, numbersGiven } from "../policy/peer-numbers.ts";
import { SadError } from "../policy/sad-error.ts";
import { type CompiledSpd, compileSpd } from "../policy/spd.ts";
import { NON_ESP_MARKER_LENGTH } from "../wire/esp/udp-encapsulation.ts";
import type { GatewayConfiguration, GatewayManualChild } from "./gateway-configuration.ts";
import { type InheritedNews, InheritedPairs } from "./inherited-pairs.ts";
import { type InterfaceSpd, interfaceSpds, policyNames } from "./interface-spd.ts";
import { ManualChildren, type ManualNews } from "./manual-children.ts";
import type { ManualNumbers } from "./manual-sa.ts";
import { PathMtus, type PathState, type ReportOutcome } from "./path-mtus.ts";
import type { Path, PathTable } from "./path-table.ts";

export type GatewayEvent =
  | { readonly kind: "datagram"; readonly datagram: IkeDatagram }
  | { readonly kind: "upcall"; readonly upcall: LaneUpcall }
  | { readonly kind: "timeout" }
  | { readonly kind: "computed"; readonly job: JobId; readonly result: WorkResult }
  | { readonly kind: "command"; readonly command: IkeCommand }
  | {
      readonly kind: "addManual";
      readonly child: GatewayManualChild;
      readonly local: IpAddress;
      readonly numbers: ManualNumbers;
    }
  | { readonly kind: "removeManual"; readonly policy: PolicyName }
  /** After {@link Gateway.setPaths}. */
  | { readonly kind: "pathsChanged" }
  /** This host did not let a datagram out, given as it was to leave. */
  | {
      readonly kind: "sendRefused";
      readonly datagram: {
        readonly local: UdpEndpoint;
        readonly remote: UdpEndpoint;
        readonly bytes: Uint8Array;
      };
      readonly reason: UnreachableReason;
    }
  /** `last` is on disk: the manual child may use numbers up to it. */
  | { readonly kind: "sequenceReserved"; readonly policy: PolicyName; readonly last: number };

export type GatewayEffect =
  /** Octets as they leave: IKE from the NAT port has its non-ESP marker [NAT-04]; a keepalive is one octet. */
  | {
      readonly kind: "send";
      readonly local: UdpEndpoint;
      readonly remote: UdpEndpoint;
      readonly bytes: Uint8Array;
      /** Nobody on the way may fragment it. */
      readonly dontFragment?: true;
      /** Over IPv6: in fragments that every path carries, if it is longer. */
      readonly inFragments?: true;
    }
  /** The way to a peer carries another size than before: routes have to say so. */
  | { readonly kind: "pathMtuChanged"; readonly remote: IpAddress; readonly state: PathState }
  | { readonly kind: "compute"; readonly job: JobId; readonly work: Work }
  | { readonly kind: "notice"; readonly notice: IkeNotice }
  /** An IKE message passed, in clear; not for keeping. */
  | { readonly kind: "message"; readonly message: TracedMessage }
  | { readonly kind: "audit"; readonly audit: Extract<LaneUpcall, { kind: "audit" }> }
  /** After `reserveSequence` reserve more numbers, then feed `sequenceReserved`. */
  | ManualNews
  /** What became of an SA pair that another process had left. */
  | InheritedNews
  /** The SA table did not take what IKE had negotiated. */
  | { readonly kind: "tableRefused"; readonly command: DataPlaneCommand["kind"]; readonly reason: string }
  /** SAs came, changed or went: lanes have to look. */
  | { readonly kind: "wakeLanes" };

/** What another process left besides the SAs in the data plane. */
export type GatewayPredecessor = Omit<Predecessor, "pairs">;

export interface GatewayOptions {
  readonly machine: DescribedIkeMachine;
  readonly dataPlane: DataPlane;
  readonly paths: PathTable;
  readonly natPort: number;
}

export type Perform = (effect: GatewayEffect) => void;

const NON_ESP_MARKER = new Uint8Array(NON_ESP_MARKER_LENGTH);
const KEEPALIVE = Uint8Array.of(0xff);

export class Gateway {
  readonly #machine: DescribedIkeMachine;
  readonly #dataPlane: DataPlane;
  readonly #paths: PathTable;
  readonly #natPort: number;
  readonly #manual: ManualChildren;
  readonly #inherited: InheritedPairs;
  readonly #pathMtus: PathMtus;
  /** Wanted of the machine when it has said what it had to say. */
  readonly #probes: PathProbe[] = [];
  readonly #pathChanges: Extract<GatewayEffect, { kind: "pathMtuChanged" }>[] = [];
  #spds: readonly InterfaceSpd[] = [];
  #policies: readonly PolicyName[];
  #connections: readonly Connection[] = [];
  /** Numbers of peers, also of those that are gone: in logs and statistics they stay theirs. */
  #numbersGiven: ReadonlyMap<string, number> = new Map();
  #isBusy = false;

  constructor({ machine, dataPlane, paths, natPort }: GatewayOptions) {
    this.#machine = machine;
    this.#dataPlane = dataPlane;
    this.#paths = paths;
    this.#natPort = natPort;
    this.#pathMtus = new PathMtus({
      dataPlane,
      paths,
      probe: (probe) => this.#probes.push(probe),
      onChange: (remote, state) => this.#pathChanges.push({ kind: "pathMtuChanged", remote, state }),
    });
    this.#manual = new ManualChildren(dataPlane, natPort);
    this.#inherited = new InheritedPairs(dataPlane);
    this.#policies = [...dataPlane.policies().keys()];
    this.#pathMtus.inherit(dataPlane.pairs());
  }

  /**
   * Feeds one event; `perform` is called for each effect at its place in the order and must not call back.
   * Never throws for what a peer sent.
   */
  handle(event: GatewayEvent, now: Instant, perform: Perform): void {
    this.#exclusively(() => this.#take(event, now, perform));
  }

  /**
   * Takes over the policies of a configuration.
   * @returns one SPD per TUN device; hand them to every lane before {@link setConnections}
   * @throws {@link SadError} when the table has no room for so many policies; nothing has changed then
   */
  setPolicies(configuration: GatewayConfiguration): readonly CompiledSpd[] {
    const numbered = { ...configuration, connections: this.#numbered(configuration) };
    const names = policyNames(numbered);
    this.#spds = this.#interfaceSpds(numbered, names);
    const kept = new Set(names);
    for (const name of this.#policies) if (!kept.has(name)) this.#dataPlane.releasePolicy(name);
    this.#policies = names;
    return this.#spds.map(({ entries }) => compileSpd(entries));
  }

  /** What decides about packets, as it was compiled last. */
  spds(): readonly InterfaceSpd[] {
    return this.#spds;
  }

  #interfaceSpds(configuration: GatewayConfiguration, names: readonly PolicyName[]): readonly InterfaceSpd[] {
    try {
      return interfaceSpds(configuration, (name) => this.#dataPlane.policyIndex(name));
    } catch (error) {
      const known = new Set(this.#policies);
      for (const name of names) if (!known.has(name)) this.#dataPlane.releasePolicy(name);
      throw error;
    }
  }

  /**
   * Takes over the connections; IKE begins and ends what has to.
   * @param before - given with the first ones when another process has left SAs
   */
  setConnections(
    configuration: GatewayConfiguration,
    now: Instant,
    perform: Perform,
    before?: GatewayPredecessor,
  ): void {
    const known = this.#numbered(configuration).map(({ connection }) => connection);
    this.#connections = known;
    this.#numbersGiven = numbersGiven(known, this.#numbersGiven);
    this.#exclusively(() => {
      const pairs = this.#dataPlane.pairs();
      const left = before === undefined ? undefined : { ...before, pairs };
      this.#performActions(this.#machine.setConnections(known, now, left), now, perform);
      if (before !== undefined) this.#takeOver(configuration, before, now, perform);
      this.#lookAtPaths(now, perform);
    });
  }

  /** Pairs that no IKE SA came along with go on as long as the configuration is as it was. */
  #takeOver(
    configuration: GatewayConfiguration,
    { fingerprints, isOurs }: GatewayPredecessor,
    now: Instant,
    perform: Perform,
  ): void {
    const current = gatewayFingerprints(configuration, this.#connections).policies;
    const manual = new Set(configuration.manual.map(({ policy }) => policy));
    for (const pair of this.#dataPlane.pairs()) {
      const { policy, inboundSpi, local, remote } = pair;
      const isClaimed = this.#machine.claims(inboundSpi);
      const fits =
        isOurs(local) &&
        current.get(policy) !== undefined &&
        current.get(policy) === fingerprints.policies.get(policy);
      if (isClaimed || fits) this.#pathMtus.use(inboundSpi, remote.address, isClaimed, now);
      if (isClaimed || (fits && manual.has(policy))) continue;
      if (!fits && manual.has(policy)) this.#manual.noteUse(pair);
      if (fits) this.#inherited.take(pair);
      else this.#endInherited({ kind: "inherited", what: "unfit", policy, inboundSpi }, perform);
    }
    this.#pathMtus.forgetUnused();
    perform({ kind: "wakeLanes" });
  }

  #endInherited(news: InheritedNews, perform: Perform): void {
    if (news.what !== "renewed") {
      this.#dataPlane.execute({ kind: "removePair", inboundSpi: news.inboundSpi });
      this.#pathMtus.release(news.inboundSpi);
    }
    perform(news);
  }

  /** What the SAs depend on, for a process that comes after this one; without connections whose SAs are yet to follow. */
  fingerprints(configuration: GatewayConfiguration): Fingerprints {
    const connections = this.#numbered(configuration).map(({ connection }) => connection);
    return gatewayFingerprints(configuration, connections, (name) => this.#machine.isOutdated(name));
  }

  /** IKE SAs for a process that comes after this one; this gateway must not be used any more. */
  exportIkeSas(): readonly Uint8Array[] {
    return this.#machine.exportState();
  }

  /** What index of the SA table stands for which policy. */
  policyIndices(): ReadonlyMap<PolicyName, number> {
    return this.#dataPlane.policies();
  }

  /** Pairs that another process left and that wait for a successor. */
  inheritedCount(): number {
    return this.#inherited.waiting;
  }

  /** Connections whose tunnels would end with {@link setConnections}, since their peers are where it no longer looks. */
  movedAway(configuration: GatewayConfiguration): ReadonlySet<string> {
    return this.#machine.movedAway(this.#numbered(configuration).map(({ connection }) => connection));
  }

  /** Policies bear the numbers of peers in their names. */
  #numbered({ connections }: GatewayConfiguration): GatewayConfiguration["connections"] {
    return this.numbered(connections);
  }

  /** Connections of another configuration with the names that they would have here, see {@link keepNumbers}. */
  numbered<Configured extends { readonly connection: Connection }>(
    connections: readonly Configured[],
  ): readonly Configured[] {
    return keepNumbers(connections, this.#connections, this.#numbersGiven);
  }

  /** The host's routes and addresses are these now; feed `pathsChanged` afterwards. */
  setPaths(paths: ReadonlyMap<string, Path>, ownAddresses?: readonly IpAddress[]): void {
    this.#paths.set(paths, ownAddresses);
  }

  nextTimeout(): Timeout | undefined {
    const machine = this.#machine.nextTimeout();
    const at = earlier(this.#pathMtus.nextTimeout(), this.#inherited.nextTimeout());
    if (at === undefined || (machine !== undefined && machine.at <= at)) return machine;
    return { at, reason: "paths and inherited SAs" };
  }

  /** What the way to a peer carries; `undefined` while no SA uses it. */
  pathTo(remote: IpAddress): PathState | undefined {
    return this.#pathMtus.stateOf(remote);
  }

  /** ICMP about our packets that was not taken as it is, by what became of it. */
  pathReports(): ReadonlyMap<ReportOutcome, number> {
    return this.#pathMtus.outcomes();
  }

  describe(now: Instant, only?: string): readonly ConnectionState[] {
    return this.#machine.describe(now, only);
  }

  /** IKE messages dropped since the start, by reason. */
  ikeDrops(): ReadonlyMap<string, number> {
    return this.#machine.drops();
  }

  /** Keys of IKE SAs, for whoever may decrypt a capture. */
  ikeKeys(): readonly ExportedIkeKeys[] {
    return this.#machine.exportKeys();
  }

  /** IKE SAs in any state: zero after a shutdown that all peers have answered. */
  ikeSaCount(): number {
    return this.#machine.ikeSaCount();
  }

  /** IKE SAs by state; half-open are those whose peer has not yet shown who it is. */
  ikeSaCounts(): ReturnType<DescribedIkeMachine["ikeSaCounts"]> {
    return this.#machine.ikeSaCounts();
  }

  pairs(): readonly SaPairState[] {
    return this.#dataPlane.pairs();
  }

  /** What passed each pair, see {@link DataPlane.traffic}. */
  traffic(): readonly SaTraffic[] {
    return this.#dataPlane.traffic();
  }

  #take(event: GatewayEvent, now: Instant, perform: Perform): void {
    switch (event.kind) {
      case "datagram":
        this.#performActions(
          this.#machine.handle({ ...event.datagram, kind: "datagram" }, now),
          now,
          perform,
        );
        break;
      case "upcall":
        this.#takeUpcall(event.upcall, now, perform);
        break;
      case "timeout":
      case "computed":
      case "command":
        this.#performActions(this.#machine.handle(event, now), now, perform);
        break;
      case "pathsChanged":
        this.#pathMtus.setCeilings(now);
        this.#performActions(this.#machine.handle(event, now), now, perform);
        break;
      case "addManual":
        this.#manual.add(event.child, event.local, event.numbers);
        this.#pathMtus.use(event.child.inbound.spi, event.child.remoteAddress, false, now);
        perform({ kind: "wakeLanes" });
        break;
      case "removeManual": {
        const inboundSpi = this.#manual.remove(event.policy);
        if (inboundSpi !== undefined) this.#pathMtus.release(inboundSpi);
        perform({ kind: "wakeLanes" });
        break;
      }
      case "sendRefused": {
        const { remote, local, bytes } = event.datagram;
        const quoted = quotedIke(local.port === this.#natPort ? "nat" : "ike", bytes);
        if (quoted !== undefined)
          this.#takeUnreachable({ reason: event.reason, remote, quoted }, now, perform);
        break;
      }
      case "sequenceReserved":
        this.#manual.extend(event.policy, event.last);
        break;
    }
    for (const news of this.#inherited.advance(now)) this.#endInherited(news, perform);
    this.#lookAtPaths(now, perform);
    this.#dataPlane.reclaim();
  }

  /** Sends the probes that are due, and tells of paths that carry another size than before. */
  #lookAtPaths(now: Instant, perform: Perform): void {
    this.#pathMtus.advance(now);
    for (const probe of this.#probes.splice(0))
      this.#performActions(this.#machine.handle({ kind: "probePath", probe }, now), now, perform);
    const changes = this.#pathChanges.splice(0);
    for (const change of changes) perform(change);
    if (changes.length > 0) perform({ kind: "wakeLanes" });
  }

  #takeUpcall(upcall: LaneUpcall, now: Instant, perform: Perform): void {
    if (upcall.kind === "audit") {
      perform({ kind: "audit", audit: upcall });
      return;
    }
    if (upcall.kind === "pathReport") {
      this.#pathMtus.takeReport(upcall.report, now);
      return;
    }
    if (upcall.kind === "unreachable") {
      this.#takeUnreachable(upcall.report, now, perform);
      return;
    }
    const event = this.#dataPlane.event(upcall);
    if (event === undefined) return;
    const { isManual, news } = this.#manual.take(event);
    if (news !== undefined) perform(news);
    if (!isManual)
      this.#performActions(this.#machine.handle({ kind: "dataPlane", event }, now), now, perform);
  }

  #takeUnreachable(report: UnreachableReport, now: Instant, perform: Perform): void {
    this.#performActions(this.#machine.handle({ kind: "unreachable", report }, now), now, perform);
  }

  #performActions(actions: readonly IkeAction[], now: Instant, perform: Perform): void {
    let hasTableChanged = false;
    for (const action of actions) {
      switch (action.kind) {
        case "send":
          perform(this.#withMarker(action));
          break;
        case "sendKeepalive":
          perform({ kind: "send", local: action.local, remote: action.remote, bytes: KEEPALIVE });
          break;
        case "dataPlane":
          this.#execute(action.command, now, perform);
          hasTableChanged = true;
          break;
        case "pathProbed":
          this.#pathMtus.endProbe(action.probe, action.outcome, now);
          break;
        case "compute":
        case "notice":
        case "message":
          perform(action);
          break;
      }
    }
    if (hasTableChanged) perform({ kind: "wakeLanes" });
  }

  /** What the table refuses is said, and ends neither the daemon nor the other SAs. */
  #execute(command: DataPlaneCommand, now: Instant, perform: Perform): void {
    try {
      this.#dataPlane.execute(command);
      this.#notePath(command, now);
      if (command.kind === "addOutboundSa") {
        const renewed = this.#inherited.giveWay(command.sa.inboundSpi, now);
        for (const news of renewed) this.#endInherited(news, perform);
      }
    } catch (error) {
      if (!(error instanceof SadError)) throw error;
      perform({ kind: "tableRefused", command: command.kind, reason: error.message });
    }
  }

  #notePath(command: DataPlaneCommand, now: Instant): void {
    if (command.kind === "addOutboundSa")
      this.#pathMtus.use(command.sa.inboundSpi, command.sa.remote.address, true, now);
    else if (command.kind === "moveSa")
      this.#pathMtus.use(command.inboundSpi, command.remote.address, true, now);
    else if (command.kind === "removePair") this.#pathMtus.release(command.inboundSpi);
  }

  #withMarker(sending: Extract<IkeAction, { kind: "send" }>): Extract<GatewayEffect, { kind: "send" }> {
    if (sending.local.port !== this.#natPort) return sending;
    return { ...sending, bytes: concat(NON_ESP_MARKER, sending.bytes) };
  }

  #exclusively(work: () => void): void {
    assert(!this.#isBusy, "the gateway was called from within one of its effects");
    this.#isBusy = true;
    try {
      work();
    } finally {
      this.#isBusy = false;
    }
  }
}

function gatewayFingerprints(
  { manual }: GatewayConfiguration,
  connections: readonly Connection[],
  outdated?: (connection: string) => boolean,
): Fingerprints {
  const negotiated = fingerprintsOf(connections, outdated);
  const given = manual.map(({ place: _, ...child }) => [child.policy, fingerprint(child)] as const);
  return { ...negotiated, policies: new Map([...negotiated.policies, ...given]) };
}
