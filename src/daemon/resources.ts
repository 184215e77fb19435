/** What a gateway needs of the system, opened in the order in which a refusal explains most. */
import { availableParallelism } from "node:os";
import { contains } from "../base/address-range.ts";
import { isSpecialAddress } from "../base/special-address.ts";
import type { Configuration, GatewaySettings } from "../config/configuration.ts";
import type { PrivateKeyHandle } from "../crypto/private-key.ts";
import type { Clock } from "../io/clock.ts";
import { type ComputePool, createComputePool } from "../io/compute.ts";
import { createNameResolver } from "../io/dns.ts";
import { IoError } from "../io/io-error.ts";
import type { LaneOffloads } from "../io/lane-control.ts";
import { adoptTun, type Superpackets, type TunDevice } from "../io/native-socket.ts";
import { type NetworkWatch, watchNetwork } from "../io/netlink.ts";
import { createSystemRandom } from "../io/random.ts";
import { fetchingPool } from "../io/revocation-round.ts";
import { createRevocationSource, type RevocationSource } from "../io/revocation-source.ts";
import type { PrivateKeyId } from "../policy/connection.ts";
import type { Cleanup } from "./cleanup.ts";
import { type GatewayParts, makeGatewayParts } from "./gateway-parts.ts";
import { hasAh } from "./has-ah.ts";
import { laneCount } from "./lane-count.ts";
import type { Ground } from "./lane-state.ts";
import type { Means } from "./means.ts";
import { type OuterSockets, type OuterSocketsOptions, openOuterSockets } from "./outer-sockets.ts";
import type { TakenOver } from "./take-over.ts";
import { openTunDevices, type TunDevices } from "./tun-devices.ts";

export interface Resources {
  readonly tuns: TunDevices;
  readonly sockets: OuterSockets;
  readonly parts: GatewayParts;
  readonly watch: NetworkWatch;
  readonly compute: ComputePool;
  /** What `compute` signs with. */
  readonly privateKeys: Map<PrivateKeyId, PrivateKeyHandle>;
}

/**
 * @param onNetworkChange - links, addresses or routes of the host changed
 * @param current - the settings of the configuration that runs at the moment
 * @throws {IoError} what was opened before is in `cleanup`
 */
export function openResources(
  configuration: Configuration,
  clock: Clock,
  cleanup: Cleanup,
  onNetworkChange: () => void,
  current: () => GatewaySettings,
  means: Means,
  taken?: TakenOver,
): Resources {
  const settings = configuration.gateway;
  const names = settings.interfaces.map(({ name }) => name);
  const wanted = {
    names,
    lanes: taken?.state.ground.lanes ?? lanesOf(settings, means),
    mayBeOneLane: settings.lanes === "auto" && taken === undefined,
    superpackets: superpacketsOf(settings),
    given: new Map([...(taken?.devices ?? []), ...passedDevices(settings, means)]),
  };
  const tuns = cleanup.add("TUN devices", openTunDevices(wanted), (opened) => opened.close());
  const { lanes } = tuns;
  const sockets = cleanup.add(
    "outer sockets",
    taken?.sockets ?? openOuterSockets(socketsOptions(configuration, lanes, means)),
    (opened) => opened.close(),
  );
  const parts = cleanup.add("SA table", makeGatewayParts(settings, lanes, clock, taken), (made) =>
    made.close(),
  );
  const watch = cleanup.add("netlink", watchNetwork(onNetworkChange), (opened) => opened.close());
  const privateKeys = new Map(configuration.privateKeys);
  const compute = cleanup.add(
    "computations",
    fetchingPool(createComputePool(createSystemRandom(), privateKeys), revocationSource(current)),
    (pool) => pool.close(),
  );
  return { tuns, sockets, parts, watch, compute, privateKeys };
}

/** A device has a queue for each lane. */
function lanesOf({ lanes, interfaces }: GatewaySettings, { passed }: Means): number {
  const counts = interfaces.flatMap(({ name }) => passed.get(name)?.length ?? []);
  const [count] = counts;
  if (count === undefined) return laneCount(lanes, availableParallelism());
  if (counts.some((other) => other !== count) || (lanes !== "auto" && lanes !== count))
    throw new IoError(
      "IO_TUN_UNAVAILABLE",
      `${counts.join(" and ")} queues of TUN devices were passed, and gateway.lanes is ${lanes}: pass one queue of each device for each lane`,
    );
  return count;
}

function passedDevices(
  settings: GatewaySettings,
  { passed }: Means,
): readonly (readonly [string, TunDevice])[] {
  return [...passed].map(
    ([name, queues]) => [name, adoptTun(name, queues, superpacketsOf(settings))] as const,
  );
}

export function superpacketsOf({ offloads }: GatewaySettings): Superpackets {
  return { tcp: offloads.tso, udp: offloads.uso };
}

export function laneOffloads({ offloads }: GatewaySettings): LaneOffloads {
  return { sendsRuns: offloads.udpSegment, coalesces: offloads.coalescing };
}

/** What lanes stand on, for a process that comes after this one. */
export function groundOf(configuration: Configuration, { tuns, sockets }: Resources, means: Means): Ground {
  const { gateway } = configuration;
  return {
    lanes: tuns.lanes,
    offloads: laneOffloads(gateway),
    isConfined: means.isConfined,
    devices: tuns.names.map((name) => ({ name, asked: superpacketsOf(gateway) })),
    sockets: sockets.all.map(({ fds, ...socket }) => ({ ...socket, count: fds.length })),
    asked: socketsOptions(configuration, tuns.lanes, means),
  };
}

export function socketsOptions(
  configuration: Configuration,
  lanes: number,
  { isConfined }: Means,
): OuterSocketsOptions {
  const { listen, ports, routing, offloads } = configuration.gateway;
  return {
    listen,
    ports,
    mark: isConfined ? 0 : routing.mark.value,
    isConfined,
    mergesReceived: offloads.udpGro,
    lanes,
    receivesAh: hasAh(configuration),
  };
}

/** Private addresses are asked only where the configuration says so, for a certificate names what it likes. */
function revocationSource(current: () => GatewaySettings): RevocationSource {
  return createRevocationSource({
    resolve: createNameResolver(),
    random: createSystemRandom(),
    mayConnect: (address) =>
      !isSpecialAddress(address) || current().revocationTargets.some((range) => contains(range, address)),
    now: () => performance.now(),
  });
}
