/**
 * Measures IKEv2 itself: N peers with addresses of their own set up N tunnels with one gateway; Tungate and strongSwan in
 * each role.
 *
 *   npm run bench:handshakes -- [--tunnels N] [--warm-up N] [--rounds N] [--at-once N] [--many N] [--kinds psk,ecdsa,rsa,hybrid]
 *                               [--json FILE] [--write]
 *
 * All pairs of programs run in every round, one after the other. Processor time is each program's own, from a moment when
 * everything is configured, so that "per core" does not depend on what else the machine does. Figures are medians over the
 * rounds. At the end many tunnels are set up at once, while another one carries traffic. Takes five minutes on two cores.
 * --tunnels   how many are measured in a round, 300 unless told
 * --warm-up   how many come before them, 150 unless told
 * --rounds    3 unless told
 * --at-once   negotiations under way at a time, 8 unless told
 * --many      tunnels of the last part, 2000 unless told; 0: without it
 * --kinds     of authentication and key exchange, all unless told
 * --write     docs/bench/handshakes.md and .json
 */
import { readFileSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { removeNamespaces } from "../../test/interop/harness/namespace.ts";
import { machineAndPeer } from "./environment.ts";
import { strongSwan, tungate } from "./handshake-programs.ts";
import { tablesOf, writeHandshakePages } from "./handshake-report.ts";
import { type HandshakeSample, KINDS, type Kind, measureHandshakes, type Pair } from "./handshake-round.ts";
import { measureStorm, type StormSample } from "./handshake-storm.ts";
import { aligned } from "./report.ts";

/** Above this the machine did something else before, and probably still does. */
const BUSY_LOAD = 0.7;

function usage(problem: string): never {
  const words = readFileSync(import.meta.filename, "utf8").split(" */", 1)[0]!;
  console.error(`handshakes: ${problem}\n${words.replace(/^\/\*\*\n/, "").replaceAll(/^ \* ?/gm, "")}`);
  process.exit(2);
}

function options() {
  try {
    const { values } = parseArgs({
      options: {
        tunnels: { type: "string", default: "300" },
        "warm-up": { type: "string", default: "150" },
        rounds: { type: "string", default: "3" },
        "at-once": { type: "string", default: "8" },
        many: { type: "string", default: "2000" },
        kinds: { type: "string", default: Object.keys(KINDS).join(",") },
        json: { type: "string" },
        write: { type: "boolean", default: false },
      },
    });
    const number = (name: "tunnels" | "warm-up" | "rounds" | "at-once" | "many", least: number) => {
      const value = Number(values[name]);
      if (!Number.isInteger(value) || value < least) usage(`--${name} wants a number from ${least}`);
      return value;
    };
    const kinds = values.kinds.split(",").map((kind) => kind.trim());
    for (const kind of kinds) if (!Object.hasOwn(KINDS, kind)) usage(`there is no kind ${kind}`);
    return {
      tunnels: number("tunnels", 1),
      warmUp: number("warm-up", 0),
      rounds: number("rounds", 1),
      atOnce: number("at-once", 1),
      many: number("many", 0),
      kinds: kinds as Kind[],
      json: values.json,
      write: values.write,
    };
  } catch (error) {
    return usage(error instanceof Error ? error.message : String(error));
  }
}

/** Each role of each program meets strongSwan, so that nothing but the program differs; strongSwan 5 knows no ML-KEM. */
function pairsOf(kind: Kind): readonly Pair[] {
  if (kind === "hybrid") return [{ initiator: tungate, responder: tungate }];
  return [
    { initiator: tungate, responder: strongSwan },
    { initiator: strongSwan, responder: tungate },
    { initiator: strongSwan, responder: strongSwan },
  ];
}

const { kinds, many, json, write, ...given } = options();
if (process.getuid?.() !== 0) usage("network namespaces need root");
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
    for (const pair of pairsOf(kind)) {
      console.error(
        `round ${round} of ${given.rounds}, ${kind}: ${pair.initiator.name} calls ${pair.responder.name}`,
      );
      samples.push(await measureHandshakes(pair, { kind, ...given }));
    }
const storms: StormSample[] = [];
if (many > 0)
  for (const program of [tungate, strongSwan]) {
    console.error(`${many} tunnels: ${program.name} calls ${program.name}`);
    const pair = { initiator: program, responder: program };
    storms.push(
      await measureStorm(pair, { tunnels: many, atOnce: given.atOnce, withTraffic: program === tungate }),
    );
  }
const results = { environment: await machineAndPeer(), options: given, samples, storms, remarks };
for (const rows of tablesOf(results)) console.log(`${aligned(rows)}\n`);
for (const remark of remarks) console.log(`note: ${remark}`);
if (json !== undefined) writeFileSync(json, `${JSON.stringify(results, undefined, 2)}\n`);
if (write) writeHandshakePages(results);
process.exitCode = [...samples, ...storms].some(({ lost }) => lost > 0) ? 1 : 0;
