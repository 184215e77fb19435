/** What is measured: names, units, and which way is better. */

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

export const UDP_SIZES = [64, 512, 1400] as const;

const more = (key: string, title: string, unit: string, digits: number, scale: number): Metric => ({
  key,
  title,
  unit,
  scale,
  digits,
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
const tcp = (key: string, title: string) => more(key, title, "Gbit/s", 2, 1e-9);
const packets = (key: string, title: string) => more(key, title, "kpacket/s", 1, 1e-3);

/** The four that a figure of "TCP throughput" is the mean of. */
export const TCP_KEYS = ["tcp1", "tcp1back", "tcp4", "tcp4back"] as const;

export const METRICS: readonly Metric[] = [
  tcp("tcp1", "TCP, 1 stream, A to B"),
  tcp("tcp1back", "TCP, 1 stream, B to A"),
  tcp("tcp4", "TCP, 4 streams, A to B"),
  tcp("tcp4back", "TCP, 4 streams, B to A"),
  tcp("tcp200", "TCP, 200 streams, A to B"),
  ...UDP_SIZES.map((octets) => packets(`udp${octets}`, `UDP ${octets} octets, below 1 % loss`)),
  ...UDP_SIZES.map((octets) => packets(`flood${octets}`, `UDP ${octets} octets, delivered of a flood`)),
  packets("flood200", "UDP 64 octets, 200 flows, delivered of a flood"),
  less("lossAtHalf", "UDP 1400 octets at half that rate, lost", "ppm", 0, 1e6),
  less("lateAtHalf", "UDP 1400 octets at half that rate, out of order", "ppm", 0, 1e6),
  less("idleP50", "round trip idle, after the start, p50", "ms", 3),
  less("idleP99", "round trip idle, after the start, p99", "ms", 3),
  less("warmP50", "round trip idle, after load, side by side, p50", "ms", 3),
  less("warmP99", "round trip idle, after load, side by side, p99", "ms", 3),
  less("loadedP50", "round trip under 4 streams, p50", "ms", 2),
  less("loadedP99", "round trip under 4 streams, p99", "ms", 2),
  less("gatewaySecondsPerGb", "CPU of both gateway processes", "s/GB", 2),
  less("machineSecondsPerGb", "CPU of the whole machine", "s/GB", 2),
  less("resident", "resident memory of a gateway, most", "MB", 0, 1e-6),
  less("minorCollections", "minor collections of lanes in 10 s under load, both gateways", "", 0),
  less("handshake", "first datagram of the handshake to first packet", "ms", 1),
  less("start", "start of the program to first packet", "ms", 0),
];
