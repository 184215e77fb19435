/** Metrics of the process, its lanes, its drops and its configuration. */
import type { DropReason } from "../ike/notice.ts";
import type { PacketIoCounters } from "../io/native-packet-io.ts";
import { IKE_DROPS, LANE_DROPS, PATH_REPORTS } from "../observe/drop-words.ts";
import { type Exposition, labelText, type Sample } from "../observe/exposition.ts";
import type { LaneCount } from "./lane-activity.ts";

export interface GatewayMetrics {
  readonly version: string;
  /** Who does ESP's ciphers. */
  readonly engine: string;
  /** Seconds since 1970. */
  readonly startedAt: number;
  /** How often each notice came, by code. */
  readonly notices: ReadonlyMap<string, number>;
  /** As `status` has them, those that are zero left out. */
  readonly drops: { readonly [reason: string]: number };
  readonly ikeSas: Readonly<Record<string, number>>;
  readonly lanes: readonly LaneCount[];
  /** As `status` has them. */
  readonly transfers: { readonly [counter: string]: number };
  readonly loading: LoadingMetrics;
  readonly memory: { readonly resident: number; readonly heapUsed: number };
  /** User and system time, seconds. */
  readonly cpuSeconds: number;
}

export interface LoadingMetrics {
  /** Seconds since 1970 at which the configuration that runs was taken over. */
  readonly loadedAt: number;
  /** How often a reload was taken over, and refused. */
  readonly applied: number;
  readonly refused: number;
  /** Whether the last try was taken over, the start among them. */
  readonly isLastGood: boolean;
}

export function addProcessMetrics(out: Exposition, input: GatewayMetrics): void {
  addBuild(out, input);
  addNegotiations(out, input);
  addDrops(out, input);
  addLanes(out, input);
  const { memory, cpuSeconds, startedAt } = input;
  out.one("process_start_time_seconds", "gauge", "Start of the process, since 1970.", startedAt);
  out.one(
    "process_cpu_seconds_total",
    "counter",
    "Processor time, user and system, of all threads.",
    cpuSeconds,
  );
  out.one("process_resident_memory_bytes", "gauge", "Memory that the process holds.", memory.resident);
  out.one("nodejs_heap_size_used_bytes", "gauge", "JavaScript's heap of the main thread.", memory.heapUsed);
}

function addBuild(out: Exposition, { version, engine, loading }: GatewayMetrics): void {
  const build = labelText({ version, node: process.versions.node, engine });
  out.add("tungate_build_info", "gauge", "1; what runs: version, Node.js, and who does ESP's ciphers.", [
    [build, 1],
  ]);
  out.one(
    "tungate_configuration_loaded_timestamp_seconds",
    "gauge",
    "When the configuration that runs was taken over.",
    loading.loadedAt,
  );
  out.one(
    "tungate_configuration_last_reload_successful",
    "gauge",
    "Whether the last reload (or the start) was taken over.",
    loading.isLastGood ? 1 : 0,
  );
  out.add("tungate_configuration_reloads_total", "counter", "Reloads by outcome.", [
    [labelText({ outcome: "applied" }), loading.applied],
    [labelText({ outcome: "refused" }), loading.refused],
  ]);
}

function addNegotiations(out: Exposition, { notices, ikeSas }: GatewayMetrics): void {
  out.add(
    "tungate_notices_total",
    "counter",
    "Notices by code: ikeSaUp and childSaUp are successes, docs/troubleshooting.md says what the others are.",
    [...notices].map(([code, count]) => [labelText({ code }), count]),
  );
  out.add(
    "tungate_ike_sas",
    "gauge",
    "IKE SAs by state; halfOpen: a caller that has not shown yet who it is.",
    Object.entries(ikeSas).map(([state, count]) => [labelText({ state }), count]),
  );
}

/** Every reason of the closed lists, those that never came as 0. */
function addDrops(out: Exposition, { drops }: GatewayMetrics): void {
  const samples = (reasons: object, prefix = "", label = "reason"): Sample[] =>
    Object.keys(reasons).map((reason) => [labelText({ [label]: reason }), drops[`${prefix}${reason}`] ?? 0]);
  out.add(
    "tungate_dropped_packets_total",
    "counter",
    "Packets that lanes did not pass on, by reason; keepalive, dummy, fragmentHeld, saAwaited, resynchronised are no loss.",
    samples(LANE_DROPS),
  );
  out.add(
    "tungate_ike_dropped_messages_total",
    "counter",
    "IKE messages that were dropped, by reason.",
    samples(IKE_DROPS satisfies Record<DropReason, string>, "ike:"),
  );
  out.add(
    "tungate_path_reports_total",
    "counter",
    "ICMP about our packets that was not taken as it is, by what became of it.",
    samples(PATH_REPORTS, "path:", "outcome"),
  );
}

/** Name and help of what lanes' devices and sockets count; numbers of errors are for `status`. */
const TRANSFERS: { readonly [counter in keyof PacketIoCounters]?: readonly [name: string, help: string] } = {
  readErrors: ["read_errors", "Reads of a device or socket that failed."],
  tunWriteErrors: ["tun_write_errors", "Packets that a TUN device did not take."],
  sendErrors: ["send_errors", "Sends that the system refused."],
  sendTooBig: ["send_too_big", "Sends that the system found too big for the path."],
  sendRetries: [
    "send_retries",
    "Sends that were repeated because an earlier packet's error was told on them.",
  ],
  superpacketsRead: ["superpackets_read", "Superpackets of the host, cut into segments."],
  superpacketsWritten: ["superpackets_written", "Superpackets made of segments for the host."],
  datagramRunsReceived: ["datagram_runs_received", "Runs of datagrams received as one."],
  datagramRunsSent: ["datagram_runs_sent", "Runs of datagrams sent by one call."],
  offloadRefusals: ["offload_refusals", "Devices that refused what an offload gave them."],
};

const HANDED_OVER = {
  framesHandedOver: ["frames_handed_over", "Packets of the host that came to another lane than their SA's."],
  datagramsHandedOver: ["datagrams_handed_over", "Datagrams that came to another lane than their SA's."],
} as const;

function addLanes(out: Exposition, { lanes, transfers }: GatewayMetrics): void {
  const samples = (field: keyof LaneCount): Sample[] =>
    lanes.map((lane, i) => [labelText({ lane: i }), lane[field]]);
  out.add(
    "tungate_lane_turns_total",
    "counter",
    "Turns of the lane's loop, idle ones too.",
    samples("turns"),
  );
  out.add("tungate_lane_batches_total", "counter", "Turns that carried something.", samples("batches"));
  for (const [counter, [name, help]] of Object.entries({ ...TRANSFERS, ...HANDED_OVER }))
    out.one(`tungate_lanes_${name}_total`, "counter", help, transfers[counter] ?? 0);
}
