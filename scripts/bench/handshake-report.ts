/** Tables of what the bench of handshakes found, for a terminal and for docs/bench. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type HandshakeSample, KINDS, type Kind, type Size, type Stretch } from "./handshake-round.ts";
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
    /** Handshakes after which the rate of a program that has just started begins to count, and how many do. */
    readonly warmUp: number;
    readonly tunnels: number;
    /** Handshakes after which a program counts as having run for a while. */
    readonly settled: number;
    /** Connections of the runs with many, of which the later half counts; 0: nothing but the start is measured. */
    readonly connections: number;
    readonly atOnce: number;
  };
  readonly samples: readonly HandshakeSample[];
  readonly storms: readonly StormSample[];
  readonly remarks: readonly string[];
}

type Role = "initiator" | "responder";

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/**
 * Runs of each pair, and the handshakes after which they are looked at. With few connections tunnels are set up again and again; with
 * many each once, and the half of them that counts has two halves, which say whether the rate still changes.
 */
export function runsOf(options: HandshakeResults["options"]) {
  const { warmUp, tunnels, connections: many } = options;
  const few = warmUp + tunnels;
  const inOrder = (marks: readonly number[]) =>
    [...new Set(marks)].filter((mark) => mark > 0).sort((one, other) => one - other);
  if (many === 0) return [{ size: "few" as Size, connections: few, marks: inOrder([warmUp, few]) }];
  const times = Array.from({ length: settledTimes(options) + 1 }, (_, i) => (i + 1) * few);
  const quarters = [2, 3, 4].map((quarter) => Math.ceil((many * quarter) / 4));
  return [
    { size: "few" as Size, connections: few, marks: inOrder([warmUp, ...times]) },
    { size: "many" as Size, connections: many, marks: inOrder([warmUp, few, ...quarters]) },
  ];
}

/** How often few connections are set up before it counts as sustained. */
function settledTimes({ warmUp, tunnels, settled }: HandshakeResults["options"]): number {
  return Math.ceil(settled / (warmUp + tunnels));
}

/** What counts for a figure: of which runs, and what of them. */
interface Figure {
  readonly title: string;
  readonly size: Size;
  readonly isCounted: (stretch: Stretch) => boolean;
}

function figuresOf({ options }: HandshakeResults): readonly Figure[] {
  const { warmUp, tunnels, connections } = options;
  const few = warmUp + tunnels;
  const started: Figure = {
    title: "just started",
    size: "few",
    isCounted: ({ from, to }) => from >= warmUp && to <= few,
  };
  if (connections === 0) return [started];
  return [
    started,
    {
      title: "sustained",
      size: "few",
      isCounted: ({ from }) => from >= settledTimes(options) * few,
    },
    {
      title: `${connections} connections`,
      size: "many",
      isCounted: ({ from }) => from >= connections / 2,
    },
  ];
}

/** Handshakes in a second of one processor: the median of the rounds in which this program had this role. */
function perCore(
  { samples }: HandshakeResults,
  kind: Kind,
  role: Role,
  program: string,
  { size, isCounted }: Figure,
): number | undefined {
  const end = role === "initiator" ? "ofInitiator" : "ofResponder";
  // The other end is the same program for both, where there is one that both can meet.
  const [other, common] =
    role === "initiator" ? (["responder", THEIRS] as const) : (["initiator", OURS] as const);
  const ofKind = samples.filter(
    (sample) => sample.kind === kind && sample.size === size && sample[role] === program,
  );
  const withCommon = ofKind.filter((sample) => sample[other] === common);
  const counted = (withCommon.length > 0 ? withCommon : ofKind)
    .map(({ stretches }) => stretches.filter(isCounted))
    .filter((stretches) => stretches.length > 0);
  return median(
    counted.map((stretches) => {
      const handshakes = sum(stretches.map(({ from, to }) => to - from));
      const cpuMs = sum(stretches.map((stretch) => stretch[end].cpuMs * (stretch.to - stretch.from)));
      return (1000 * handshakes) / cpuMs;
    }),
  );
}

const ROLES: readonly Role[] = ["initiator", "responder"];

/** One row for each kind and role: ours, strongSwan's, and how many times as many ours are. */
export function perCoreRows(results: HandshakeResults): string[][] {
  const figures = figuresOf(results);
  const heads = figures.flatMap(({ title }) => [`${title}: ${OURS}`, THEIRS, "ratio"]);
  const rows = [["IKE SAs per second and core", ...heads]];
  for (const kind of Object.keys(KINDS) as Kind[])
    for (const role of ROLES) {
      const cells = figures.flatMap((figure) => {
        const [ours, theirs] = [OURS, THEIRS].map((program) => perCore(results, kind, role, program, figure));
        const ratio = ours === undefined || theirs === undefined ? NOTHING : (ours / theirs).toFixed(2);
        return [ours?.toFixed(0) ?? NOTHING, theirs?.toFixed(0) ?? NOTHING, ratio];
      });
      if (cells.some((cell) => cell !== NOTHING)) rows.push([`${KINDS[kind]}, ${role}`, ...cells]);
    }
  return rows;
}

/** How rates per core change from the start on, so that everybody sees whether what is called sustained has stopped rising. */
export function courseRows(results: HandshakeResults, size: Size): string[][] {
  if (results.options.connections === 0) return [];
  const run = runsOf(results.options).find((one) => one.size === size)!;
  const stretches = run.marks.map((to, i) => ({ from: run.marks[i - 1] ?? 0, to }));
  const head = `${run.connections} connections, from handshake to handshake`;
  const rows = [[head, ...stretches.map(({ from, to }) => `${from} to ${to}`)]];
  for (const kind of Object.keys(KINDS) as Kind[])
    for (const role of ROLES)
      for (const program of [OURS, THEIRS]) {
        const rates = stretches.map((one) => {
          const isCounted = ({ from }: Stretch) => from === one.from;
          return perCore(results, kind, role, program, { title: "", size, isCounted });
        });
        if (rates.every((rate) => rate === undefined)) continue;
        rows.push([
          `${KINDS[kind]}, ${role}: ${program}`,
          ...rates.map((rate) => rate?.toFixed(0) ?? NOTHING),
        ]);
      }
  return rows;
}

/** What rows of pairs say: handshakes in a second of the clock. */
function pace(samples: readonly HandshakeSample[], { size, isCounted }: Figure): string {
  const rates = samples
    .filter((sample) => sample.size === size)
    .map(({ stretches }) => stretches.filter(isCounted))
    .map((all) => sum(all.map(({ from, to }) => to - from)) / sum(all.map(({ seconds }) => seconds)));
  return median(rates)?.toFixed(0) ?? NOTHING;
}

/** One row for each pair of programs. */
export function rateRows(results: HandshakeResults): string[][] {
  const { samples } = results;
  const figures = figuresOf(results);
  const rows = [
    ["IKE SAs per second, both ends on this machine", ...figures.map(({ title }) => title), "lost"],
  ];
  const names = new Set(samples.map(({ kind, initiator, responder }) => `${kind} ${initiator} ${responder}`));
  for (const name of names) {
    const [kind, initiator, responder] = name.split(" ") as [Kind, string, string];
    const of = samples.filter(
      (one) => one.kind === kind && one.initiator === initiator && one.responder === responder,
    );
    const lost = sum(of.map((one) => one.lost));
    const paces = figures.map((figure) => pace(of, figure));
    rows.push([`${KINDS[kind]}: ${initiator} calls ${responder}`, ...paces, String(lost)]);
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
  const all = [
    perCoreRows(results),
    courseRows(results, "few"),
    courseRows(results, "many"),
    rateRows(results),
    stormRows(results),
    transferRows(results),
  ];
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
  const few = options.warmUp + options.tunnels;
  const notes = remarks.map((remark) => `- ${remark}\n`).join("");
  return `# Handshakes measured

Written by \`npm run bench:handshakes -- --write\`; [handshakes.json](handshakes.json) has every round. Many peers with addresses of their own set
tunnels up with one gateway, AES-256-GCM, PRF HMAC-SHA2-384 and X25519, one child each; all peers are one process, and both processes
are on this machine. MOBIKE is off at both, since it would announce the thousands of addresses that those peers have together. "Per core" is by the processor time that a process used, whatever else ran: of all its threads, with what
the command to set each tunnel up costs. Both programs log one IKE SA and one child SA each. Per core, initiators call strongSwan, and responders are called by Tungate. Each peer has a
name and, by certificates, a certificate of its own, save where strongSwan calls by certificates: there all peers are one. As an initiator it asks the key of every certificate
that it has loaded for its fingerprint, several times in each handshake. No peer has hundreds of them; with 450 it needed 60 ms for a tunnel by RSA.

${e["date"]}, ${e["processor"]}, Linux ${e["kernel"]}, Node ${e["node"]}, ${e["strongswan"]}; medians of ${options.rounds} interleaved rounds, ${options.atOnce} tunnels at a time.
"Just started" are ${options.tunnels} handshakes after ${options.warmUp} that do not count, seconds after both programs began, with ${few} connections configured: what a restart of a gateway sees.
"Sustained" are ${few} handshakes of the same programs after at least ${options.settled}, when V8 has made machine code of what runs often: all tunnels were taken down and are set up again. The last
columns are the later half of ${options.connections} handshakes in runs of their own with as many connections, for programs that look through their connections or tunnels pay for the number of them.
Two further tables have all of it from the start on. In the runs of many tunnels nothing comes before; memory is what processes grew by with the last three quarters
of the tunnels, ten seconds at rest before and after, as the median and the range of the rounds. strongSwan's child SAs are the kernel's, whose memory is not in it.

${notes === "" ? "" : `${notes}\n`}${tablesOf(results)
  .map((rows) => `${markdown(rows)}\n`)
  .join("\n")}`;
}
