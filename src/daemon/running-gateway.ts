/** A gateway that runs: started in the order in which nothing leaves in clear, and ended in the reverse one. */
import { formatIpAddress, type IpAddress } from "../base/ip-address.ts";
import type { Configuration } from "../config/configuration.ts";
import type { StatusDocument } from "../control/schema.ts";
import type { SaPairState, SaTraffic } from "../dataplane/data-plane.ts";
import type { LaneUpcall } from "../dataplane/lane-options.ts";
import type { Gateway, GatewayPredecessor } from "../gateway/gateway.ts";
import type { GatewayConfiguration } from "../gateway/gateway-configuration.ts";
import type { PathState } from "../gateway/path-mtus.ts";
import type { ConnectionState } from "../ike/connection-state.ts";
import type { IkeCommand } from "../ike/machine.ts";
import type { IkeNotice } from "../ike/notice.ts";
import type { Clock } from "../io/clock.ts";
import type { DescriptorStore } from "../io/descriptor-store.ts";
import { createNameResolver } from "../io/dns.ts";
import type { IoError } from "../io/io-error.ts";
import { lockFile } from "../io/native-process.ts";
import { keySource } from "./capture-keys.ts";
import { captureScope } from "./capture-scope.ts";
import type { CapturedGateway } from "./captures.ts";
import { Cleanup } from "./cleanup.ts";
import type { DaemonLog } from "./daemon-log.ts";
import { gatewayConfiguration, remoteNames } from "./effective-configuration.ts";
import type { ExplainSource } from "./explain.ts";
import { type Fitted, fitting } from "./fitting.ts";
import { systemSwitchBoard } from "./forwarding.ts";
import { type ForwardedEffect, GatewayLoop } from "./gateway-loop.ts";
import { HostRoutes } from "./host-routes.ts";
import { Keeping } from "./keeping.ts";
import { KeyFiles } from "./key-files.ts";
import { Lanes } from "./lanes.ts";
import { ManualKeys } from "./manual-keys.ts";
import { findMeans, type Means } from "./means.ts";
import { offloadStates } from "./offloads.ts";
import type { OutgoingDatagram } from "./outer-sockets.ts";
import { PlacedManual } from "./placed-manual.ts";
import { predecessorOf, sayTaken } from "./predecessor-facts.ts";
import { RemoteNames } from "./remote-names.ts";
import { groundOf, laneOffloads, openResources, type Resources } from "./resources.ts";
import { wipeSecrets } from "./secrets.ts";
import type { TakenOver } from "./take-over.ts";
import type { GivenAddress } from "./tun-addresses.ts";

/** Peers have so long to answer our deletes. */
const GOODBYE_MS = 2_000;
const GOODBYE_LOOK_MS = 20;

export interface RunningGatewayOptions {
  readonly configuration: Configuration;
  /** Reads it anew, for renewed certificates and keys. @throws {ConfigError} */
  readonly load: () => Promise<Configuration>;
  readonly clock: Clock;
  readonly log: DaemonLog;
  /** What the gateway has to tell, in order. */
  readonly onEffect: (effect: ForwardedEffect) => void;
  /** A datagram left, or did not for the reason that is given. */
  readonly onSent: (datagram: OutgoingDatagram, failure: string | undefined) => void;
  /** States may have changed. */
  readonly onTurn: () => void;
  /** A lane is gone: the process has to end. */
  readonly onFatal: (error: IoError) => void;
  readonly store: DescriptorStore;
  /** What the process before this one left, its lanes running again. */
  readonly taken?: TakenOver;
}

export class RunningGateway {
  readonly #options: RunningGatewayOptions;
  readonly #cleanup: Cleanup;
  readonly #resources: Resources;
  readonly #lanes: Lanes;
  readonly #loop: GatewayLoop;
  readonly #routes: HostRoutes;
  readonly #names: RemoteNames;
  readonly #keyFiles: KeyFiles;
  readonly #manual: PlacedManual;
  readonly #keeping: Keeping;
  /** Acquires that came while policies are already another configuration's and connections are not. */
  #held: LaneUpcall[] | undefined;
  /** With the certificates and keys of now. */
  #configuration: Configuration;
  /** No SA rests on settings that have changed since. */
  #isSettled = true;
  readonly #unresolved = new Map<string, string>();
  readonly #means: Means;
  readonly #taken: TakenOver | undefined;

  /** @throws {IoError} with everything closed again */
  static async start(options: RunningGatewayOptions): Promise<RunningGateway> {
    const cleanup = new Cleanup();
    const { configuration, store, log } = options;
    const means = findMeans(store.given, options.taken);
    const fitted = options.taken && (await fitting(options.taken, configuration, store, log, means));
    try {
      const running = new RunningGateway(options, cleanup, means, fitted);
      await running.#start();
      return running;
    } catch (error) {
      await cleanup.run();
      fitted?.takeBack();
      throw error;
    }
  }

  private constructor(
    options: RunningGatewayOptions,
    cleanup: Cleanup,
    means: Means,
    fitted: Fitted | undefined,
  ) {
    this.#options = options;
    this.#cleanup = cleanup;
    this.#means = means;
    const taken = fitted?.taken;
    this.#taken = taken;
    const { configuration, clock } = options;
    this.#configuration = configuration;
    this.#resources = openResources(
      configuration,
      clock,
      cleanup,
      () => void this.#routes.refresh().catch(this.#onFailedLook),
      () => this.#configuration.gateway,
      means,
      taken,
    );
    fitted?.commit();
    this.#loop = this.#makeLoop();
    this.#manual = new PlacedManual({
      keys: new ManualKeys(lockFile),
      feed: (event) => this.#loop.feed(event),
      localAddressFor: (remote) => this.#resources.parts.paths.localAddressFor(remote),
      log: options.log,
    });
    cleanup.add("gateway loop", this.#loop, (loop) => loop.stop());
    this.#lanes = this.#makeLanes();
    cleanup.add("lanes", this.#lanes, (lanes) => lanes.stop());
    this.#keeping = this.#keep();
    cleanup.add("kept state", this.#keeping, (keeping) => keeping.close());
    this.#routes = this.#makeRoutes();
    cleanup.add("routes", this.#routes, (routes) => routes.close());
    this.#names = new RemoteNames({
      names: remoteNames(configuration),
      resolve: createNameResolver(),
      onChange: () => this.#onNames(),
      onRecovery: (name) => this.#unresolved.delete(name),
      onFailure: (name, reason) => this.#onUnresolved(name, reason),
    });
    cleanup.add("names", this.#names, (names) => names.close());
    const { load, log } = options;
    const onRenewed = (renewed: Configuration) => this.#onRenewed(renewed);
    this.#keyFiles = new KeyFiles({ configuration, load, log, onRenewed });
    cleanup.add("key files", this.#keyFiles, (files) => files.close());
  }

  /** Policy in the lanes first, so that what routes bring them is held; then guards and routes, then IKE. */
  async #start(): Promise<void> {
    this.#lanes.setSpds(this.#gateway.setPolicies(this.#effective()));
    await Promise.all([this.#routes.refresh(), this.#lanes.ready()]);
    this.#setConnections(predecessorOf(this.#taken, this.#configuration.gateway));
    sayTaken(this.#taken, this.pairs().length, this.#gateway.inheritedCount(), this.#options.log);
    this.#manual.place(this.#configuration.manual);
  }

  /** The SAs follow, or end. */
  #setConnections(before?: GatewayPredecessor): void {
    const effective = this.#effective();
    this.#loop.setConnections(effective, before);
    this.#settle(effective);
  }

  #settle(effective = this.#effective()): void {
    const fingerprints = this.#gateway.fingerprints(effective);
    this.#isSettled = fingerprints.connections.size === effective.connections.length;
    this.#keeping.settle(fingerprints);
  }

  get configuration(): Configuration {
    return this.#configuration;
  }

  #keep(): Keeping {
    const { configuration, store } = this.#options;
    const keeping = new Keeping({
      store,
      resources: this.#resources,
      ground: groundOf(configuration, this.#resources, this.#means),
      taken: this.#taken,
      given: this.#givenBefore(),
      policies: () => this.#gateway.policyIndices(),
    });
    this.#lanes.keepOrders((orders) => keeping.save(orders));
    return keeping;
  }

  /** Another configuration with the numbers that its peers have here. */
  numbered(configuration: Configuration): Configuration {
    return { ...configuration, connections: this.#gateway.numbered(configuration.connections) };
  }

  /** Connections whose tunnels another configuration would end, since their peers are where it no longer looks. */
  movedAway(configuration: Configuration): ReadonlySet<string> {
    return this.#gateway.movedAway(this.#withAddresses(configuration));
  }

  /**
   * Takes another configuration over, as a whole or not at all; what does not change goes on without a pause. Both keep their
   * secrets: whoever called wipes those of the one that does not run.
   * @throws {TungateError} why it was not taken; what ran before runs again
   */
  async apply(configuration: Configuration): Promise<void> {
    const former = this.#configuration;
    try {
      await this.#take(configuration);
    } catch (error) {
      await this.#take(former).catch((again: unknown) => this.#onFailedLook(again));
      throw error;
    }
    this.#keyFiles.replace(configuration);
  }

  /** In the order of {@link #start}; the acquires in between wait for the connections that they are for. */
  async #take(configuration: Configuration): Promise<void> {
    const { privateKeys } = this.#resources;
    const spds = this.#gateway.setPolicies(this.#withAddresses(configuration));
    this.#configuration = configuration;
    this.#held = [];
    try {
      this.#lanes.setSpds(spds);
      this.#names.set(remoteNames(configuration));
      for (const [id, key] of configuration.privateKeys) privateKeys.set(id, key);
      await this.#routes.refresh();
      this.#manual.place(this.#configuration.manual);
      this.#setConnections();
      for (const id of [...privateKeys.keys()])
        if (!configuration.privateKeys.has(id)) privateKeys.delete(id);
    } finally {
      const held = this.#held.splice(0);
      this.#held = undefined;
      for (const upcall of held) this.#loop.feed({ kind: "upcall", upcall });
    }
  }

  get lanes(): Lanes {
    return this.#lanes;
  }

  /** What a capture needs of this gateway. */
  get captured(): CapturedGateway {
    const { configuration } = this.#options;
    const { parts, tuns } = this.#resources;
    return {
      lanes: this.#lanes.count,
      devices: tuns.names,
      natPort: configuration.gateway.ports.nat,
      policiesMax: parts.table.table.size.policies,
      setCapture: (capture) => this.#lanes.setCapture(capture),
      policyName: (index) => parts.dataPlane.policyName(index),
      pairs: () => this.pairs(),
      keys: keySource(parts.keptKeys, () => this.#gateway.ikeKeys()),
      scopeOf: (connection) => captureScope(this.#configuration, this.describe(), connection),
    };
  }

  get interfaces(): readonly { readonly name: string; readonly mtu?: number }[] {
    return this.#resources.tuns.names.map((name) => {
      const mtu = this.#routes.mtuOf(name);
      return { name, ...(mtu === undefined ? {} : { mtu }) };
    });
  }

  /** Sentences about routes, forwarding and names that the operator should look at. */
  get advice(): readonly string[] {
    const names = [...this.#unresolved].map(([name, reason]) => `${name} cannot be resolved: ${reason}`);
    return [...names, ...this.#routes.complaints, ...this.#inheritance()];
  }

  /** @param only - the connection to describe; absent: all of them */
  describe(only?: string): readonly ConnectionState[] {
    return this.#gateway.describe(this.#options.clock.now(), only);
  }

  /** Packets and IKE messages dropped since the start, by reason. */
  drops(): { readonly [reason: string]: number } {
    const ike = [...this.#gateway.ikeDrops()].map(([reason, count]) => [`ike:${reason}`, count] as const);
    const paths = [...this.#gateway.pathReports()].map(([what, count]) => [`path:${what}`, count] as const);
    return { ...this.lanes.drops(), ...Object.fromEntries([...ike, ...paths]) };
  }

  /** What the way to a peer carries, and how that is known. */
  pathTo(remote: IpAddress): PathState | undefined {
    return this.#gateway.pathTo(remote);
  }

  /** Which offloads are used, by the names of the configuration's keys. */
  offloads(): StatusDocument["offloads"] {
    const { tuns, sockets } = this.#resources;
    return offloadStates(
      this.#configuration.gateway.offloads,
      {
        tso: tuns.superpackets.tcp,
        uso: tuns.superpackets.udp,
        udpSegment: sockets.offloads.canSend,
        udpGro: sockets.offloads.merges,
      },
      this.lanes.transfers(),
    );
  }

  /** What `explain` looks at. */
  explainSource(): Omit<ExplainSource, "states"> {
    const { watch, tuns } = this.#resources;
    return {
      now: this.#options.clock.now(),
      spds: this.#gateway.spds(),
      pairs: this.pairs(),
      manual: this.#configuration.manual.map(({ policy, selectors, inbound, outbound }) => ({
        policy,
        selectors,
        inboundSpi: inbound.spi,
        outboundSpi: outbound.spi,
      })),
      drops: this.lanes.lastDrops(),
      tuns: tuns.names,
      watch,
      switches: systemSwitchBoard,
    };
  }

  pairs(): readonly SaPairState[] {
    return this.#gateway.pairs();
  }

  /** Packets and octets of every SA pair. */
  traffic(): readonly SaTraffic[] {
    return this.#gateway.traffic();
  }

  /** See {@link DataPlane.followEnds}. */
  followEnds(listener: (ended: SaTraffic, isLast: boolean) => void): void {
    this.#resources.parts.dataPlane.followEnds(listener);
  }

  /** In any state. */
  ikeSaCount(): number {
    return this.#gateway.ikeSaCount();
  }

  ikeSaCounts(): ReturnType<Gateway["ikeSaCounts"]> {
    return this.#gateway.ikeSaCounts();
  }

  command(command: IkeCommand): void {
    this.#loop.feed({ kind: "command", command });
  }

  #inheritance(): readonly string[] {
    const count = this.#gateway.inheritedCount();
    if (count === 0) return [];
    const pairs = count === 1 ? "1 SA pair" : `${count} SA pairs`;
    return [`${pairs} of the process before, whose IKE SAs are lost, carry until their peers have new ones`];
  }

  /**
   * Leaves everything to a process that comes at once: peers hear nothing, routes stay, SAs go on. Lanes run until somebody
   * stops them.
   * @returns `false` when the service manager did not take it: then {@link stop} is due
   */
  async handOver(): Promise<boolean> {
    await this.#routes.close();
    // Nothing comes between: what IKE says and hears from here on, nobody would know of.
    if (!this.#keeping.handOver(this.#gateway.exportIkeSas())) return false;
    this.#loop.stop();
    this.#names.close();
    // What is reserved on disk stays so: the next process goes on with these very numbers.
    this.#manual.close([]);
    wipeSecrets(this.#configuration);
    return true;
  }

  /** Says goodbye to peers, then closes everything; routes stay or go as `on_exit` says. */
  async stop(): Promise<void> {
    const { log } = this.#options;
    this.#names.close();
    this.command({ kind: "shutdown" });
    await this.#answered();
    await this.#routes.close();
    await this.#lanes.stop();
    this.#loop.stop();
    this.#manual.close(this.pairs());
    this.#keeping.giveUp();
    this.#wipeKeys();
    await this.#routes.clear();
    for (const { name, error } of await this.#cleanup.run())
      log.warn(`closing the ${name} failed: ${error instanceof Error ? error.message : String(error)}`);
  }

  get #gateway(): Gateway {
    return this.#resources.parts.gateway;
  }

  #effective(): GatewayConfiguration {
    return this.#withAddresses(this.#configuration);
  }

  #withAddresses(configuration: Configuration): GatewayConfiguration {
    return gatewayConfiguration(configuration, (name) => this.#names.addressesOf(name));
  }

  /** Keys first, so that IKE names none that nobody holds. */
  #onRenewed(renewed: Configuration): void {
    // What is being taken over was read at the same time.
    if (this.#held !== undefined) return;
    this.#configuration = renewed;
    const { privateKeys } = this.#resources;
    for (const [id, key] of renewed.privateKeys) privateKeys.set(id, key);
    this.#setConnections();
    for (const id of [...privateKeys.keys()]) if (!renewed.privateKeys.has(id)) privateKeys.delete(id);
  }

  #makeLoop(): GatewayLoop {
    const { clock, log, onEffect, onSent, onTurn } = this.#options;
    const { compute, sockets, parts } = this.#resources;
    return new GatewayLoop({
      gateway: parts.gateway,
      clock,
      compute,
      send: (datagram) => {
        const failure = sockets.send(datagram);
        onSent(datagram, failure?.text);
        return failure;
      },
      onSendFailure: (_, reason) => log.debug(`an IKE message could not be sent: ${reason}`),
      onEffect: (effect) => {
        if (effect.kind === "wakeLanes") this.#lanes.wake();
        else if (effect.kind === "reserveSequence") this.#manual.reserve(effect.policy);
        else if (effect.kind === "pathMtuChanged") this.#onPathMtu(effect.remote, effect.state);
        else {
          if (effect.kind === "notice") this.#onNotice(effect.notice);
          onEffect(effect);
        }
      },
      onTurn,
    });
  }

  #onNotice(notice: IkeNotice): void {
    if (this.#routes.areChangedBy(notice)) this.#routes.refreshForPeer();
    if (!this.#isSettled && notice.code === "ikeSaDown") this.#settle();
  }

  #makeLanes(): Lanes {
    const { configuration, onFatal } = this.#options;
    const { parts, tuns, sockets } = this.#resources;
    const lanes =
      this.#taken?.lanes ??
      new Lanes({
        tableFd: parts.table.fd,
        keysFd: parts.keys.fd,
        queues: tuns.queues,
        sockets: sockets.lanes,
        offloads: laneOffloads(configuration.gateway),
      });
    lanes.listen({
      onIke: (datagram) => this.#loop.feed({ kind: "datagram", datagram }),
      onUpcall: (upcall) => {
        if (this.#held !== undefined && upcall.kind === "acquire") this.#held.push(upcall);
        else this.#loop.feed({ kind: "upcall", upcall });
      },
      onFailure: onFatal,
    });
    return lanes;
  }

  /** Also where nothing else of the process before is taken over. */
  #givenBefore(): readonly GivenAddress[] {
    return this.#options.taken?.state.given ?? [];
  }

  #makeRoutes(): HostRoutes {
    return new HostRoutes({
      resources: this.#resources,
      means: this.#means,
      log: this.#options.log,
      configuration: () => this.#configuration,
      effective: () => this.#effective(),
      states: () => this.describe(),
      addressesOf: (name) => this.#names.addressesOf(name),
      given: this.#givenBefore(),
      onGiven: (given) => this.#keeping.noteGiven(given),
      onPaths: (sources) => {
        this.#loop.feed({ kind: "pathsChanged" });
        this.#lanes.setOuterAddresses([...this.#configuration.gateway.listen, ...sources]);
        this.#lanes.setPeers(this.#routes.remotes());
      },
      onError: this.#onFailedLook,
    });
  }

  readonly #onFailedLook = (error: unknown): void => {
    this.#options.log.error(error instanceof Error ? error.message : String(error));
  };

  /** Lanes know it from the table; the kernel learns it from routes. */
  #onPathMtu(remote: IpAddress, { octets, source }: PathState): void {
    this.#options.log.info(`packets to ${formatIpAddress(remote)} may have ${octets} octets (${source})`);
    this.#routes.planForPeer();
  }

  #onNames(): void {
    this.#routes.refresh().then(
      () => {
        if (this.#held === undefined) this.#setConnections();
      },
      (error: unknown) => this.#options.log.error(error instanceof Error ? error.message : String(error)),
    );
  }

  #onUnresolved(name: string, reason: string): void {
    this.#unresolved.set(name, reason);
    this.#options.log.warn(`${name} cannot be resolved: ${reason}; its connection waits`);
  }

  /** Waits until no IKE SA is left: every delete was answered, or its peer gave no sign in time. */
  async #answered(): Promise<void> {
    const deadline = performance.now() + GOODBYE_MS;
    while (performance.now() < deadline && this.#gateway.ikeSaCount() > 0)
      await new Promise((resolve) => setTimeout(resolve, GOODBYE_LOOK_MS));
  }

  #wipeKeys(): void {
    const { dataPlane } = this.#resources.parts;
    for (const { inboundSpi } of this.pairs()) dataPlane.execute({ kind: "removePair", inboundSpi });
    dataPlane.reclaim();
    wipeSecrets(this.#configuration);
  }
}
