/** As many tunnels as a large site has, all at once, while another tunnel carries traffic. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Namespace } from "../../test/interop/harness/namespace.ts";
import { SITE_B } from "../../test/interop/harness/two-sites.ts";
import { addressesOf } from "./handshake-peers.ts";
import type { RunningProgram } from "./handshake-programs.ts";
import { type EndSample, inTurns, type Pair, setUp, tunnelsOf, withPair } from "./handshake-round.ts";
import { Load } from "./load.ts";
import { percentile } from "./statistics.ts";

/** A steady transfer through the other tunnel: octets of a packet, packets a second. */
const OCTETS = 1200;
const RATE = 2_000;
/** One measurement of it; several make up the time of the storm. */
const PIECE_SECONDS = 2;
const PING_MS = 10;
/** Part of the tunnels after which memory is looked at first. */
const PART_BEFORE = 0.25;
/** Tunnels whose child SAs a packet is sent through afterwards. */
const PROBED = 20;

export interface Transfer {
  /** Part of what was sent, 0..1. */
  readonly loss: number;
  readonly packetsPerSecond: number;
  readonly roundTripP50Ms: number;
  readonly roundTripP99Ms: number;
  /** The longest time without an answer, when one is asked for every 10 ms. */
  readonly longestStallMs: number;
}

export interface StormSample {
  readonly initiator: string;
  readonly responder: string;
  readonly tunnels: number;
  readonly seconds: number;
  readonly lost: number;
  /** Of those that a packet was sent through, how many carried it; absent where nothing keeps packets from going in clear. */
  readonly carried?: { readonly tried: number; readonly answered: number };
  readonly ofInitiator: EndSample;
  readonly ofResponder: EndSample;
  /** Through another tunnel; absent where none was set up. */
  readonly transfer?: { readonly before: Transfer; readonly during: Transfer };
}

interface Piece {
  readonly udp: { readonly packetsPerSecond: number; readonly loss: number };
  readonly trips: readonly number[];
  readonly stallMs: number;
}

/** Answers of ping in the order in which they came, as the longest gap between two of them. */
export function longestStall(output: string, everyMs: number): number {
  const arrivals = [...output.matchAll(/icmp_seq=(\d+) .*time=([\d.]+) ms/g)]
    .map(([, number, trip]) => Number(number) * everyMs + Number(trip))
    .sort((a, b) => a - b);
  let longest = arrivals.length === 0 ? Number.POSITIVE_INFINITY : 0;
  for (const [i, at] of arrivals.entries()) if (i > 0) longest = Math.max(longest, at - arrivals[i - 1]!);
  return longest;
}

async function measurePiece(load: Load, host: Namespace): Promise<Piece> {
  const count = (PIECE_SECONDS * 1000) / PING_MS;
  const [udp, { stdout }] = await Promise.all([
    load.udp(PIECE_SECONDS, OCTETS, { packetsPerSecond: RATE }),
    host.run(["ping", "-n", "-c", `${count}`, "-i", `${PING_MS / 1000}`, "-W", "1", SITE_B.host4], {
      mayFail: true,
      timeoutMs: 30_000,
    }),
  ]);
  const trips = [...stdout.matchAll(/ time=([\d.]+) ms/g)].map((found) => Number(found[1]));
  return { udp, trips, stallMs: longestStall(stdout, PING_MS) };
}

function transferOf(pieces: readonly Piece[]): Transfer {
  const trips = pieces.flatMap((piece) => piece.trips);
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    loss: mean(pieces.map(({ udp }) => udp.loss)),
    packetsPerSecond: mean(pieces.map(({ udp }) => udp.packetsPerSecond)),
    roundTripP50Ms: percentile(trips, 0.5) ?? Number.POSITIVE_INFINITY,
    roundTripP99Ms: percentile(trips, 0.99) ?? Number.POSITIVE_INFINITY,
    longestStallMs: Math.max(...pieces.map(({ stallMs }) => stallMs)),
  };
}

export interface StormOptions {
  readonly tunnels: number;
  readonly atOnce: number;
  /** A transfer through another tunnel, and packets through some of those that were set up; Tungate only. */
  readonly withTraffic: boolean;
  /** As in {@link setUp}. */
  readonly restMs?: number;
}

/**
 * All tunnels, in two parts: memory is what comes with those of the second. What is left of the start, the code of what runs for the first
 * time and the room that a program makes ahead would count as the tunnels' otherwise.
 */
async function setUpAll(
  a: RunningProgram,
  b: RunningProgram,
  { tunnels, atOnce, restMs = 0 }: StormOptions,
): Promise<Awaited<ReturnType<typeof setUp>>> {
  const some = Math.ceil(tunnels * PART_BEFORE);
  const first = await setUp(a, b, { from: 0, to: some, atOnce });
  const rest = await setUp(a, b, { from: some, to: tunnels, atOnce, restMs });
  return { ...rest, seconds: first.seconds + rest.seconds, lost: Math.max(first.lost, rest.lost) };
}

export function measureStorm(pair: Pair, options: StormOptions): Promise<StormSample> {
  const { tunnels, withTraffic } = options;
  const wanted = { ...tunnelsOf("psk", tunnels), withLan: withTraffic };
  return withPair(pair, wanted, async (a, b, sites) => {
    const load = withTraffic
      ? await Load.start(sites.a.host, sites.b.host, SITE_B.host4, sites.folder)
      : undefined;
    try {
      // The first packets wait for their tunnel.
      if (load !== undefined) await load.roundTrips(3, 200);
      const before = load === undefined ? [] : [await measurePiece(load, sites.a.host)];
      const during: Piece[] = [];
      let isOver = false;
      const watched = (async () => {
        while (load !== undefined && !isOver) during.push(await measurePiece(load, sites.a.host));
      })();
      const measured = await setUpAll(a, b, options).finally(() => (isOver = true));
      await watched;
      const [initiator, responder] = [pair.initiator.name, pair.responder.name];
      if (measured.lost > 0)
        console.error(`${initiator} calls ${responder}: ${measured.lost} lost\n${a.log()}\n${b.log()}`);
      return {
        initiator,
        responder,
        tunnels,
        ...measured,
        ...(withTraffic ? { carried: await probe(sites.a.gateway, tunnels) } : {}),
        ...(load === undefined
          ? {}
          : { transfer: { before: transferOf(before), during: transferOf(during) } }),
      };
    } finally {
      await load?.stop();
    }
  });
}

/** A packet through some of the tunnels, the first and the last among them. */
async function probe(gateway: Namespace, tunnels: number): Promise<{ tried: number; answered: number }> {
  const tried = Math.min(PROBED, tunnels);
  let answered = 0;
  await inTurns(0, tried, 4, async (i) => {
    const index = tried === 1 ? 0 : Math.round((i * (tunnels - 1)) / (tried - 1));
    const { innerA, innerB } = addressesOf(index);
    for (let attempt = 0; attempt < 3; attempt++) {
      const words = ["ping", "-n", "-c", "1", "-W", "2", "-I", innerA, innerB];
      if ((await gateway.run(words, { mayFail: true })).status === 0) {
        answered++;
        return;
      }
      await sleep(200);
    }
  });
  return { tried, answered };
}
