/** Load on the hosts: iperf3 for TCP, native/udp-load.cc for UDP, ping for latency. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { BackgroundProcess, type Outcome, until } from "../../test/interop/harness/command.ts";
import type { Namespace } from "../../test/interop/harness/namespace.ts";
import { nativeProgram } from "./native-program.ts";

/** Two, because iperf3 has at most 128 streams and serves one client at a time. */
const TCP_PORTS = [5201, 5202] as const;
const UDP_PORT = 5300;
const WARM_UP_SECONDS = 1;
/** A transfer that has not ended by then hangs. */
const GRACE_MS = 20_000;
const ATTEMPTS = 3;
const RETRY_MS = 500;
/** What the last packets of a UDP run need to arrive. */
const SETTLE_MS = 100;

export interface TcpResult {
  readonly bitsPerSecond: number;
  /** Received, the warm-up included. */
  readonly octets: number;
}

export interface UdpResult {
  /** Delivered to the host, also what its receiving program was too slow for. */
  readonly packetsPerSecond: number;
  /** Part of what was sent, 0..1. */
  readonly loss: number;
  readonly sentPerSecond: number;
  /** Part of what was sent that came behind a later one, 0..1; of a single flow. */
  readonly late: number;
}

interface IperfReport {
  readonly error?: string;
  readonly end: { readonly sum_received?: { readonly bits_per_second: number; readonly bytes: number } };
}

export class Load {
  readonly #client: Namespace;
  readonly #far: Namespace;
  readonly #target: string;
  readonly #servers: readonly BackgroundProcess[];
  readonly #udpLoad: string;
  readonly #counters: string;

  private constructor(
    [client, far, target]: readonly [Namespace, Namespace, string],
    servers: readonly BackgroundProcess[],
    { udpLoad, counters }: { readonly udpLoad: string; readonly counters: string },
  ) {
    this.#client = client;
    this.#far = far;
    this.#target = target;
    this.#servers = servers;
    this.#udpLoad = udpLoad;
    this.#counters = counters;
  }

  static async start(client: Namespace, far: Namespace, target: string, folder: string): Promise<Load> {
    const udpLoad = await nativeProgram("udp-load");
    const start = async (name: string, words: readonly string[], ready: RegExp) => {
      const server = new BackgroundProcess(far.command(words), join(folder, `${name}.log`));
      await until(
        `${name} listens`,
        () => ready.test(server.log()),
        5_000,
        () => server.log(),
      );
      return server;
    };
    const servers: BackgroundProcess[] = [];
    const counters = join(folder, "udp-counters");
    for (const port of TCP_PORTS)
      servers.push(
        await start(`iperf-${port}`, ["iperf3", "-s", "-p", `${port}`, "--forceflush"], /listening/),
      );
    servers.push(await start("udp-sink", [udpLoad, "sink", `${UDP_PORT}`, counters], /ready/));
    return new Load([client, far, target], servers, { udpLoad, counters });
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) await server.stop("SIGTERM");
  }

  /** @param isBack  from host B to host A */
  async tcp(seconds: number, streams: number, isBack: boolean): Promise<TcpResult> {
    const shares = streams > 100 ? [Math.ceil(streams / 2), Math.floor(streams / 2)] : [streams];
    const results = await Promise.all(
      shares.map((share, i) => this.#iperf(TCP_PORTS[i]!, seconds, share, isBack)),
    );
    return {
      bitsPerSecond: results.reduce((sum, { bits_per_second: rate }) => sum + rate, 0),
      octets: results.reduce((sum, { bytes }) => sum + (bytes * (seconds + WARM_UP_SECONDS)) / seconds, 0),
    };
  }

  /** @param packetsPerSecond  offered; 0: as many as the sender can */
  async udp(
    seconds: number,
    octets: number,
    { packetsPerSecond, flows = 1 }: { packetsPerSecond: number; flows?: number },
  ): Promise<UdpResult> {
    const before = await this.#arrived();
    const lateBefore = this.#late();
    const { stdout } = await this.#client.run(
      [
        ...[this.#udpLoad, "send", this.#target, `${UDP_PORT}`, `${octets}`, `${seconds * 1000}`],
        ...[`${Math.round(packetsPerSecond)}`, `${flows}`],
      ],
      { timeoutMs: seconds * 1000 + GRACE_MS },
    );
    await sleep(SETTLE_MS);
    const sender = JSON.parse(stdout) as { readonly sent: number; readonly seconds: number };
    const arrived = Math.min(sender.sent, (await this.#arrived()) - before);
    return {
      packetsPerSecond: arrived / sender.seconds,
      loss: sender.sent === 0 ? 1 : 1 - arrived / sender.sent,
      sentPerSecond: sender.sent / sender.seconds,
      late: sender.sent === 0 ? 0 : (this.#late() - lateBefore) / sender.sent,
    };
  }

  /** Datagrams so far that came behind a later one; the second counter of the sink's file. */
  #late(): number {
    return Number(readFileSync(this.#counters).readBigUInt64LE(8));
  }

  /** Datagrams that the far host has received so far; its socket may have had no room for some. */
  async #arrived(): Promise<number> {
    const { stdout } = await this.#far.run(["cat", "/proc/net/snmp"]);
    const [names, values] = stdout.split("\n").filter((line) => line.startsWith("Udp:"));
    const field = (name: string) => Number(values!.split(" ")[names!.split(" ").indexOf(name)]);
    return field("InDatagrams") + field("RcvbufErrors");
  }

  async #iperf(port: number, seconds: number, streams: number, isBack: boolean) {
    const words = [
      "-t",
      `${seconds}`,
      "-O",
      `${WARM_UP_SECONDS}`,
      "-P",
      `${streams}`,
      ...(isBack ? ["-R"] : []),
    ];
    // The server serves one client at a time, and the last one may not be gone yet.
    for (let attempt = 1; ; attempt += 1) {
      const { stdout } = await this.#client.run(
        ["iperf3", "-c", this.#target, "-p", `${port}`, "-J", "--connect-timeout", "3000", ...words],
        { mayFail: true, timeoutMs: (seconds + WARM_UP_SECONDS) * 1000 + GRACE_MS },
      );
      const report = JSON.parse(stdout === "" ? '{"error":"no answer in time"}' : stdout) as IperfReport;
      if (report.error === undefined && report.end.sum_received !== undefined) return report.end.sum_received;
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
  const offer = (packetsPerSecond: number) => load.udp(options.seconds, octets, { packetsPerSecond });
  const first = await offer(0);
  const flood = { packetsPerSecond: first.packetsPerSecond, loss: first.loss };
  if (flood.loss < options.lossMax) return { packetsPerSecond: first.packetsPerSecond, flood };
  let [passes, fails, best] = [0, first.sentPerSecond, 0];
  let next = Math.min(first.packetsPerSecond, fails * 0.9);
  for (let step = 0; step < options.steps; step += 1) {
    let result = await offer(next);
    if (result.loss >= options.lossMax) result = await offer(next);
    if (result.loss < options.lossMax) {
      passes = next;
      best = Math.max(best, result.packetsPerSecond);
    } else fails = next;
    next = (passes + fails) / 2;
  }
  return { packetsPerSecond: best, flood };
}
