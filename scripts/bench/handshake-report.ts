/** Tables of what the bench of handshakes found, for a terminal and for docs/bench. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type HandshakeSample, KINDS, type Kind } from "./handshake-round.ts";
import type { StormSample, Transfer } from "./handshake-storm.ts";
import { markdown } from "./report.ts";
import { median } from "./statistics.ts";

const FOLDER = join(import.meta.dirname, "../../docs/bench");
const OURS = "Tungate";
const THEIRS = "strongSwan";
const NOTHING = "-";

export interface HandshakeResults {
  readonly environment: Readonly<Record<string, string | number>>;
  readonly options: {
    readonly rounds: number;
    readonly tunnels: number;
    readonly warmUp: number;
    readonly atOnce: number;
  };
  readonly samples: readonly HandshakeSample[];
  readonly storms: readonly StormSample[];
  readonly remarks: readonly string[];
}

type Role = "initiator" | "responder";

/** Handshakes in a second of one processor: the median of the rounds in which this program had this role. */
function perCore(results: HandshakeResults, kind: Kind, role: Role, program: string): number | undefined {
  const end = role === "initiator" ? "ofInitiator" : "ofResponder";
  // The other end is the same program for both, where there is one that both can call.
  const other = role === "initiator" ? "responder" : "initiator";
  const ofKind = results.samples.filter((sample) => sample.kind === kind && sample[role] === program);
  const withTheirs = ofKind.filter((sample) => sample[other] === THEIRS);
  return median((withTheirs.length > 0 ? withTheirs : ofKind).map((sample) => 1000 / sample[end].cpuMs));
}

/** One row for each kind and role: ours, strongSwan's, and how many times as many ours are. */
export function perCoreRows(results: HandshakeResults): string[][] {
  const rows: string[][] = [["IKE SAs per second and core", OURS, THEIRS, "ratio"]];
  for (const kind of Object.keys(KINDS) as Kind[])
    for (const role of ["initiator", "responder"] as const) {
      const [ours, theirs] = [OURS, THEIRS].map((program) => perCore(results, kind, role, program));
      if (ours === undefined) continue;
      const ratio = theirs === undefined ? NOTHING : (ours / theirs).toFixed(2);
      rows.push([`${KINDS[kind]}, ${role}`, ours.toFixed(0), theirs?.toFixed(0) ?? NOTHING, ratio]);
    }
  return rows;
}

/** One row for each pair of programs. */
export function rateRows({ samples }: HandshakeResults): string[][] {
  const rows: string[][] = [["IKE SAs per second, both ends on this machine", "rate", "lost"]];
  const names = new Set(samples.map(({ kind, initiator, responder }) => `${kind} ${initiator} ${responder}`));
  for (const name of names) {
    const [kind, initiator, responder] = name.split(" ") as [Kind, string, string];
    const of = samples.filter(
      (one) => one.kind === kind && one.initiator === initiator && one.responder === responder,
    );
    const rate = median(of.map(({ tunnels, seconds }) => tunnels / seconds))!;
    const lost = of.reduce((sum, one) => sum + one.lost, 0);
    rows.push([`${KINDS[kind]}: ${initiator} calls ${responder}`, rate.toFixed(0), String(lost)]);
  }
  return rows;
}

/** The median, and how far the rounds lie apart. */
function kib(octets: readonly number[]): string {
  const [least, middle, most] = [Math.min(...octets), median(octets)!, Math.max(...octets)].map((one) =>
    (one / 1024).toFixed(1),
  );
  return octets.length === 1 ? middle! : `${middle} (${least} to ${most})`;
}

/** Of each pair of programs the rounds. */
function crowdsOf(storms: readonly StormSample[]): readonly (readonly StormSample[])[] {
  const name = ({ initiator, responder }: StormSample) => `${initiator} ${responder}`;
  return [...new Set(storms.map(name))].map((one) => storms.filter((storm) => name(storm) === one));
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

export function stormRows({ storms }: HandshakeResults): string[][] {
  const rows = [
    [
      "",
      "tunnels",
      "seconds",
      "lost",
      "carried a packet",
      "KiB a tunnel, initiator",
      "KiB a tunnel, responder",
    ],
  ];
  for (const rounds of crowdsOf(storms)) {
    const { initiator, responder, tunnels } = rounds[0]!;
    const carried = rounds.flatMap((one) => one.carried ?? []);
    const [answered, tried] = [sum(carried.map((one) => one.answered)), sum(carried.map((one) => one.tried))];
    rows.push([
      `${initiator} calls ${responder}`,
      String(tunnels),
      median(rounds.map(({ seconds }) => seconds))!.toFixed(1),
      String(sum(rounds.map(({ lost }) => lost))),
      carried.length === 0 ? NOTHING : `${answered} of ${tried}`,
      kib(rounds.map(({ ofInitiator }) => ofInitiator.octets)),
      kib(rounds.map(({ ofResponder }) => ofResponder.octets)),
    ]);
  }
  return rows;
}

export function transferRows({ storms }: HandshakeResults): string[][] {
  const rows = [
    ["transfer through another tunnel", "packets/s", "loss, %", "p50, ms", "p99, ms", "stall, ms"],
  ];
  const transfers = storms.flatMap(({ transfer }) => transfer ?? []);
  if (transfers.length === 0) return rows;
  for (const [when, all] of [
    ["before", transfers.map(({ before }) => before)],
    ["meanwhile", transfers.map(({ during }) => during)],
  ] as const) {
    const of = (field: keyof Transfer) => median(all.map((one) => one[field]))!;
    rows.push([
      when,
      of("packetsPerSecond").toFixed(0),
      (of("loss") * 100).toFixed(3),
      of("roundTripP50Ms").toFixed(2),
      of("roundTripP99Ms").toFixed(2),
      of("longestStallMs").toFixed(0),
    ]);
  }
  return rows;
}

/** Those with anything below their head. */
export function tablesOf(results: HandshakeResults): readonly (readonly (readonly string[])[])[] {
  const all = [perCoreRows(results), rateRows(results), stormRows(results), transferRows(results)];
  return all.filter((rows) => rows.length > 1);
}

/** docs/bench/handshakes.json and the page beside it. */
export function writeHandshakePages(results: HandshakeResults): void {
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, "handshakes.json"), `${JSON.stringify(results, undefined, 2)}\n`);
  writeFileSync(join(FOLDER, "handshakes.md"), page(results));
}

function page(results: HandshakeResults): string {
  const { environment: e, options, remarks } = results;
  const notes = remarks.map((remark) => `- ${remark}\n`).join("");
  return `# Handshakes measured

Written by \`npm run bench:handshakes -- --write\`; [handshakes.json](handshakes.json) has every round. Many peers with addresses of their own set
tunnels up with one gateway, AES-256-GCM, PRF HMAC-SHA2-384 and X25519, one child each; all peers are one process, and both processes
are on this machine. MOBIKE is off at both, since it would announce the thousands of addresses that those peers have together. "Per core" is by the processor time that a process used, whatever else ran: of all its threads, with what
the command to set each tunnel up costs. Both programs log one IKE SA and one child SA each. Per core, the other end is strongSwan.

${e["date"]}, ${e["processor"]}, Linux ${e["kernel"]}, Node ${e["node"]}, ${e["strongswan"]}; medians of ${options.rounds} interleaved rounds of ${options.tunnels} tunnels after ${options.warmUp}
that do not count, ${options.atOnce} at a time. In the runs of many tunnels nothing comes before; memory is what processes grew by with the last three quarters
of the tunnels, ten seconds at rest before and after, as the median and the range of the rounds. strongSwan's child SAs are the kernel's, whose memory is not in it.

${notes === "" ? "" : `${notes}\n`}${tablesOf(results)
  .map((rows) => `${markdown(rows)}\n`)
  .join("\n")}`;
}
