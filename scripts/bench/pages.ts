/** What a run leaves in the repository: JSON, charts, a page with every figure, and a section of the README. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Bar, barChart } from "./chart.ts";
import { METRICS } from "./metrics.ts";
import { ours } from "./peer-ours.ts";
import { markdown, NOT_THERE, rowsOf } from "./report.ts";
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
  for (const { file, key, title } of CHARTS) {
    const metric = METRICS.find((one) => one.key === key)!;
    const groups = results.wires.map((wire) => ({
      title: WIRE_WORDS[wire],
      bars: results.peers.flatMap((name): Bar[] => {
        const value = middleOf(results, wire, name, key);
        return value === undefined ? [] : [{ name, value: value * metric.scale, isOurs: isOurs(name) }];
      }),
    }));
    writeFileSync(join(FOLDER, `${file}.svg`), barChart(title, groups, metric));
  }
  writeFileSync(join(FOLDER, "results.md"), page(results));
  const readme = readFileSync(README, "utf8");
  const [begin, end] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`README.md has no section between ${BEGIN} and ${END}`);
  writeFileSync(README, `${readme.slice(0, begin + BEGIN.length)}\n${section(results)}${readme.slice(end)}`);
}

function machine({ environment: e, options }: Results): string {
  return `${e["date"]}, ${e["processor"]}, Linux ${e["kernel"]}, Node ${e["node"]}; medians of ${options.rounds} interleaved rounds, transfers of ${options.seconds} s, ${options.cipher} (wireguard-go: ChaCha20-Poly1305).`;
}

function notes(results: Results): string {
  const absent = results.absent.map(({ name, why }) => `${name} is not there: ${why} is missing`);
  return [...absent, ...results.remarks].map((remark) => `- ${remark}\n`).join("");
}

function page(results: Results): string {
  const tables = results.wires.map(
    (wire) => `## With ${WIRE_WORDS[wire]}\n\n${markdown(rowsOf(results, wire))}\n`,
  );
  const charts = CHARTS.map(({ file, title }) => `![${title}](${file}.svg)\n`);
  const remarks = notes(results);
  return `# Measured

Written by \`npm run bench -- --write\`; [results.json](results.json) has every round. Two hosts, two gateways and a router between them
in network namespaces of one machine, which also generates the load: ratios say more than figures. In brackets: how many times
better ours is than that peer.

${machine(results)}

${remarks === "" ? "" : `${remarks}\n`}${charts.join("\n")}
${tables.join("\n")}
## Targets

${markdown(verdictRows(results))}
`;
}

/** Few columns: a README is read by people. */
function section(results: Results): string {
  const columns = ["tcp4", "udp64", "loadedP50", "loadedP99", "gatewaySecondsPerGb", "resident"] as const;
  const heads = [
    ...results.wires.map((wire) => `TCP, 4 streams, ${wire} wire, Gbit/s`),
    "UDP 64 octets, kpacket/s",
    "round trip loaded p50 / p99, ms",
    "CPU s/GB",
    "MB",
  ];
  const wire = results.wires[0]!;
  const value = (peer: string, key: string, on: Wire = wire) => {
    const metric = METRICS.find((one) => one.key === key)!;
    const found = middleOf(results, on, peer, key);
    return found === undefined ? "-" : (found * metric.scale).toFixed(metric.digits);
  };
  const rows = results.peers.map((peer) => [
    isOurs(peer) ? `**${peer}**` : peer,
    ...results.wires.map((on) => value(peer, columns[0], on)),
    value(peer, columns[1]),
    `${value(peer, columns[2])} / ${value(peer, columns[3])}`,
    value(peer, columns[4]),
    value(peer, columns[5]),
  ]);
  const gone = results.absent.map(({ name }) => [name, ...heads.map(() => NOT_THERE)]);
  return `
${markdown([["", ...heads], ...rows, ...gone])}

Both hosts, both gateways and a router shared this machine: ${machine(results)} "plain": nothing above 1500 octets
crosses the wire; "offloads": NICs cut and merge. The other columns are those of the ${wire} wire.
[Every figure, the targets and charts](docs/bench/results.md); \`npm run bench\` measures yours.

![TCP, 4 streams](docs/bench/tcp.svg)

`;
}
