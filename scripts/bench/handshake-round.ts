/** Sets many tunnels up between two programs and says what it cost each of them. */
import { setTimeout as sleep } from "node:timers/promises";
import { TwoSites } from "../../test/interop/harness/two-sites.ts";
import { type Auth, type Credentials, makeCredentials } from "./handshake-keys.ts";
import { addPeers } from "./handshake-peers.ts";
import type { Program, RunningProgram, Tunnels } from "./handshake-programs.ts";
import { processSeconds, residentOctets } from "./processes.ts";

/** How the two ends agree and prove who they are. */
export type Kind = Auth | "hybrid";

export const KINDS: Readonly<Record<Kind, string>> = {
  psk: "pre-shared key",
  ecdsa: "ECDSA P-256 certificates",
  rsa: "RSA-2048 certificates",
  hybrid: "pre-shared key, X25519 with ML-KEM-768",
};

export interface Pair {
  readonly initiator: Program;
  readonly responder: Program;
  /** As in {@link Tunnels}. */
  readonly isOneIdentity?: boolean;
}

/** What one end used. */
export interface EndSample {
  /** Processor time for each tunnel, of all threads. */
  readonly cpuMs: number;
  /** Resident memory that came with each tunnel, octets. */
  readonly octets: number;
}

/** What the handshakes `from` to `to` - 1 of a run cost. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly seconds: number;
  /** Did not come up, or did not stand on both sides at the end; those before them as well. */
  readonly lost: number;
  readonly ofInitiator: EndSample;
  readonly ofResponder: EndSample;
}

/** How many connections are configured in a run. */
export type Size = "few" | "many";

/** One run of two programs, which set up tunnels from their start on. */
export interface HandshakeSample {
  readonly kind: Kind;
  readonly size: Size;
  readonly initiator: string;
  readonly responder: string;
  readonly lost: number;
  /** One behind the other, beginning with the first handshake. */
  readonly stretches: readonly Stretch[];
}

export interface RoundOptions {
  readonly kind: Kind;
  readonly size: Size;
  readonly connections: number;
  /**
   * Handshakes after which programs are looked at, rising. When all connections have a tunnel, which is a mark too, all are
   * taken down, and set up again for the next ones.
   */
  readonly marks: readonly number[];
  /** Negotiations under way at a time. */
  readonly atOnce: number;
}

/** Calls `each` for `from` to `to` - 1, so many at a time. */
export async function inTurns(
  from: number,
  to: number,
  atOnce: number,
  each: (index: number) => Promise<void>,
): Promise<void> {
  let next = from;
  const work = async () => {
    while (next < to) await each(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

const credentials = new Map<string, Credentials>();

/** Made once for each number of peers. */
function credentialsFor(auth: "ecdsa" | "rsa", peers: number): Credentials {
  const key = `${auth} ${peers}`;
  const known = credentials.get(key) ?? makeCredentials(auth, peers);
  credentials.set(key, known);
  return known;
}

export function tunnelsOf(kind: Kind, count: number, isOneIdentity = false): Tunnels {
  if (kind === "hybrid") return { count, auth: "psk", isHybrid: true };
  return kind === "psk"
    ? { count, auth: kind, isOneIdentity }
    : { count, auth: kind, isOneIdentity, credentials: credentialsFor(kind, isOneIdentity ? 1 : count) };
}

/** Both ends ready, with nothing negotiated; stopped when `work` is over. */
export async function withPair<Result>(
  { initiator, responder }: Pair,
  tunnels: Tunnels,
  work: (a: RunningProgram, b: RunningProgram, sites: TwoSites) => Promise<Result>,
): Promise<Result> {
  const sites = await TwoSites.create();
  const running: RunningProgram[] = [];
  try {
    await addPeers(sites, tunnels.count);
    const b = await responder.start(sites, "b", tunnels);
    running.push(b);
    const a = await initiator.start(sites, "a", tunnels);
    running.push(a);
    return await work(a, b, sites);
  } finally {
    for (const one of running) await one.stop();
    await sites.remove();
  }
}

/** So long after the last tunnel both ends have to show all of them. */
const COUNTED_WITHIN_MS = 10_000;
const LOOK_MS = 100;

/**
 * How many tunnels stand on both sides. An end may have answered, and told who waited, before it counts what it made: strongSwan takes
 * an IKE SA for half-open until the thread that worked on it puts it back, which on a busy machine is later. Nobody calls again what got lost.
 */
export async function standing(
  ends: readonly Pick<RunningProgram, "established">[],
  wanted: number,
  withinMs = COUNTED_WITHIN_MS,
): Promise<number> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const counts = await Promise.all(ends.map((end) => end.established()));
    const least = Math.min(...counts);
    if (least >= wanted || performance.now() >= deadline) return least;
    await sleep(LOOK_MS);
  }
}

export interface SetUpOptions {
  readonly from: number;
  readonly to: number;
  readonly atOnce: number;
  /** How long the programs have nothing to do before their memory is looked at, before and after; 0 unless told. */
  readonly restMs?: number;
}

/** Sets tunnels up, and counts those that do not stand on both sides afterwards. */
export async function setUp(
  a: RunningProgram,
  b: RunningProgram,
  { from, to, atOnce, restMs = 0 }: SetUpOptions,
) {
  await sleep(restMs);
  const cpu = () => [a, b].map(({ pid }) => processSeconds(pid));
  const octets = () => [a, b].map(({ pid }) => residentOctets(pid));
  const before = { cpu: cpu(), octets: octets() };
  const startedAt = performance.now();
  let failed = 0;
  await inTurns(from, to, atOnce, async (index) => {
    if (!(await a.up(index))) failed++;
  });
  const seconds = (performance.now() - startedAt) / 1000;
  const after = cpu();
  const lost = Math.max(failed, to - (await standing([a, b], to - failed)));
  await sleep(restMs);
  const grown = octets();
  const end = (side: 0 | 1): EndSample => ({
    cpuMs: ((after[side]! - before.cpu[side]!) * 1000) / (to - from),
    octets: (grown[side]! - before.octets[side]!) / (to - from),
  });
  return { seconds, lost, ofInitiator: end(0), ofResponder: end(1) };
}

/** All tunnels, until neither end has one. @throws Error after a while */
async function takeDown(a: RunningProgram, b: RunningProgram, count: number, atOnce: number): Promise<void> {
  await inTurns(0, count, atOnce, (index) => a.down(index));
  const deadline = performance.now() + COUNTED_WITHIN_MS;
  while ((await a.established()) > 0 || (await b.established()) > 0) {
    if (performance.now() >= deadline) throw new Error("tunnels that were taken down still stand");
    await sleep(LOOK_MS);
  }
}

export function measureHandshakes(
  pair: Pair,
  { kind, size, connections, marks, atOnce }: RoundOptions,
): Promise<HandshakeSample> {
  const { isOneIdentity = false } = pair;
  return withPair(pair, tunnelsOf(kind, connections, isOneIdentity), async (a, b) => {
    const stretches: Stretch[] = [];
    for (const [i, to] of marks.entries()) {
      const from = marks[i - 1] ?? 0;
      const first = from % connections;
      if (first === 0 && from > 0) await takeDown(a, b, connections, atOnce);
      const found = await setUp(a, b, { from: first, to: first + to - from, atOnce });
      stretches.push({ from, to, ...found });
    }
    const [initiator, responder] = [pair.initiator.name, pair.responder.name];
    const lost = Math.max(...stretches.map((stretch) => stretch.lost));
    if (lost > 0)
      console.error(`${kind}, ${initiator} calls ${responder}: ${lost} lost\n${a.log()}\n${b.log()}`);
    return { kind, size, initiator, responder, lost, stretches };
  });
}
