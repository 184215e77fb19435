/** Drives traffic-agent.mjs on a host of the test world. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { Namespace } from "./namespace.ts";

export interface TcpTransfer {
  readonly octets: number;
  readonly digest: string;
  readonly received: { readonly octets: number; readonly digest: string };
  readonly ms: number;
}

export interface UdpFlow {
  readonly received: number;
  readonly duplicates: number;
  readonly corrupt: number;
  /** Arrived behind a later one of the flow. */
  readonly overtaken: number;
  /** Highest number that arrived, -1 when none did. */
  readonly last: number;
}

export interface UdpSent {
  readonly sent: number;
  /** Sends that the system refused, for instance because the target is unreachable. */
  readonly refused: number;
  readonly echoed: number;
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** How late a datagram may be on a busy machine. */
const ARRIVAL_MS = 5_000;

let flows = 0;
/** A number for a UDP flow that no other has. */
export function newFlow(): number {
  flows += 1;
  return flows;
}

export class TrafficAgent {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #last = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    createInterface({ input: child.stdout! }).on("line", (line) => {
      const answer = JSON.parse(line) as Answer;
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
    child.on("exit", () => {
      for (const [id, resolve] of this.#waiting) resolve({ id, error: "the traffic agent ended" });
    });
  }

  static async start(namespace: Namespace): Promise<TrafficAgent> {
    const [program, ...words] = namespace.command([
      process.execPath,
      join(import.meta.dirname, "traffic-agent.mjs"),
    ]);
    const agent = new TrafficAgent(
      spawn(program!, words, { stdio: ["pipe", "pipe", "inherit"], detached: true }),
    );
    await new Promise((resolve) => agent.#waiting.set(0, resolve));
    return agent;
  }

  #ask(command: string, words: object): Promise<unknown> {
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, (answer) =>
        answer.error === undefined ? resolve(answer.value) : reject(new Error(`${command}: ${answer.error}`)),
      );
      this.#child.stdin!.write(`${JSON.stringify({ id, command, ...words })}\n`);
    });
  }

  async tcpServe(port: number): Promise<void> {
    await this.#ask("tcpServe", { port });
  }

  async tcpSend(words: {
    host: string;
    port: number;
    octets: number;
    timeoutMs?: number;
    /** Others before them, until {@link finish}. */
    isOpen?: true;
  }): Promise<TcpTransfer> {
    return (await this.#ask("tcpSend", words)) as TcpTransfer;
  }

  async udpServe(port: number, echo = false): Promise<void> {
    await this.#ask("udpServe", { port, echo });
  }

  async udpSend(words: {
    host: string;
    port: number;
    flow: number;
    count: number;
    everyMs?: number;
    size?: number;
    lingerMs?: number;
    /** Others before them, until {@link finish}. */
    isOpen?: true;
  }): Promise<UdpSent> {
    return (await this.#ask("udpSend", words)) as UdpSent;
  }

  async udpReceived(flow: number): Promise<UdpFlow> {
    return (await this.#ask("udpReceived", { flow })) as UdpFlow;
  }

  /** Has what is sent openly come to its end. */
  async finish(): Promise<void> {
    await this.#ask("finish", {});
  }

  /** What has come of a flow once `count` have, or once nothing can come any more. */
  async udpArrived(flow: number, count: number): Promise<UdpFlow> {
    const end = performance.now() + ARRIVAL_MS;
    for (;;) {
      const seen = await this.udpReceived(flow);
      if (seen.received >= count || performance.now() > end) return seen;
      await sleep(50);
    }
  }

  /** Sends the octets (hex) as datagrams; gives what came back (hex). */
  async datagrams(words: {
    host: string;
    port: number;
    payloads: readonly string[];
    fromPort?: number;
    fromAddress?: string;
    lingerMs?: number;
  }): Promise<string[]> {
    return ((await this.#ask("datagrams", words)) as { answers: string[] }).answers;
  }

  /** Closes the servers and forgets what came. */
  async forget(): Promise<void> {
    await this.#ask("forget", {});
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.stdin!.end();
    await ended;
  }
}
