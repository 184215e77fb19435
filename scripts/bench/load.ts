/** Load on the hosts: iperf3 for TCP and UDP, ping for latency. */
import { setTimeout as sleep } from "node:timers/promises";
import { BackgroundProcess, type Outcome, until } from "../../test/interop/harness/command.ts";
import type { Namespace } from "../../test/interop/harness/namespace.ts";

const PORT = 5201;
const WARM_UP_SECONDS = 1;
/** Short pauses of the sender, so that a rate is no row of bursts. */
const PACING_US = 200;
/** A transfer that has not ended by then hangs. */
const GRACE_MS = 20_000;
const ATTEMPTS = 3;
const RETRY_MS = 500;

export interface TcpResult {
  readonly bitsPerSecond: number;
  /** Received, the warm-up included. */
  readonly octets: number;
  readonly retransmits: number;
}

export interface UdpResult {
  /** Delivered to the host, also what its receiving program was too slow for. */
  readonly packetsPerSecond: number;
  /** Part of what was sent, 0..1. */
  readonly loss: number;
  readonly sentPerSecond: number;
}

interface IperfReport {
  readonly error?: string;
  readonly end: {
    readonly sum_received?: { readonly bits_per_second: number; readonly bytes: number };
    readonly sum_sent?: { readonly retransmits?: number };
    readonly sum?: { readonly seconds: number; readonly packets: number };
  };
}

export class Load {
  readonly #client: Namespace;
  readonly #far: Namespace;
  readonly #target: string;
  readonly #server: BackgroundProcess;

  private constructor(client: Namespace, far: Namespace, target: string, server: BackgroundProcess) {
    this.#client = client;
    this.#far = far;
    this.#target = target;
    this.#server = server;
  }

  static async start(client: Namespace, server: Namespace, target: string, logPath: string): Promise<Load> {
    const process = new BackgroundProcess(
      server.command(["iperf3", "-s", "-p", `${PORT}`, "--forceflush"]),
      logPath,
    );
    await until(
      "iperf3 listens",
      () => /listening/.test(process.log()),
      5_000,
      () => process.log(),
    );
    return new Load(client, server, target, process);
  }

  async stop(): Promise<void> {
    await this.#server.stop("SIGTERM");
  }

  /** @param isBack  from host B to host A */
  async tcp(seconds: number, streams: number, isBack: boolean): Promise<TcpResult> {
    const words = [
      "-t",
      `${seconds}`,
      "-O",
      `${WARM_UP_SECONDS}`,
      "-P",
      `${streams}`,
      ...(isBack ? ["-R"] : []),
    ];
    const { end } = await this.#iperf(words, seconds + WARM_UP_SECONDS);
    const received = end.sum_received!;
    return {
      bitsPerSecond: received.bits_per_second,
      octets: (received.bytes * (seconds + WARM_UP_SECONDS)) / seconds,
      retransmits: end.sum_sent?.retransmits ?? 0,
    };
  }

  /** @param packetsPerSecond  offered; 0: as many as the sender can */
  async udp(seconds: number, octets: number, packetsPerSecond: number): Promise<UdpResult> {
    const rate = Math.round(packetsPerSecond * octets * 8);
    const before = await this.#arrived();
    const words = [
      "-u",
      "-t",
      `${seconds}`,
      "-l",
      `${octets}`,
      "-b",
      `${rate}`,
      "--pacing-timer",
      `${PACING_US}`,
    ];
    const { end } = await this.#iperf(words, seconds);
    const sum = end.sum!;
    const arrived = Math.min(sum.packets, (await this.#arrived()) - before);
    return {
      packetsPerSecond: arrived / sum.seconds,
      loss: sum.packets === 0 ? 1 : 1 - arrived / sum.packets,
      sentPerSecond: sum.packets / sum.seconds,
    };
  }

  /** Datagrams that the far host has received so far; its socket may have had no room for some. */
  async #arrived(): Promise<number> {
    const { stdout } = await this.#far.run(["cat", "/proc/net/snmp"]);
    const [names, values] = stdout.split("\n").filter((line) => line.startsWith("Udp:"));
    const field = (name: string) => Number(values!.split(" ")[names!.split(" ").indexOf(name)]);
    return field("InDatagrams") + field("RcvbufErrors");
  }

  async #iperf(words: readonly string[], seconds: number): Promise<IperfReport> {
    // The server serves one client at a time, and the last one may not be gone yet.
    for (let attempt = 1; ; attempt += 1) {
      const { stdout } = await this.#client.run(
        ["iperf3", "-c", this.#target, "-p", `${PORT}`, "-J", "--connect-timeout", "3000", ...words],
        { mayFail: true, timeoutMs: seconds * 1000 + GRACE_MS },
      );
      const report = JSON.parse(stdout === "" ? '{"error":"no answer in time"}' : stdout) as IperfReport;
      if (report.error === undefined) return report;
      if (attempt === ATTEMPTS) throw new Error(`iperf3 ${words.join(" ")}: ${report.error}`);
      await sleep(RETRY_MS);
    }
  }

  /** Round trips in milliseconds, one every `everyMs`; those that got no answer are absent. */
  async roundTrips(count: number, everyMs: number): Promise<number[]> {
    const outcome: Outcome = await this.#client.run(
      ["ping", "-n", "-c", `${count}`, "-i", `${everyMs / 1000}`, "-W", "1", this.#target],
      { mayFail: true, timeoutMs: count * everyMs + GRACE_MS },
    );
    return [...outcome.stdout.matchAll(/ time=([\d.]+) ms/g)].map((found) => Number(found[1]));
  }
}

export interface UdpSearch {
  /** Delivered at the highest offered rate that lost less than `lossMax`. */
  readonly packetsPerSecond: number;
  /** Delivered when the sender sent as fast as it could, and what part of it was lost. */
  readonly flood: { readonly packetsPerSecond: number; readonly loss: number };
}

/** Halves the interval between a rate that passes and one that does not; a rate has two tries. */
export async function highestRate(
  load: Load,
  octets: number,
  options: { readonly seconds: number; readonly steps: number; readonly lossMax: number },
): Promise<UdpSearch> {
  const first = await load.udp(options.seconds, octets, 0);
  const flood = { packetsPerSecond: first.packetsPerSecond, loss: first.loss };
  if (flood.loss < options.lossMax) return { packetsPerSecond: first.packetsPerSecond, flood };
  let [passes, fails, best] = [0, first.sentPerSecond, 0];
  let next = Math.min(first.packetsPerSecond, fails * 0.9);
  for (let step = 0; step < options.steps; step += 1) {
    let result = await load.udp(options.seconds, octets, next);
    if (result.loss >= options.lossMax) result = await load.udp(options.seconds, octets, next);
    if (result.loss < options.lossMax) {
      passes = next;
      best = Math.max(best, result.packetsPerSecond);
    } else fails = next;
    next = (passes + fails) / 2;
  }
  return { packetsPerSecond: best, flood };
}
