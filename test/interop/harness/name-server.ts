/** dnsmasq as the name server of a test world: its names are in a file that is read again on demand. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BackgroundProcess, until } from "./command.ts";
import type { Namespace } from "./namespace.ts";

export class NameServer {
  readonly #process: BackgroundProcess;
  readonly #names: string;

  private constructor(process: BackgroundProcess, names: string) {
    this.#process = process;
    this.#names = names;
  }

  /** Answers on port 53 of an address, for names below `test` alone: none but those that it is told exist. */
  static async start(namespace: Namespace, address: string, folder: string): Promise<NameServer> {
    mkdirSync(folder, { recursive: true });
    const names = join(folder, "names");
    writeFileSync(names, "");
    const process = new BackgroundProcess(
      namespace.command([
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--user=root",
        "--no-resolv",
        "--no-hosts",
        "--local=/test/",
        "--log-queries",
        "--log-facility=-",
        "--bind-interfaces",
        `--listen-address=${address}`,
        `--addn-hosts=${names}`,
      ]),
      join(folder, "dnsmasq.log"),
    );
    const server = new NameServer(process, names);
    await until(
      "dnsmasq answers",
      () => /read .*names/.test(server.log()),
      10_000,
      () => server.log(),
    );
    return server;
  }

  /** The names and their addresses from here on, in place of those before. */
  async say(names: Readonly<Record<string, readonly string[]>>): Promise<void> {
    const lines = Object.entries(names).flatMap(([name, addresses]) =>
      addresses.map((one) => `${one} ${name}\n`),
    );
    writeFileSync(this.#names, lines.join(""));
    const before = this.#reads();
    this.#process.signal("SIGHUP");
    await until("dnsmasq has read its names", () => this.#reads() > before);
  }

  #reads(): number {
    return this.log().split(/read .*names/).length;
  }

  log(): string {
    return this.#process.log();
  }

  async stop(): Promise<void> {
    await this.#process.stop();
  }
}
