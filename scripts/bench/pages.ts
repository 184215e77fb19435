/** What a run leaves in the repository: JSON, charts, a page with every figure, and a section of the README. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Bar, barChart } from "./chart.ts";
import { METRICS } from "./metrics.ts";
import { ours } from "./peer-ours.ts";
import { markdown, NOT_MEASURED, NOT_THERE, rowsOf } from "./report.ts";
import { middleOf, type Results } from "./results.ts";
import { verdictRows } from "./targets.ts";
import type { Wire } from "./world.ts";

const ROOT = join(import.meta.dirname, "../..");
const FOLDER = join(ROOT, "docs/bench");
const README = join(ROOT, "README.md");
const BEGIN = "<!-- bench: written by npm run bench -- --write -->";
const END = "<!-- bench end -->";

const WIRE_WORDS: Readonly<Record<Wire, string>> = {
  plain: "1500-octet frames on the wire",
  offloads: "the wire's offloads on",
};
const CHARTS = [
  { file: "tcp", key: "tcp4", title: "TCP, 4 streams" },
  { file: "packets", key: "udp64", title: "UDP packets of 64 octets, below 1 % loss" },
  { file: "latency", key: "loadedP99", title: "Round trip under load, p99" },
  { file: "cpu", key: "gatewaySecondsPerGb", title: "CPU of both gateways" },
  { file: "memory", key: "resident", title: "Resident memory of a gateway" },
] as const;

const isOurs = (name: string): boolean => ours.some((peer) => peer.name === name);

/** @throws Error when the README has lost its markers */
export function writePages(results: Results): void {
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, "results.json"), `${JSON.stringify(results, undefined, 2)}\n`);
  for (const { file } of CHARTS) rmSync(join(FOLDER, `${file}.svg`), { force: true });
  for (const { file, key, title } of chartsOf(results)) {
    const metric = METRICS.find((one) => one.key === key)!;
    writeFileSync(join(FOLDER, `${file}.svg`), barChart(title, groupsOf(results, key), metric));
  }
  writeFileSync(join(FOLDER, "results.md"), page(results));
  const readme = readFileSync(README, "utf8");
  const [begin, end] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`README.md has no section between ${BEGIN} and ${END}`);
  writeFileSync(README, `${readme.slice(0, begin + BEGIN.length)}\n${section(results)}${readme.slice(end)}`);
}

/** One group of bars for each wire that it was measured on. */
function groupsOf(results: Results, key: string): { readonly title: string; readonly bars: Bar[] }[] {
  const { scale } = METRICS.find((one) => one.key === key)!;
  const groups = results.wires.map((wire) => ({
    title: WIRE_WORDS[wire],
    bars: results.peers.flatMap((name): Bar[] => {
      const value = middleOf(results, wire, name, key);
      return value === undefined ? [] : [{ name, value: value * scale, isOurs: isOurs(name) }];
    }),
  }));
  return groups.filter(({ bars }) => bars.length > 0);
}

/** Those that something was measured for. */
function chartsOf(results: Results): readonly (typeof CHARTS)[number][] {
  return CHARTS.filter(({ key }) => groupsOf(results, key).length > 0);
}

function machine({ environment: e, options }: Results): string {
  return `${e["date"]}, ${e["processor"]}, Linux ${e["kernel"]}, Node ${e["node"]}; medians of ${options.rounds} interleaved rounds, transfers of ${options.seconds} s, ${options.cipher}${e["esp"] === undefined ? "" : ` by ${e["esp"]}`} (wireguard-go: ChaCha20-Poly1305).`;
}

function notes(results: Results): string {
  const absent = results.absent.map(({ name, why }) => `${name} is not there: ${why} is missing`);
  return [...absent, ...results.remarks].map((remark) => `- ${remark}\n`).join("");
}

function page(results: Results): string {
  const tables = results.wires.map(
    (wire) => `## With ${WIRE_WORDS[wire]}\n\n${markdown(rowsOf(results, wire))}\n`,
  );
  const charts = chartsOf(results).map(({ file, title }) => `![${title}](${file}.svg)\n`);
  const remarks = notes(results);
  return `# Measured

Written by \`npm run bench -- --write\`; [results.json](results.json) has every round. Two hosts, two gateways and a router between them
in network namespaces of one machine, which also generates the load: ratios say more than figures. In brackets: how many times
better ours is than that peer.

${machine(results)}

${remarks === "" ? "" : `${remarks}\n`}${charts.join("\n")}
${tables.join("\n")}
## Targets

In the last column the same of the native loop in the same rounds: what is left when nothing but moving and encrypting is done.

${markdown(verdictRows(results))}
`;
}

/** Few columns: a README is read by people. */
function section(results: Results): string {
  const wire = results.wires[0]!;
  const value = (peer: string, key: string, on: Wire = wire) => {
    const metric = METRICS.find((one) => one.key === key)!;
    const found = middleOf(results, on, peer, key);
    return found === undefined ? NOT_MEASURED : (found * metric.scale).toFixed(metric.digits);
  };
  const all: readonly (readonly [head: string, cell: (peer: string) => string])[] = [
    ...results.wires.map(
      (on) => [`TCP, 4 streams, ${on} wire, Gbit/s`, (peer: string) => value(peer, "tcp4", on)] as const,
    ),
    ["UDP 64 octets, kpacket/s", (peer) => value(peer, "udp64")],
    [
      "round trip loaded p50 / p99, ms",
      (peer) => `${value(peer, "loadedP50")} / ${value(peer, "loadedP99")}`,
    ],
    ["CPU s/GB", (peer) => value(peer, "gatewaySecondsPerGb")],
    ["MB", (peer) => value(peer, "resident")],
  ];
  const columns = all.filter(([, cell]) => results.peers.some((peer) => cell(peer) !== NOT_MEASURED));
  const heads = columns.map(([head]) => head);
  const rows = results.peers.map((peer) => [
    isOurs(peer) ? `**${peer}**` : peer,
    ...columns.map(([, cell]) => cell(peer)),
  ]);
  const gone = results.absent.map(({ name }) => [name, ...heads.map(() => NOT_THERE)]);
  return `
${markdown([["", ...heads], ...rows, ...gone])}

Both hosts, both gateways and a router shared this machine: ${machine(results)} "plain": nothing above 1500 octets
crosses the wire; "offloads": NICs cut and merge. The other columns are those of the ${wire} wire.
${results.remarks.map((remark) => `Note: ${remark}.\n`).join("")}[Every figure, the targets and charts](docs/bench/results.md); \`npm run bench\` measures yours.

![TCP, 4 streams](docs/bench/tcp.svg)

`;
}
