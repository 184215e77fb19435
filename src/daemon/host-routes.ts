/** What this host has to know of the tunnels: routes, guards, MTUs and addresses of devices, forwarding. And what it tells of paths. */
import type { IpAddress } from "../base/ip-address.ts";
import type { Configuration } from "../config/configuration.ts";
import type { Gateway } from "../gateway/gateway.ts";
import type { GatewayConfiguration } from "../gateway/gateway-configuration.ts";
import { planRoutes, type RoutedChild, type RoutePlan } from "../gateway/route-plan.ts";
import { deviceMtu, peersOf } from "../gateway/routed-children.ts";
import type { ConnectionState } from "../ike/connection-state.ts";
import type { IkeNotice } from "../ike/notice.ts";
import type { HostNetwork } from "../io/netlink.ts";
import { routesScriptPath, runRoutesScript } from "../io/routes-script.ts";
import { childrenOnRoutes } from "./children-on-routes.ts";
import type { DaemonLog } from "./daemon-log.ts";
import { neededSwitches, settleForwarding, systemSwitchBoard } from "./forwarding.ts";
import { HostNetworkFollower } from "./host-network.ts";
import { keptGuards } from "./kept-guards.ts";
import { confinedAdvice, type Means } from "./means.ts";
import type { Resources } from "./resources.ts";
import { type GivenAddress, TunAddresses } from "./tun-addresses.ts";

export interface HostRoutesOptions {
  readonly resources: Pick<Resources, "tuns" | "watch" | "parts">;
  readonly means: Means;
  readonly log: DaemonLog;
  /** What runs at the moment. */
  readonly configuration: () => Configuration;
  /** The same with the addresses that names have. */
  readonly effective: () => GatewayConfiguration;
  readonly states: () => readonly ConnectionState[];
  readonly addressesOf: (name: string) => readonly IpAddress[];
  /** Addresses that devices have from the process before, and what they have from this one. */
  readonly given: readonly GivenAddress[];
  readonly onGiven: (given: readonly GivenAddress[]) => void;
  /** The gateway knows the paths; these are our addresses on them. */
  readonly onPaths: (sources: readonly IpAddress[]) => void;
  readonly onError: (error: unknown) => void;
}

export class HostRoutes {
  readonly #options: HostRoutesOptions;
  readonly #follower: HostNetworkFollower;
  readonly #addresses: TunAddresses;
  readonly #mtus = new Map<string, number>();
  #planned: RoutePlan | undefined;
  /** Children may negotiate suites that leave different room for packets. */
  #awaitsSuites = false;
  #complaints: readonly string[] = [];

  constructor(options: HostRoutesOptions) {
    this.#options = options;
    this.#addresses = new TunAddresses(options.resources.watch, options.given, options.onGiven);
    this.#follower = this.#makeFollower();
  }

  /** As {@link HostNetworkFollower.refresh}. */
  refresh(): Promise<void> {
    return this.#follower.refresh();
  }

  /** As {@link HostNetworkFollower.refreshForPeer}. */
  refreshForPeer(): void {
    this.#follower.refreshForPeer(this.#options.onError);
  }

  /** Lets a look that is under way end, and begins no other; routes stay as they are. */
  close(): Promise<void> {
    return this.#follower.close();
  }

  /** As {@link HostNetworkFollower.planForPeer}. */
  planForPeer(): void {
    this.#follower.planForPeer(this.#options.onError);
  }

  /** Sentences that the operator should look at. */
  get complaints(): readonly string[] {
    return this.#complaints;
  }

  mtuOf(device: string): number | undefined {
    return this.#mtus.get(device);
  }

  /** Where peers may be reached. */
  remotes(): readonly IpAddress[] {
    const { configuration, addressesOf, states } = this.#options;
    const { connections, manual } = configuration();
    return [
      ...connections.flatMap(({ connection, remoteNames: names }) => [
        ...peersOf(connection),
        ...names.flatMap((name) => addressesOf(name)),
      ]),
      ...manual.map((child) => child.remoteAddress),
      ...states().flatMap(({ ikeSa }) => ikeSa?.peerAddresses ?? []),
    ];
  }

  /** Where the peer may be reached as well: the ways there are looked up. What a suite leaves of packets: routes say it. */
  areChangedBy({ code }: IkeNotice): boolean {
    if (code === "peerAddresses") return true;
    return this.#awaitsSuites && (code === "childSaUp" || code === "childSaRekeyed");
  }

  /** Takes away what was put there, guards as `on_exit` says. */
  async clear(): Promise<void> {
    const { means, log, onError } = this.#options;
    if (this.#planned === undefined || means.isConfined) return;
    try {
      const { complaints } = await runRoutesScript("clear", this.#planned.lines);
      for (const complaint of complaints) log.warn(complaint);
    } catch (error) {
      onError(error);
    }
  }

  get #gateway(): Gateway {
    return this.#options.resources.parts.gateway;
  }

  #makeFollower(): HostNetworkFollower {
    const { resources, configuration, means, log, onPaths } = this.#options;
    return new HostNetworkFollower({
      watch: resources.watch,
      mark: configuration().gateway.routing.mark.value,
      remotes: () => this.remotes(),
      onPaths: (paths, ownAddresses) => {
        this.#gateway.setPaths(paths, ownAddresses);
        onPaths([...paths.values()].map(({ source }) => source));
      },
      plan: (ownAddresses) => this.#plan(ownAddresses),
      prepare: (network) => this.#prepare(network),
      apply: async (lines) =>
        means.isConfined
          ? { isComplete: true, complaints: [] }
          : runRoutesScript("apply", lines, routesScriptPath(), keptGuards(configuration().gateway)),
      onComplaints: (complaints) => {
        this.#complaints = complaints;
        for (const complaint of complaints) log.warn(complaint);
      },
    });
  }

  #plan(ownAddresses: readonly IpAddress[]): RoutePlan {
    const configuration = this.#options.configuration();
    const { routing, ports, onExit, interfaces } = configuration.gateway;
    const children = this.#routedChildren();
    this.#awaitsSuites = children.some(({ awaitsSuite }) => awaitsSuite === true);
    for (const { name } of interfaces) this.#mtus.set(name, deviceMtu(children, name));
    this.#planned = planRoutes({
      ...routing,
      ports: [ports.ike, ports.nat],
      onExit,
      interfaces: interfaces.map(({ name }) => name),
      inner: interfaces.flatMap(({ name, addresses = [] }) =>
        addresses.map((one) => ({ ...one, interface: name })),
      ),
      children,
      policies: configuration.policies,
      ownAddresses,
    });
    return this.#planned;
  }

  #routedChildren(): readonly RoutedChild[] {
    const { configuration, effective, resources } = this.#options;
    const { paths, gateway } = resources.parts;
    return childrenOnRoutes(effective(), configuration().gateway, paths, gateway.pairs());
  }

  async #prepare(network: HostNetwork): Promise<readonly string[]> {
    const { resources, means, configuration } = this.#options;
    const { tuns, watch } = resources;
    if (means.isConfined)
      return confinedAdvice(
        network,
        tuns.names.map((name) => ({ name, mtu: this.#mtus.get(name)! })),
      );
    await tuns.bringUp(
      watch,
      tuns.names.map((name) => this.#mtus.get(name)!),
    );
    const { forwarding, interfaces } = configuration().gateway;
    await this.#addresses.settle(interfaces, network);
    const selectors = this.#routedChildren().map((child) => child.selectors);
    return settleForwarding(forwarding, neededSwitches(network, tuns.names, selectors), systemSwitchBoard);
  }
}
