/**
 * Round trips of packets that come alone. A few that had to wait for a processor decide a percentile, so the peers stand side by
 * side, carry some load each, and are then asked turn about: what else the machine does hits all of them.
 */
import { SITE_B } from "../../test/interop/harness/two-sites.ts";
import { Load } from "./load.ts";
import type { Sample } from "./metrics.ts";
import type { Peer, PeerOptions } from "./peer.ts";
import { measureStartup } from "./startup.ts";
import { percentile } from "./statistics.ts";
import { type Wire, World } from "./world.ts";

const TURNS = 12;
const PINGS = 150;
const EVERY_MS = 5;
/** Of load before that: code that runs once per batch is optimised late. */
const WARM_SECONDS = 15;

interface Standing {
  readonly name: string;
  readonly load: Load;
  readonly roundTrips: number[];
}

/** By peer. @throws Error in words; nothing stays behind */
export async function measureIdleSideBySide(
  peers: readonly Peer[],
  wire: Wire,
  options: PeerOptions,
): Promise<Readonly<Record<string, Sample>>> {
  const tidyings: (() => Promise<void>)[] = [];
  try {
    const standing: Standing[] = [];
    for (const peer of peers) standing.push(await stand(peer, wire, options, tidyings));
    for (let turn = 0; turn < TURNS; turn += 1)
      for (let i = 0; i < standing.length; i += 1) {
        const { load, roundTrips } = standing[(i + turn) % standing.length]!;
        roundTrips.push(...(await load.roundTrips(PINGS, EVERY_MS)));
      }
    return Object.fromEntries(standing.map(({ name, roundTrips }) => [name, sampleOf(roundTrips)]));
  } finally {
    for (const tidy of tidyings.reverse()) await tidy();
  }
}

async function stand(
  peer: Peer,
  wire: Wire,
  options: PeerOptions,
  tidyings: (() => Promise<void>)[],
): Promise<Standing> {
  const world = await World.create(wire);
  tidyings.push(() => world.remove());
  const { sites } = world;
  const prepared = await peer.prepare(sites, options);
  tidyings.push(() => prepared.stop());
  const { running } = await measureStartup(sites, peer, options);
  tidyings.push(() => running.stop());
  const load = await Load.start(sites.a.host, sites.b.host, SITE_B.host4, sites.folder);
  tidyings.push(() => load.stop());
  await load.tcp(WARM_SECONDS, 4, false);
  return { name: peer.name, load, roundTrips: [] };
}

function sampleOf(roundTrips: readonly number[]): Sample {
  const [middle, high] = [percentile(roundTrips, 0.5), percentile(roundTrips, 0.99)];
  return middle === undefined || high === undefined ? {} : { warmP50: middle, warmP99: high };
}
