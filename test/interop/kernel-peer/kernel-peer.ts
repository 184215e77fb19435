/** A Linux kernel with its own ESP as the peer: user-mode-linux, booted as an ordinary process in a namespace. */

import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { BackgroundProcess, type Outcome, run, until } from "../harness/command.ts";
import type { Namespace } from "../harness/namespace.ts";

const MODULES = "/usr/lib/uml/modules";
const MEMORY_MB = 384;
const BOOT_MS = 60_000;
/** It emulates a whole machine on one processor, against clocks that do not wait: it goes before the other tests. */
const NICENESS = "-5";

export interface KernelPeerOptions {
  /** Name of the peer's other end in the namespace; inside it is eth0. */
  readonly interfaceName?: string;
  readonly memoryMb?: number;
}

export class KernelPeer {
  readonly #folder: string;
  readonly #process: BackgroundProcess;
  #last = 0;

  private constructor(folder: string, process: BackgroundProcess) {
    this.#folder = folder;
    this.#process = process;
  }

  /**
   * Boots a peer whose eth0 is joined with a new interface of the namespace. The driver needs a TAP that stays up for as
   * long as the peer runs.
   * @param folder  for the exchange of commands; made here
   */
  static async boot(
    namespace: Namespace,
    folder: string,
    options: KernelPeerOptions = {},
  ): Promise<KernelPeer> {
    const exchange = join(folder, "exchange");
    mkdirSync(join(folder, "uml"), { recursive: true });
    mkdirSync(exchange);
    for (const name of ["guest-init.sh", "agent.sh"]) {
      cpSync(join(import.meta.dirname, name), join(exchange, name));
      chmodSync(join(exchange, name), 0o755);
    }
    const tap = options.interfaceName ?? "wan0";
    await namespace.ip(`tuntap add dev ${tap} mode tap\nlink set ${tap} up`);
    const words = [
      `mem=${options.memoryMb ?? MEMORY_MB}M`,
      "rootfstype=hostfs",
      "root=none",
      "ro",
      `init=${join(exchange, "guest-init.sh")}`,
      "con=null",
      "con0=fd:0,fd:1",
      "ssl=null",
      `uml_dir=${join(folder, "uml")}/`,
      "umid=peer",
      "panic=-1",
      "noreboot",
      "quiet",
      "loglevel=3",
      "raid=noautodetect",
      `vec0:transport=tap,ifname=${tap},depth=128,gro=1`,
      `peer_folder=${exchange}`,
      `peer_modules=${modulesFolder()}`,
    ];
    // The console is our pipe: when this test ends, however, the peer reads its end and powers off.
    const machine = new BackgroundProcess(
      namespace.command(["nice", "-n", NICENESS, "env", ...(await preload(folder)), "linux.uml", ...words]),
      join(folder, "console"),
      {},
      "pipe",
    );
    const peer = new KernelPeer(folder, machine);
    await until(
      "the kernel peer has booted",
      () => {
        if (machine.exitStatus !== undefined)
          throw new Error(`the kernel peer stopped while booting: ${peer.console()}`);
        return existsSync(join(exchange, "ready"));
      },
      BOOT_MS,
      () => peer.console(),
    );
    await peer.run("[ -e /sys/class/net/eth0 ] || ip link set vec0 name eth0; ip link set eth0 up");
    return peer;
  }

  console(): string {
    return this.#process.log();
  }

  /** Runs a bash script inside. @throws Error with its words unless it `mayFail` */
  async run(script: string, options: { timeoutMs?: number; mayFail?: boolean } = {}): Promise<Outcome> {
    this.#last += 1;
    const name = `c${this.#last}`;
    const path = join(this.#folder, "exchange", name);
    writeFileSync(`${path}.sh`, script);
    this.#process.child.stdin!.write(`${name}\n`);
    await until(
      `the kernel peer runs: ${script.slice(0, 200)}`,
      () => {
        if (this.#process.exitStatus !== undefined)
          throw new Error(`the kernel peer died: ${this.console()}`);
        return existsSync(`${path}.status`);
      },
      options.timeoutMs ?? 30_000,
      () => (existsSync(`${path}.err`) ? readFileSync(`${path}.err`, "utf8") : ""),
    );
    const read = (ending: string) => readFileSync(`${path}.${ending}`, "utf8");
    const outcome = { status: Number(read("status")), stdout: read("out"), stderr: read("err") };
    if (outcome.status !== 0 && options.mayFail !== true) {
      throw new Error(`in the kernel peer: status ${outcome.status}: ${outcome.stderr}${outcome.stdout}`);
    }
    return outcome;
  }

  /** Shows a file of ours inside, as the path that this gives. */
  putFile(path: string): string {
    cpSync(path, join(this.#folder, "exchange", basename(path)));
    return `/run/exchange/${basename(path)}`;
  }

  /** Runs a script that keeps running; what it writes is lost unless it sees to it. */
  async start(script: string): Promise<void> {
    await this.run(`setsid bash -c ${quote(script)} </dev/null >/dev/null 2>&1 &`);
  }

  async stop(): Promise<void> {
    if (this.#process.exitStatus === undefined) this.#process.child.stdin!.end("off\n");
    try {
      await this.#process.ended(5_000);
    } catch {
      await this.#process.stop("SIGKILL");
    }
  }
}

/** Builds wide-registers.cc; without a compiler the peer boots where the processor is none of the newest. */
async function preload(folder: string): Promise<string[]> {
  const library = join(folder, "wide-registers.so");
  const source = join(import.meta.dirname, "wide-registers.cc");
  const outcome = await run(["g++", "-std=c++20", "-O1", "-shared", "-fPIC", "-o", library, source], {
    mayFail: true,
  });
  return outcome.status === 0 ? [`LD_PRELOAD=${library}`] : [];
}

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

function modulesFolder(): string {
  const version = execFileSync("linux.uml", ["--version"], { encoding: "utf8" }).trim().split("\n").at(-1)!;
  if (!readdirSync(MODULES).includes(version))
    throw new Error(`no modules of linux.uml ${version} below ${MODULES}`);
  return join(MODULES, version);
}
