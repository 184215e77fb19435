/** One round of one peer: a fresh world, start, latency, TCP, UDP, and everything away again. */
import { join } from "node:path";
import { SITE_A, SITE_B, TwoSites } from "../../test/interop/harness/two-sites.ts";
import { highestRate, Load } from "./load.ts";
import type { Peer, PeerOptions, RunningPeer } from "./peers.ts";
import { metered } from "./processes.ts";
import { type Sample, UDP_SIZES } from "./report.ts";
import { measureStartup } from "./startup.ts";
import { percentile } from "./statistics.ts";

export interface RoundOptions extends PeerOptions {
  readonly seconds: number;
  readonly udpSteps: number;
  /** The wire and the LANs take segments that no frame could hold, and merge them: what a NIC with offloads does. */
  readonly offload: boolean;
  /** Words said while it goes on. */
  readonly say: (words: string) => void;
}

const IDLE_PINGS = 400;
const IDLE_EVERY_MS = 5;
const LOADED_EVERY_MS = 10;
const LOSS_MAX = 0.01;

/** Measures the peer. @throws Error in words; what was measured before is lost, so that no half round counts */
export async function measureRound(peer: Peer, options: RoundOptions): Promise<Sample> {
  const sites = await TwoSites.create({ lanOffload: options.offload, wanOffload: options.offload });
  const running: RunningPeer[] = [];
  let load: Load | undefined;
  try {
    await closeInClear(sites);
    running.push(await peer.prepare(sites, options));
    const startup = await measureStartup(sites, peer, options);
    running.push(startup.running);
    load = await Load.start(sites.a.host, sites.b.host, SITE_B.host4, join(sites.folder, "iperf.log"));
    const sample: Record<string, number> = { start: startup.startMs };
    if (startup.handshakeMs !== undefined) sample["handshake"] = startup.handshakeMs;
    // What has just started runs code that is not compiled yet.
    await measureIdle(load, "idle", sample);
    await measureTcp(load, running, options, sample);
    await measureIdle(load, "warm", sample);
    await measureUdp(load, options, sample);
    return sample;
  } finally {
    await load?.stop();
    for (const one of running.reverse()) await one.stop();
    await sites.remove();
  }
}

/** In the test world the other site is reachable in clear, which would measure the wrong thing. */
async function closeInClear(sites: TwoSites): Promise<void> {
  for (const site of [sites.a, sites.b]) {
    await site.gateway.ip(`
      route del default
      route add unreachable ${site === sites.a ? SITE_B.lan4 : SITE_A.lan4} metric 4294967295`);
  }
}

async function measureIdle(load: Load, name: "idle" | "warm", sample: Record<string, number>): Promise<void> {
  addPercentiles(sample, name, await load.roundTrips(IDLE_PINGS, IDLE_EVERY_MS));
}

async function measureTcp(
  load: Load,
  running: readonly RunningPeer[],
  { seconds, say }: RoundOptions,
  sample: Record<string, number>,
): Promise<void> {
  const pids = () => running.flatMap((one) => one.pids());
  let octets = 0;
  let [gatewaySeconds, machineSeconds] = [0, 0];
  for (const [key, streams, isBack] of [
    ["tcp1", 1, false],
    ["tcp1back", 1, true],
    ["tcp4", 4, false],
    ["tcp4back", 4, true],
  ] as const) {
    const { result, usage } = await metered(pids(), () => load.tcp(seconds, streams, isBack));
    sample[key] = result.bitsPerSecond;
    octets += result.octets;
    gatewaySeconds += usage.processSeconds;
    machineSeconds += usage.machineSeconds;
    if (pids().length > 0) sample["resident"] = Math.max(sample["resident"] ?? 0, usage.residentOctetsMax);
    say(`${key} ${(result.bitsPerSecond / 1e9).toFixed(2)} Gbit/s`);
  }
  if (pids().length > 0) sample["gatewaySecondsPerGb"] = gatewaySeconds / (octets / 1e9);
  sample["machineSecondsPerGb"] = machineSeconds / (octets / 1e9);
  const pings = load.roundTrips(Math.floor((seconds * 1000) / LOADED_EVERY_MS), LOADED_EVERY_MS);
  await load.tcp(seconds, 4, false);
  addPercentiles(sample, "loaded", await pings);
}

async function measureUdp(
  load: Load,
  { udpSteps, say }: RoundOptions,
  sample: Record<string, number>,
): Promise<void> {
  if (udpSteps === 0) return;
  for (const octets of UDP_SIZES) {
    const search = await highestRate(load, octets, { seconds: 1, steps: udpSteps, lossMax: LOSS_MAX });
    if (search.packetsPerSecond > 0) sample[`udp${octets}`] = search.packetsPerSecond;
    sample[`flood${octets}`] = search.flood.packetsPerSecond;
    say(
      `udp ${octets}: ${Math.round(search.packetsPerSecond)}/s, flood ${Math.round(search.flood.packetsPerSecond)}/s`,
    );
  }
}

function addPercentiles(sample: Record<string, number>, name: string, values: readonly number[]): void {
  const [middle, high] = [percentile(values, 0.5), percentile(values, 0.99)];
  if (middle !== undefined) sample[`${name}P50`] = middle;
  if (high !== undefined) sample[`${name}P99`] = high;
}
