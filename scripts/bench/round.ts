/** One round of one peer on one wire: a fresh world, start, latency, TCP, UDP, and everything away again. */
import { setTimeout as sleep } from "node:timers/promises";
import { SITE_B } from "../../test/interop/harness/two-sites.ts";
import { highestRate, Load } from "./load.ts";
import type { Sample } from "./metrics.ts";
import { UDP_SIZES } from "./metrics.ts";
import type { Peer, PeerOptions, RunningPeer } from "./peer.ts";
import { metered } from "./processes.ts";
import { measureStartup } from "./startup.ts";
import { percentile } from "./statistics.ts";
import { type Wire, World } from "./world.ts";

export interface RoundOptions extends PeerOptions {
  readonly seconds: number;
  /** Steps of the search for the highest rate; 0: no UDP. */
  readonly udpSteps: number;
  /** Whether to look for garbage, which takes 40 s. */
  readonly withGarbage: boolean;
  /** Words said while it goes on. */
  readonly say: (words: string) => void;
}

const IDLE_PINGS = 300;
const IDLE_EVERY_MS = 5;
const LOADED_EVERY_MS = 10;
const LOSS_MAX = 0.01;
const MANY_FLOWS = 200;
const UDP_SECONDS = 0.5;
const GARBAGE_SECONDS = 10;
/** Of load before that: code that runs once per batch is optimised late. */
const STEADY_SECONDS = 20;

/** Measures the peer. @throws Error in words; what was measured before is lost, so that no half round counts */
export async function measureRound(peer: Peer, wire: Wire, options: RoundOptions): Promise<Sample> {
  const world = await World.create(wire);
  const { sites } = world;
  const running: RunningPeer[] = [];
  let load: Load | undefined;
  try {
    running.push(await peer.prepare(sites, options));
    const startup = await measureStartup(sites, peer, options);
    running.push(startup.running);
    load = await Load.start(sites.a.host, sites.b.host, SITE_B.host4, sites.folder);
    const sample: Record<string, number> = { start: startup.startMs };
    if (startup.handshakeMs !== undefined) sample["handshake"] = startup.handshakeMs;
    // What has just started runs code that is not compiled yet.
    addPercentiles(sample, "idle", await load.roundTrips(IDLE_PINGS, IDLE_EVERY_MS));
    await measureTcp(load, running, options, sample);
    await measureUdp(load, options, sample);
    if (options.withGarbage) await measureGarbage(load, running, options, sample);
    return sample;
  } finally {
    await load?.stop();
    for (const one of running.reverse()) await one.stop();
    await world.remove();
  }
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
    ["tcp200", MANY_FLOWS, false],
  ] as const) {
    const { result, usage } = await metered(pids(), () => load.tcp(seconds, streams, isBack));
    sample[key] = result.bitsPerSecond;
    if (pids().length > 0) sample["resident"] = Math.max(sample["resident"] ?? 0, usage.residentOctetsMax);
    say(`${key} ${(result.bitsPerSecond / 1e9).toFixed(2)} Gbit/s`);
    // Hundreds of streams cost the hosts more than the gateways.
    if (key === "tcp200") continue;
    octets += result.octets;
    gatewaySeconds += usage.processSeconds;
    machineSeconds += usage.machineSeconds;
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
    const options = { seconds: UDP_SECONDS, steps: udpSteps, lossMax: LOSS_MAX };
    const search = await highestRate(load, octets, options);
    if (search.packetsPerSecond > 0) sample[`udp${octets}`] = search.packetsPerSecond;
    sample[`flood${octets}`] = search.flood.packetsPerSecond;
    say(
      `udp ${octets}: ${Math.round(search.packetsPerSecond)}/s, flood ${Math.round(search.flood.packetsPerSecond)}/s`,
    );
  }
  await measureLoss(load, sample);
  const { packetsPerSecond } = await load.udp(UDP_SECONDS, UDP_SIZES[0], {
    packetsPerSecond: 0,
    flows: MANY_FLOWS,
  });
  sample["flood200"] = packetsPerSecond;
}

/** At half of what it carries a gateway should lose nothing and keep the order. */
async function measureLoss(load: Load, sample: Record<string, number>): Promise<void> {
  const highest = sample["udp1400"];
  if (highest === undefined) return;
  const half = await load.udp(2 * UDP_SECONDS, 1400, { packetsPerSecond: highest / 2 });
  sample["lossAtHalf"] = Math.max(0, half.loss);
  sample["lateAtHalf"] = half.late;
}

/** Collections of young objects in lanes under load, less those that come without any packet: what packets leave behind. */
async function measureGarbage(
  load: Load,
  running: readonly RunningPeer[],
  { say }: RoundOptions,
  sample: Record<string, number>,
): Promise<void> {
  const counts = () => running.map((one) => one.minorCollections?.() ?? 0);
  if (running.every((one) => one.minorCollections === undefined)) return;
  const during = async (work: () => Promise<unknown>) => {
    const before = counts();
    await work();
    return counts().reduce((sum, count, i) => sum + count - before[i]!, 0);
  };
  await load.tcp(STEADY_SECONDS, 4, false);
  const idle = await during(() => sleep(GARBAGE_SECONDS * 1000));
  const loaded = await during(() => load.tcp(GARBAGE_SECONDS - 1, 4, false));
  sample["minorCollections"] = Math.max(0, loaded - idle);
  say(`minor collections in ${GARBAGE_SECONDS} s: ${idle} idle, ${loaded} under load`);
}

function addPercentiles(sample: Record<string, number>, name: string, values: readonly number[]): void {
  const [middle, high] = [percentile(values, 0.5), percentile(values, 0.99)];
  if (middle !== undefined) sample[`${name}P50`] = middle;
  if (high !== undefined) sample[`${name}P99`] = high;
}
