/** Gathers all facts: looks at much, sends a few datagrams to peers unless told not to, and changes nothing. */
import { ConfigError, type ConfigProblem } from "../../config/config-error.ts";
import type { Configuration } from "../../config/configuration.ts";
import { createFileReader } from "../../config/file-reader.ts";
import { loadConfiguration } from "../../config/load.ts";
import { neededSwitches, systemSwitchBoard } from "../../daemon/forwarding.ts";
import { childrenToRoute } from "../../daemon/planned-routes.ts";
import { cryptoProvider } from "../../io/crypto-provider.ts";
import { type HostNetwork, type NetworkWatch, watchNetwork } from "../../io/netlink.ts";
import type { Facts, PeerWay } from "../facts.ts";
import { type Known, known, unknown } from "../finding.ts";
import { controlModes, gatherDaemon } from "./daemon.ts";
import { gatherRuleset } from "./firewall.ts";
import { gatherKernelPolicies } from "./kernel-policies.ts";
import { gatherMachine, gatherTun } from "./machine.ts";
import { askPeers, peersLeftOut, resolvePeers } from "./peers.ts";
import { gatherPorts } from "./process.ts";
import { gatherRouting } from "./routing.ts";

export interface GatherOptions {
  readonly file: string;
  /** Absent: as the configuration says, or the usual place. */
  readonly controlPath?: string;
  readonly defaultControlPath: string;
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  /** Peers may be asked. */
  readonly asksPeers: boolean;
}

const WITHOUT_CONFIGURATION = "the configuration cannot be used";

export async function gatherFacts(options: GatherOptions): Promise<Facts> {
  const { file, asksPeers } = options;
  const { configuration, problems } = load(options);
  const controlPath =
    options.controlPath ?? configuration?.gateway.control.path ?? options.defaultControlPath;
  const devices = configuration?.gateway.interfaces.map(({ name }) => name) ?? [];
  const watch = attempt(() => watchNetwork(() => undefined));
  const network = "value" in watch ? await attemptLater(() => watch.value.snapshot()) : watch;
  const peers =
    configuration === undefined
      ? { names: [], namesLeftOut: 0, addresses: [] }
      : await resolvePeers(configuration);
  const routing = await routingOf(configuration, network, watch, peers.addresses);
  if ("value" in watch) watch.value.close();
  const outer = "value" in routing ? outerDevices(routing.value.peers) : [];
  const settled = "value" in network ? network.value : undefined;
  const [daemon, ruleset, kernelPolicies, machine, asked] = await Promise.all([
    gatherDaemon(controlPath),
    gatherRuleset(`tungate-${configuration?.gateway.routing.table ?? ""}`),
    gatherKernelPolicies(),
    gatherMachine([...new Set([...devices, ...outer])]),
    askedOf(configuration, asksPeers, peers, settled, "value" in routing ? routing.value.peers : []),
  ]);
  return {
    ...{ file, configuration, problems, daemon, controlPath, network, routing, ruleset },
    ...{ kernelPolicies, machine, asked, names: peers.names, namesLeftOut: peers.namesLeftOut },
    peersLeftOut: peersLeftOut(peers),
    controlModes: controlModes(controlPath),
    switches: switchesOf(configuration, network),
    tun: gatherTun(devices),
    ports: gatherPorts(Object.values(configuration?.gateway.ports ?? { ike: 500, nat: 4500 })),
    crypto: cryptoProvider(),
  };
}

function load({ file, environment }: GatherOptions): {
  configuration: Configuration | undefined;
  problems: readonly ConfigProblem[];
} {
  try {
    return { configuration: loadConfiguration(file, createFileReader(environment)), problems: [] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { configuration: undefined, problems: error.problems };
  }
}

async function routingOf(
  configuration: Configuration | undefined,
  network: Known<HostNetwork>,
  watch: Known<NetworkWatch>,
  addresses: Parameters<typeof gatherRouting>[3],
): Promise<Facts["routing"]> {
  if (configuration === undefined) return unknown(WITHOUT_CONFIGURATION);
  if ("unknown" in network) return network;
  if ("unknown" in watch) return watch;
  return attemptLater(() => gatherRouting(configuration, network.value, watch.value, addresses));
}

async function askedOf(
  configuration: Configuration | undefined,
  asksPeers: boolean,
  peers: Awaited<ReturnType<typeof resolvePeers>>,
  network: HostNetwork | undefined,
  ways: readonly PeerWay[],
): Promise<Facts["asked"]> {
  if (configuration === undefined) return unknown(WITHOUT_CONFIGURATION);
  if (!asksPeers) return unknown("peers are not asked (--no-ask)");
  return known(await askPeers(configuration, peers, network, ways));
}

function switchesOf(
  configuration: Configuration | undefined,
  network: Known<HostNetwork>,
): Facts["switches"] {
  if (configuration === undefined) return unknown(WITHOUT_CONFIGURATION);
  if ("unknown" in network) return network;
  const devices = configuration.gateway.interfaces.map(({ name }) => name);
  const selectors = childrenToRoute(configuration).map((child) => child.selectors);
  const needed = neededSwitches(network.value, devices, selectors);
  return known(needed.map((one) => ({ one, isOn: systemSwitchBoard.read(one.path) })));
}

function outerDevices(peers: readonly PeerWay[]): readonly string[] {
  return peers.flatMap(({ marked }) => marked.device ?? []);
}

function attempt<T>(work: () => T): Known<T> {
  try {
    return known(work());
  } catch (error) {
    return unknown(wordsOf(error));
  }
}

async function attemptLater<T>(work: () => Promise<T>): Promise<Known<T>> {
  try {
    return known(await work());
  } catch (error) {
    return unknown(wordsOf(error));
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
