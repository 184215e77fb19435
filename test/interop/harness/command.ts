/** Processes that a test starts: run to the end, or kept running and ended by their own id. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

export interface Outcome {
  /** Exit status; 128 + n where a signal ended it, as a shell says it. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** Any exit status is fine; otherwise another than 0 is an error. */
  readonly mayFail?: boolean;
}

/** On a machine that does a lot besides; who waits in vain waits so long, nobody else does. */
const TIMEOUT_MS = 60_000;
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

const statusOf = (code: number | null, signal: string | null): number =>
  code ?? 128 + (SIGNAL_NUMBERS[signal ?? ""] ?? 1);

/** Runs a command to its end. @throws Error with its words when it fails and may not */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const [program, ...words] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(program!, words, {
      env: { ...process.env, LC_ALL: "C", ...options.env },
      timeout: options.timeoutMs ?? TIMEOUT_MS,
      killSignal: "SIGKILL",
    });
    const chunks: { stdout: Buffer[]; stderr: Buffer[] } = { stdout: [], stderr: [] };
    child.stdout.on("data", (chunk: Buffer) => chunks.stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => chunks.stderr.push(chunk));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      const outcome = {
        status: statusOf(code, signal),
        stdout: Buffer.concat(chunks.stdout).toString("utf8"),
        stderr: Buffer.concat(chunks.stderr).toString("utf8"),
      };
      if (outcome.status === 0 || options.mayFail === true) resolve(outcome);
      else
        reject(new Error(`${argv.join(" ")}: status ${outcome.status}: ${outcome.stderr || outcome.stdout}`));
    });
    // A program that does not read its input is no error of the test.
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
  });
}

/** A process that keeps running; what it writes goes to a file. */
export class BackgroundProcess {
  readonly child: ChildProcess;
  readonly #logPath: string;
  #exit: number | undefined;
  readonly #ended: Promise<void>;

  constructor(
    argv: readonly string[],
    logPath: string,
    env: Readonly<Record<string, string>> = {},
    stdin: "pipe" | "ignore" = "ignore",
  ) {
    const [program, ...words] = argv;
    this.#logPath = logPath;
    const log = openSync(logPath, "a");
    this.child = spawn(program!, words, {
      env: { ...process.env, LC_ALL: "C", ...env },
      stdio: [stdin, log, log],
      // A session of its own: a Ctrl-C is the test runner's, which then ends this in order.
      detached: true,
    });
    closeSync(log);
    this.#ended = new Promise((resolve) => {
      this.child.on("error", () => {
        this.#exit = 127;
        resolve();
      });
      this.child.on("exit", (code, signal) => {
        this.#exit = statusOf(code, signal);
        resolve();
      });
    });
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error(`not started: ${this.child.spawnargs.join(" ")}`);
    return this.child.pid;
  }

  /** Exit status once it has ended. */
  get exitStatus(): number | undefined {
    return this.#exit;
  }

  log(): string {
    return readFileSync(this.#logPath, "utf8");
  }

  signal(name: NodeJS.Signals): void {
    if (this.#exit === undefined) this.child.kill(name);
  }

  /** Waits until it has ended by itself. */
  async ended(timeoutMs = 30_000): Promise<number> {
    await Promise.race([this.#ended, sleep(timeoutMs, undefined, { ref: false })]);
    if (this.#exit === undefined)
      throw new Error(`still running after ${timeoutMs} ms: ${this.child.spawnargs.join(" ")}`);
    return this.#exit;
  }

  /** Asks it to end, and ends it when it does not. */
  async stop(signal: NodeJS.Signals = "SIGTERM", graceMs = 20_000): Promise<number> {
    this.signal(signal);
    try {
      return await this.ended(graceMs);
    } catch {
      this.signal("SIGKILL");
      return this.ended();
    }
  }
}

/** Waits until `probe` gives a value. @throws Error with `what` and what `why` says when the time is over */
export async function until<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 40_000,
  why: () => string = () => "",
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > end) throw new Error(`waited ${timeoutMs} ms in vain: ${what}\n${why()}`);
    await sleep(25);
  }
}
