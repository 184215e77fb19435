/** A real systemd as the first process of a container, see container.sh. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BackgroundProcess, type Outcome, type RunOptions, run, until } from "../harness/command.ts";
import type { Namespace } from "../harness/namespace.ts";
import { addWitness } from "../harness/witness.ts";

const BOOT_MS = 60_000;

export class SystemdContainer {
  readonly #process: BackgroundProcess;
  readonly #init: number;

  private constructor(process: BackgroundProcess, init: number) {
    this.#process = process;
    this.#init = init;
  }

  /**
   * Boots it in a network namespace.
   * @param folder  of this container alone, and there
   * @param root  stays as it is: what is written lies in a layer above
   * @param tree  is shown as /run/tree, read-only
   */
  static async boot(
    namespace: Namespace,
    folder: string,
    root: string,
    tree: string,
  ): Promise<SystemdContainer> {
    const script = join(import.meta.dirname, "container.sh");
    const outside = new BackgroundProcess(
      ["unshare", "--mount", "bash", script, namespace.name, folder, root, tree],
      join(folder, "console"),
      {},
      "pipe",
    );
    const pidFile = join(folder, "init");
    await until(
      "the container has its first process",
      () => {
        if (outside.exitStatus !== undefined) throw new Error(`there is no container: ${outside.log()}`);
        return existsSync(pidFile) && readFileSync(pidFile, "utf8").endsWith("\n");
      },
      BOOT_MS,
      () => outside.log(),
    );
    const container = new SystemdContainer(outside, Number(readFileSync(pidFile, "utf8")));
    addWitness(`the journal in ${namespace.name}`, () => container.#journal());
    await until(
      "systemd has booted",
      async () => {
        const { stdout } = await container.run("systemctl is-system-running --wait", { mayFail: true });
        return stdout.trim() === "running";
      },
      BOOT_MS,
      () => outside.log(),
    );
    return container;
  }

  /** Runs a bash script inside. @throws Error with its words unless it `mayFail` */
  run(script: string, options?: RunOptions): Promise<Outcome> {
    return run([...this.#enter(), "bash", "-c", script], options);
  }

  /** The words that run a command inside, with no more of our environment than a login there has. */
  #enter(): string[] {
    const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    const environment = ["env", "-i", "LC_ALL=C.UTF-8", "HOME=/root", `PATH=${path}`];
    return ["nsenter", "--target", `${this.#init}`, "--all", ...environment];
  }

  #journal(): string {
    if (this.#process.exitStatus !== undefined) return this.#process.log();
    const [program, ...words] = [...this.#enter(), "journalctl", "--boot", "--no-pager", "--lines", "50"];
    return spawnSync(program!, words, { encoding: "utf8" }).stdout;
  }

  async stop(): Promise<void> {
    this.#process.child.stdin!.end();
    await this.#process.ended();
  }
}
