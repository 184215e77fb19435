/** Turns what was measured into a table of medians, with ratios to ours. */
import { median } from "./statistics.ts";

/** What one round measured on one peer; a value that could not be measured is absent. */
export type Sample = Readonly<Record<string, number>>;

export interface Metric {
  readonly key: string;
  readonly title: string;
  readonly unit: string;
  /** Multiplied before it is printed. */
  readonly scale: number;
  readonly digits: number;
  readonly isMoreBetter: boolean;
}

const UDP_SIZES = [64, 512, 1400] as const;

const tcp = (key: string, title: string): Metric => ({
  key,
  title,
  unit: "Gbit/s",
  scale: 1e-9,
  digits: 2,
  isMoreBetter: true,
});
const less = (key: string, title: string, unit: string, digits: number, scale = 1): Metric => ({
  key,
  title,
  unit,
  scale,
  digits,
  isMoreBetter: false,
});

export const METRICS: readonly Metric[] = [
  tcp("tcp1", "TCP, 1 stream, A to B"),
  tcp("tcp1back", "TCP, 1 stream, B to A"),
  tcp("tcp4", "TCP, 4 streams, A to B"),
  tcp("tcp4back", "TCP, 4 streams, B to A"),
  ...UDP_SIZES.map((octets) => ({
    key: `udp${octets}`,
    title: `UDP ${octets} octets, below 1 % loss`,
    unit: "kpacket/s",
    scale: 1e-3,
    digits: 1,
    isMoreBetter: true,
  })),
  ...UDP_SIZES.map((octets) => ({
    key: `flood${octets}`,
    title: `UDP ${octets} octets, delivered of a flood`,
    unit: "kpacket/s",
    scale: 1e-3,
    digits: 1,
    isMoreBetter: true,
  })),
  less("idleP50", "round trip idle, after the start, p50", "ms", 3),
  less("idleP99", "round trip idle, after the start, p99", "ms", 3),
  less("warmP50", "round trip idle, after load, p50", "ms", 3),
  less("warmP99", "round trip idle, after load, p99", "ms", 3),
  less("loadedP50", "round trip under 4 streams, p50", "ms", 2),
  less("loadedP99", "round trip under 4 streams, p99", "ms", 2),
  less("gatewaySecondsPerGb", "CPU of both gateway processes", "s/GB", 2),
  less("machineSecondsPerGb", "CPU of the whole machine", "s/GB", 2),
  less("resident", "resident memory of a gateway, most", "MB", 0, 1e-6),
  less("handshake", "first IKE datagram to first packet", "ms", 1),
  less("start", "start of the program to first packet", "ms", 0),
];

export { UDP_SIZES };

/** Medians of every metric, one column per peer; in brackets how many times better (over 1) `reference` is. */
export function table(
  peers: readonly string[],
  samples: Readonly<Record<string, readonly Sample[]>>,
  reference: string,
): string {
  const middleOf = (peer: string, { key }: Metric) =>
    median((samples[peer] ?? []).map((sample) => sample[key]).filter((value) => value !== undefined));
  const rows = METRICS.map((metric) => {
    const own = middleOf(reference, metric);
    const cells = peers.map((peer) => {
      const value = middleOf(peer, metric);
      if (value === undefined) return "-";
      const text = (value * metric.scale).toFixed(metric.digits);
      if (peer === reference || own === undefined || own === 0 || value === 0) return text;
      const ratio = metric.isMoreBetter ? own / value : value / own;
      return `${text} (${ratio.toFixed(2)}x)`;
    });
    return [`${metric.title}, ${metric.unit}`, ...cells];
  }).filter((row) => row.slice(1).some((cell) => cell !== "-"));
  const lines = [["median", ...peers], ...rows];
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
        .join("  "),
    )
    .join("\n");
}
