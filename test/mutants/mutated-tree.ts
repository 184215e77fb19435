/** A copy of the tree in which bugs can be planted, and the tests that have to notice them. */
import { type ChildProcess, execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "vitest";
import type { Mutant } from "./mutants.ts";

export const ROOT = join(import.meta.dirname, "../..");
/** A bug may make a test run for ever. */
const RUN_MS = 240_000;

interface Outcome {
  readonly passed: readonly string[];
  readonly failed: readonly string[];
}

/** What the tests use in place of sources. */
interface Product {
  /** Makes it of the sources as they are. */
  make(): void;
  /** Brings back that of the sources without a bug. */
  restore(): void;
}

export class MutatedTree {
  readonly folder = copyTree();
  readonly #mutants: readonly Mutant[];
  readonly #pool: "threads" | "forks";
  readonly #product: Product | undefined;
  #runner: ChildProcess | undefined;
  /** What the killing tests of a file say without any bug: once for all its mutants. */
  readonly #healthy = new Map<string, Outcome>();

  /**
   * @param mutants - all that are planted in this copy
   * @param pool - `forks` where what a test loads can't be loaded twice by one process: the addon
   * @param product - absent where tests use the sources themselves
   */
  constructor(mutants: readonly Mutant[], pool: "threads" | "forks" = "threads", product?: Product) {
    this.#mutants = mutants;
    this.#pool = pool;
    this.#product = product;
  }

  /** Requires that the test that the mutant names passes without the bug and fails with it. */
  async expectKilled(mutant: Mutant): Promise<void> {
    const path = join(this.folder, mutant.file);
    const original = readFileSync(path, "utf8");
    expect(original.split(mutant.find).length, `${mutant.file} holds the line to change exactly once`).toBe(
      2,
    );
    const before = await this.#runHealthy(mutant.test);
    expect(before.failed).toEqual([]);
    expect(before.passed.filter((name) => name.includes(mutant.killedBy)).length).toBeGreaterThan(0);
    const { atime, mtime } = statSync(path);
    try {
      writeFileSync(
        path,
        original.replace(mutant.find, () => mutant.replace),
      );
      this.#product?.make();
      const { failed } = await this.#run(mutant.test, [mutant.killedBy], path);
      expect(failed.length).toBeGreaterThan(0);
    } finally {
      writeFileSync(path, original);
      // As old as it was: what was made of it is not older.
      utimesSync(path, atime, mtime);
      this.#product?.restore();
    }
  }

  close(): void {
    this.#runner?.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #runHealthy(file: string): Promise<Outcome> {
    const known = this.#healthy.get(file);
    if (known !== undefined) return known;
    const names = this.#mutants.filter(({ test }) => test === file).map(({ killedBy }) => killedBy);
    const outcome = await this.#run(file, [...new Set(names)]);
    this.#healthy.set(file, outcome);
    return outcome;
  }

  /** Runs the tests of one file whose full names hold one of `names`; forgets `changed` before and after. */
  async #run(file: string, names: readonly string[], changed?: string): Promise<Outcome> {
    this.#runner ??= await this.#startRunner();
    const runner = this.#runner;
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, AbortSignal.timeout(RUN_MS)]);
    const answer = Promise.race([
      once(runner, "message", { signal }).then(([message]) => message),
      once(runner, "exit", { signal }).then(() => ({ error: "the process that runs the tests is gone" })),
    ]);
    runner.send({ file, names, changed });
    const outcome: Outcome | { error: string } = await answer.catch(() => ({
      error: "the tests do not end",
    }));
    over.abort();
    if (!("error" in outcome)) return outcome;
    runner.kill("SIGKILL");
    this.#runner = undefined;
    throw new Error(`${file}: ${outcome.error}`);
  }

  async #startRunner(): Promise<ChildProcess> {
    const program = join(import.meta.dirname, "test-runner.mjs");
    const runner = fork(program, [this.folder, this.#pool], {
      cwd: this.folder,
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    await Promise.race([
      once(runner, "message"),
      once(runner, "exit").then(([status]) => {
        throw new Error(`the process that runs the tests ended with ${status}`);
      }),
    ]);
    return runner;
  }
}

/** @returns its folder; whoever asked removes it */
function copyTree(): string {
  const copy = mkdtempSync(join(tmpdir(), "mutants-"));
  const words = [
    "ls-files",
    "--cached",
    "--others",
    "--exclude-standard",
    "presets",
    "src",
    "test",
    "*.json",
    "*.ts",
  ];
  const tracked = execFileSync("git", words, { cwd: ROOT, encoding: "utf8" });
  for (const path of tracked.split("\n").filter(Boolean)) {
    mkdirSync(dirname(join(copy, path)), { recursive: true });
    cpSync(join(ROOT, path), join(copy, path));
  }
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
  return copy;
}
