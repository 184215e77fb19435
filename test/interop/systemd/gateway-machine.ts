/** A Debian machine with systemd in which the package of this checkout is installed. */
import { copyFileSync, cpSync, mkdirSync, realpathSync, renameSync } from "node:fs";
import { join } from "node:path";
import { run, until } from "../harness/command.ts";
import type { Namespace } from "../harness/namespace.ts";
import { ROOT } from "../harness/prerequisites.ts";
import { SystemdContainer } from "./container.ts";
import { systemdRoot } from "./root.ts";

/** In the tree that the machine sees as /run/tree. */
export const PACKAGE = "tungate.deb";
/** The machine may be busy with other things. */
const SLOW_MS = 60_000;

export class GatewayMachine {
  readonly #container: SystemdContainer;

  private constructor(container: SystemdContainer) {
    this.#container = container;
  }

  /** Boots it in a namespace, and installs the service; nothing is enabled or started. */
  static async boot(namespace: Namespace, folder: string): Promise<GatewayMachine> {
    const stage = join(folder, "stage");
    mkdirSync(join(stage, "usr/local/bin"), { recursive: true });
    const { stdout } = await run([join(ROOT, "scripts/deb"), folder], { timeoutMs: SLOW_MS });
    renameSync(stdout.trim(), join(stage, PACKAGE));
    copyFileSync(realpathSync(process.execPath), join(stage, "usr/local/bin/node"));
    cpSync(join(import.meta.dirname, "probe.sh"), join(stage, "usr/local/bin/probe"));
    const container = await SystemdContainer.boot(namespace, folder, await systemdRoot(), stage);
    const machine = new GatewayMachine(container);
    await machine.run("cp -a /run/tree/usr/. /usr/ && chmod 755 /usr/local/bin/node /usr/local/bin/probe");
    await machine.run(`dpkg --force-unsafe-io --install /run/tree/${PACKAGE}`);
    return machine;
  }

  stop(): Promise<void> {
    return this.#container.stop();
  }

  async run(script: string): Promise<string> {
    return (await this.#container.run(script, { timeoutMs: SLOW_MS })).stdout.trim();
  }

  /** Value of a property that `systemctl show` knows. */
  async property(name: string, unit = "tungate.service"): Promise<string> {
    return this.run(`systemctl show --property=${name} --value ${unit}`);
  }

  async hasProperty(name: string, value: string, unit = "tungate.service"): Promise<void> {
    await until(
      `${name} of ${unit} is ${value}`,
      async () => (await this.property(name, unit)) === value,
      SLOW_MS,
    );
  }

  async journal(unit = "tungate.service"): Promise<string> {
    return this.run(`journalctl --boot --no-pager --unit ${unit} --lines 200`);
  }

  /** Fields of /proc/PID/status of the service's main process. */
  async processStatus(): Promise<Readonly<Record<string, string>>> {
    const text = await this.run(`cat /proc/${await this.property("MainPID")}/status`);
    return Object.fromEntries(text.split("\n").map((line) => line.split(/:\s*/, 2)));
  }
}
