/**
 * Measures IKEv2 itself: N peers with addresses of their own set up N tunnels with one gateway; Tungate and strongSwan in
 * each role.
 *
 *   npm run bench:handshakes -- [--tunnels N] [--warm-up N] [--settled N] [--connections N] [--rounds N] [--at-once N] [--many N]
 *                               [--kinds psk,ecdsa,rsa,hybrid] [--only ROW[,ROW]] [--json FILE] [--write]
 *
 * All pairs of programs run in every round, one after the other. Processor time is each program's own, from a moment when
 * everything is configured, so that "per core" does not depend on what else the machine does. Figures are medians over the
 * rounds. At the end of them many tunnels are set up at once, as often, while another one carries traffic. Takes some
 * 25 minutes on two cores, nine with --rounds 1.
 * --tunnels   how many are measured of programs that have just started, 300 unless told
 * --warm-up   how many come before them, 150 unless told
 * --settled   after how many programs count as having run for a while, 7200 unless told: their tunnels are taken down and set up again
 * --connections  of the runs with many, of which the later half counts, 2000 unless told; 0: nothing but the start is measured
 * --rounds    3 unless told
 * --at-once   negotiations under way at a time, 8 unless told
 * --many      tunnels of the last part, 2000 unless told; 0: without it
 * --kinds     of authentication and key exchange, all unless told
 * --only      of the rows only these: tungate-strongswan is Tungate that calls strongSwan, tungate-tungate and
 *             strongswan-strongswan are those of the last part as well
 * --write     docs/bench/handshakes.md and .json
 */
import { writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { removeNamespaces } from "../../test/interop/harness/namespace.ts";
import { machineAndPeer } from "./environment.ts";
import { tungate } from "./handshake-programs.ts";
import { runsOf, tablesOf, writeHandshakePages } from "./handshake-report.ts";
import { type HandshakeSample, KINDS, type Kind, measureHandshakes, type Pair } from "./handshake-round.ts";
import { CROWDS, pairsOf, rowName, unknownRow } from "./handshake-rows.ts";
import { measureStorm, type StormSample } from "./handshake-storm.ts";
import { numberOf, readOptions, usage } from "./options.ts";
import { aligned } from "./report.ts";

/** Before memory is looked at: a program that has just worked holds what it has yet to give back. */
const REST_MS = 10_000;
/** Above this the machine did something else before, and probably still does. */
const BUSY_LOAD = 0.7;

const words = readOptions(import.meta.filename, {
  tunnels: { type: "string", default: "300" },
  "warm-up": { type: "string", default: "150" },
  settled: { type: "string", default: "7200" },
  connections: { type: "string", default: "2000" },
  rounds: { type: "string", default: "3" },
  "at-once": { type: "string", default: "8" },
  many: { type: "string", default: "2000" },
  kinds: { type: "string", default: Object.keys(KINDS).join(",") },
  only: { type: "string" },
  json: { type: "string" },
  write: { type: "boolean", default: false },
});
type Number = "tunnels" | "warm-up" | "settled" | "connections" | "rounds" | "at-once" | "many";
const number = (name: Number, least: number) => numberOf(import.meta.filename, name, words[name], least);
const kinds = words.kinds.split(",").map((kind) => kind.trim() as Kind);
for (const kind of kinds)
  if (!Object.hasOwn(KINDS, kind)) usage(import.meta.filename, `there is no kind ${kind}`);
const given = {
  tunnels: number("tunnels", 1),
  warmUp: number("warm-up", 0),
  settled: number("settled", 0),
  connections: number("connections", 0),
  rounds: number("rounds", 1),
  atOnce: number("at-once", 1),
};
if (given.connections > 0 && given.connections < 2 * (given.warmUp + given.tunnels))
  usage(import.meta.filename, "--connections is at least twice what --warm-up and --tunnels are together");
const many = number("many", 0);
const { json, write } = words;
const only = words.only?.split(",").map((row) => row.trim());
const isWanted = (pair: Pair) => only === undefined || only.includes(rowName(pair));
const crowds = many > 0 ? CROWDS : [];
const unknown = unknownRow(only ?? [], [...kinds.flatMap(pairsOf), ...crowds]);
if (unknown !== undefined) usage(import.meta.filename, `there is no row ${unknown} among what is measured`);
if (write && only !== undefined) usage(import.meta.filename, "--write wants all rows");

if (process.getuid?.() !== 0) usage(import.meta.filename, "network namespaces need root");
const remarks: string[] = [];
const loadBefore = loadavg()[0]!;
if (loadBefore > BUSY_LOAD)
  remarks.push(
    `the machine was busy before (load ${loadBefore.toFixed(1)}): rates are too low and times too long`,
  );
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => void removeNamespaces().finally(() => process.exit(130)));

const samples: HandshakeSample[] = [];
for (let round = 1; round <= given.rounds; round++)
  for (const kind of kinds)
    for (const pair of pairsOf(kind).filter(isWanted)) {
      console.error(
        `round ${round} of ${given.rounds}, ${kind}: ${pair.initiator.name} calls ${pair.responder.name}`,
      );
      for (const run of runsOf(given))
        samples.push(await measureHandshakes(pair, { kind, ...run, atOnce: given.atOnce }));
    }
const storms: StormSample[] = [];
for (let round = 1; round <= given.rounds; round++)
  for (const pair of crowds.filter(isWanted)) {
    const { initiator } = pair;
    console.error(
      `round ${round} of ${given.rounds}, ${many} tunnels: ${initiator.name} calls ${initiator.name}`,
    );
    const withTraffic = initiator === tungate;
    storms.push(
      await measureStorm(pair, { tunnels: many, atOnce: given.atOnce, withTraffic, restMs: REST_MS }),
    );
  }
const results = { environment: await machineAndPeer(), options: given, samples, storms, remarks };
for (const rows of tablesOf(results)) console.log(`${aligned(rows)}\n`);
for (const remark of remarks) console.log(`note: ${remark}`);
if (json !== undefined) writeFileSync(json, `${JSON.stringify(results, undefined, 2)}\n`);
if (write) writeHandshakePages(results);
process.exitCode = [...samples, ...storms].some(({ lost }) => lost > 0) ? 1 : 0;
