/**
 * Measures IKEv2 itself: N peers with addresses of their own set up N tunnels with one gateway; Tungate and strongSwan in
 * each role.
 *
 *   npm run bench:handshakes -- [--tunnels N] [--rounds N] [--at-once N] [--json FILE]
 *
 * All pairs of programs run in every round, one after the other. Processor time is each program's own, from a moment when
 * everything is configured and nothing negotiated, so that "per core" does not depend on what else the machine does.
 * Figures are medians over the rounds.
 * --tunnels   how many tunnels, 200 unless told; 2000 take minutes
 * --at-once   negotiations under way at a time, 8 unless told
 */
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { removeNamespaces } from "../../test/interop/harness/namespace.ts";
import { TwoSites } from "../../test/interop/harness/two-sites.ts";
import { addPeers } from "./handshake-peers.ts";
import { PROGRAMS, type Program, type RunningProgram } from "./handshake-programs.ts";
import { processSeconds, residentOctets } from "./processes.ts";
import { aligned } from "./report.ts";
import { median } from "./statistics.ts";

interface Sample {
  readonly initiator: string;
  readonly responder: string;
  readonly seconds: number;
  readonly failed: number;
  readonly initiatorCpuMs: number;
  readonly responderCpuMs: number;
  readonly initiatorOctets: number;
  readonly responderOctets: number;
}

function usage(problem: string): never {
  const words = readFileSync(import.meta.filename, "utf8").split(" */", 1)[0]!;
  console.error(`handshakes: ${problem}\n${words.replace(/^\/\*\*\n/, "").replaceAll(/^ \* ?/gm, "")}`);
  process.exit(2);
}

function options() {
  try {
    const { values } = parseArgs({
      options: {
        tunnels: { type: "string", default: "200" },
        rounds: { type: "string", default: "3" },
        "at-once": { type: "string", default: "8" },
        json: { type: "string" },
      },
    });
    const positive = (name: "tunnels" | "rounds" | "at-once") => {
      const value = Number(values[name]);
      if (!Number.isInteger(value) || value < 1) usage(`--${name} wants a number from 1`);
      return value;
    };
    return {
      tunnels: positive("tunnels"),
      rounds: positive("rounds"),
      atOnce: positive("at-once"),
      json: values.json,
    };
  } catch (error) {
    return usage(error instanceof Error ? error.message : String(error));
  }
}

/** Calls `each` for 0 to `count` - 1, so many at a time. */
async function inTurns(count: number, atOnce: number, each: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const work = async () => {
    while (next < count) await each(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

const used = ({ pid }: RunningProgram) => ({ seconds: processSeconds(pid), octets: residentOctets(pid) });

async function measure(
  initiator: Program,
  responder: Program,
  tunnels: number,
  atOnce: number,
): Promise<Sample> {
  const sites = await TwoSites.create();
  const running: RunningProgram[] = [];
  try {
    await addPeers(sites, tunnels);
    const b = await responder.start(sites, "b", tunnels);
    running.push(b);
    const a = await initiator.start(sites, "a", tunnels);
    running.push(a);
    const before = [used(a), used(b)] as const;
    const startedAt = performance.now();
    let failed = 0;
    await inTurns(tunnels, atOnce, async (index) => {
      if (!(await a.up(index))) failed++;
    });
    const seconds = (performance.now() - startedAt) / 1000;
    const after = [used(a), used(b)] as const;
    const standing = await b.established();
    if (failed > 0) console.error(`${initiator.name}: ${failed} did not come up: ${a.log()}`);
    if (failed === 0 && standing !== tunnels)
      throw new Error(`${responder.name} has ${standing} of ${tunnels} tunnels: ${b.log()}`);
    const cpuMs = (side: 0 | 1) => ((after[side].seconds - before[side].seconds) * 1000) / tunnels;
    const octets = (side: 0 | 1) => (after[side].octets - before[side].octets) / tunnels;
    return {
      initiator: initiator.name,
      responder: responder.name,
      seconds,
      failed,
      initiatorCpuMs: cpuMs(0),
      responderCpuMs: cpuMs(1),
      initiatorOctets: octets(0),
      responderOctets: octets(1),
    };
  } finally {
    for (const one of running) await one.stop();
    await sites.remove();
  }
}

function rowOf(samples: readonly Sample[], tunnels: number): readonly string[] {
  const [{ initiator, responder }] = samples as readonly [Sample];
  const of = (value: (sample: Sample) => number) => median(samples.map(value))!;
  return [
    initiator,
    responder,
    (tunnels / of(({ seconds }) => seconds)).toFixed(0),
    (1000 / of(({ initiatorCpuMs }) => initiatorCpuMs)).toFixed(0),
    (1000 / of(({ responderCpuMs }) => responderCpuMs)).toFixed(0),
    (of(({ initiatorOctets }) => initiatorOctets) / 1024).toFixed(1),
    (of(({ responderOctets }) => responderOctets) / 1024).toFixed(1),
    String(Math.max(...samples.map(({ failed }) => failed))),
  ];
}

const HEAD = [
  "initiator",
  "responder",
  "tunnels/s",
  "per core, initiator",
  "per core, responder",
  "KiB/tunnel, initiator",
  "KiB/tunnel, responder",
  "failed",
];

const { tunnels, rounds, atOnce, json } = options();
const samples: Sample[] = [];
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => void removeNamespaces().finally(() => process.exit(130)));
for (let round = 0; round < rounds; round++)
  for (const initiator of PROGRAMS)
    for (const responder of PROGRAMS) {
      console.error(`round ${round + 1} of ${rounds}: ${initiator.name} calls ${responder.name}`);
      samples.push(await measure(initiator, responder, tunnels, atOnce));
    }
const pairs = PROGRAMS.flatMap((a) => PROGRAMS.map((b) => [a.name, b.name] as const));
const rows = pairs.map(([a, b]) =>
  rowOf(
    samples.filter(({ initiator, responder }) => initiator === a && responder === b),
    tunnels,
  ),
);
console.log(aligned([HEAD, ...rows]));
if (json !== undefined) writeFileSync(json, `${JSON.stringify({ tunnels, atOnce, samples }, null, 2)}\n`);
