/** Our own daemon as the unit runs it: unprivileged, with exactly the unit's ambient capabilities. */
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import type { CommandOutcome, ConnectionStatus, StatusDocument } from "../../../src/control/schema.ts";
import { BackgroundProcess, type Outcome, run, until } from "./command.ts";
import type { Namespace } from "./namespace.ts";
import { PROGRAM, ROOT } from "./prerequisites.ts";
import { addWitness } from "./witness.ts";

/** A user that the machine does not know, as with DynamicUser. */
export const UNPRIVILEGED = 64_997;
/** A start takes a second; the machine may be busy with other things. */
const READY_MS = 60_000;
const CAPABILITIES = "-all,+net_admin,+net_raw,+net_bind_service";
/** Where the daemon finds the tree and Node, whatever the rights of the checkout's parents are. */
export const TREE = "/run/tree";
const NODE = "/run/node";

export interface GatewayOptions {
  /** Words for setpriv in place of the unit's capabilities. */
  readonly capabilities?: string;
  /** Shell commands that run as root before, in the daemon's own mount namespace. */
  readonly before?: string;
  /** More words for Node itself. */
  readonly nodeWords?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A TUN device that is opened for it, by root. */
  readonly passes?: string;
  /** Under a service manager that keeps descriptors and starts it again, see supervisor.py. */
  readonly isSupervised?: true;
}

export class Gateway {
  readonly namespace: Namespace;
  readonly folder: string;
  #process: BackgroundProcess | undefined;

  /** @param folder  a folder of this instance alone; made when it is not there */
  constructor(namespace: Namespace, folder: string) {
    this.namespace = namespace;
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
    chownSync(folder, UNPRIVILEGED, UNPRIVILEGED);
    addWitness(`tungate in ${namespace.name}`, () => this.log());
  }

  get controlPath(): string {
    return join(this.folder, "control/control.sock");
  }

  get configurationPath(): string {
    return join(this.folder, "tungate.yaml");
  }

  /** Writes a file that only the daemon's user can read. */
  writeSecret(name: string, content: string | Uint8Array): void {
    const path = join(this.folder, name);
    writeFileSync(path, content);
    chmodSync(path, 0o600);
    chownSync(path, UNPRIVILEGED, UNPRIVILEGED);
  }

  /** Starts the daemon and waits until it answers on its control socket. */
  async start(configuration: string, options: GatewayOptions = {}): Promise<this> {
    this.launch(configuration, options);
    await this.isReady();
    return this;
  }

  /** Waits until the daemon says that it runs, and answers. @throws Error with its log when it does not, or has ended */
  async isReady(): Promise<void> {
    await until(
      "the daemon answers",
      async () => {
        if (this.#process?.exitStatus !== undefined)
          throw new Error(`the daemon ended with ${this.#process.exitStatus}: ${this.log()}`);
        return /\btungate \S+ is running\b/.test(this.log()) && (await this.status()) !== undefined;
      },
      READY_MS,
      () => this.log(),
    );
  }

  /** Another configuration, for the next start. */
  configure(text: string): void {
    writeFileSync(this.configurationPath, text);
  }

  /** Starts the daemon and waits for nothing. */
  launch(configuration: string, options: GatewayOptions = {}): BackgroundProcess {
    writeFileSync(join(this.folder, "log"), "");
    writeFileSync(this.configurationPath, configuration);
    chmodSync(this.configurationPath, 0o644);
    const capabilities = options.capabilities ?? CAPABILITIES;
    const script = `
      mount -t tmpfs -o mode=755 tmpfs /run && mkdir ${TREE} && : >${NODE} &&
      mount --bind "$TREE_SOURCE" ${TREE} && mount --bind "$NODE_SOURCE" ${NODE} || exit 125
      unset NODE_OPTIONS NODE_PATH NODE_EXTRA_CA_CERTS
      ${options.before ?? ""}
      exec ${options.passes === undefined ? "" : `/usr/bin/python3 ${TREE}/test/interop/harness/pass-tun.py ${options.passes}`} setpriv --reuid ${UNPRIVILEGED} --regid ${UNPRIVILEGED} --clear-groups --inh-caps=${capabilities} \
        --ambient-caps=${capabilities} --bounding-set=${capabilities} --no-new-privs \
        ${options.isSupervised === true ? `/usr/bin/python3 ${TREE}/test/interop/harness/supervisor.py ` : ""}${NODE} ${options.nodeWords?.join(" ") ?? ""} ${TREE}/dist/cli/main.js run -c "$CONFIGURATION" --control "$CONTROL"`;
    this.#process = new BackgroundProcess(
      this.namespace.command(["sh", "-c", script]),
      join(this.folder, "log"),
      {
        TREE_SOURCE: ROOT,
        NODE_SOURCE: process.execPath,
        CONFIGURATION: this.configurationPath,
        CONTROL: this.controlPath,
        HOME: "/",
        ...options.env,
      },
    );
    return this.#process;
  }

  get process(): BackgroundProcess {
    if (this.#process === undefined) throw new Error("the daemon was not started");
    return this.#process;
  }

  /** What the daemon wrote since its last start: of JSON lines their texts, as an operator reads them. */
  log(): string {
    const path = join(this.folder, "log");
    if (!existsSync(path)) return "";
    return readFileSync(path, "utf8").split("\n").map(readable).join("\n");
  }

  async logSays(pattern: RegExp, timeoutMs = 60_000): Promise<void> {
    await until(
      `our log says ${pattern}`,
      () => pattern.test(this.log()),
      timeoutMs,
      () => this.log().slice(-4000),
    );
  }

  /** A command of the command line, run against this daemon. */
  cli(...words: string[]): Promise<Outcome> {
    return run([...PROGRAM, ...words, "--control", this.controlPath], {
      mayFail: true,
      timeoutMs: 60_000,
    });
  }

  status(): Promise<StatusDocument> {
    return this.#request("GET", "/v1/status") as Promise<StatusDocument>;
  }

  command(
    kind: "up" | "down" | "rekey",
    connection: string,
    child?: string,
    waitSeconds = 20,
  ): Promise<CommandOutcome> {
    return this.#request("POST", `/v1/${kind}`, {
      connection,
      ...(child === undefined ? {} : { child }),
      waitSeconds,
    }) as Promise<CommandOutcome>;
  }

  async connection(name: string): Promise<ConnectionStatus> {
    const found = (await this.status()).connections.find((one) => one.name === name);
    if (found === undefined) throw new Error(`status does not show ${name}`);
    return found;
  }

  /** Waits until a child (or all children) of the connection are up. */
  async isUp(name: string, child?: string, timeoutMs = 60_000): Promise<ConnectionStatus> {
    return until(
      `${name} is up`,
      async () => {
        const found = await this.connection(name);
        const children = found.children.filter((one) => child === undefined || one.name === child);
        return (
          found.state === "up" && children.length > 0 && children.every((one) => one.state === "up") && found
        );
      },
      timeoutMs,
      () => this.log().slice(-4000),
    );
  }

  /** With `isSupervised`: has the supervisor end the daemon and start it again, and waits until the new one is ready. */
  async restart(how: "clean" | "kill"): Promise<void> {
    /** What was written since each start: a process may say that it runs only after the signal that ends it. */
    const starts = () =>
      this.log()
        .split(/^supervisor: start /m)
        .slice(1);
    const before = starts().length;
    this.process.signal(how === "clean" ? "SIGHUP" : "SIGUSR1");
    await until(
      "the daemon is started again",
      () => {
        const all = starts();
        return all.length > before && /\btungate \S+ is running\b/.test(all.at(-1)!);
      },
      READY_MS,
      () => this.log().slice(-4000),
    );
  }

  async stop(): Promise<number> {
    return this.#process === undefined ? 0 : this.#process.stop("SIGTERM");
  }

  async kill(): Promise<void> {
    await this.#process?.stop("SIGKILL");
  }

  #request(method: string, path: string, body?: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          socketPath: this.controlPath,
          path,
          method,
          timeout: 60_000,
          headers: { host: "localhost", "content-type": "application/json" },
        },
        (answer) => {
          const chunks: Buffer[] = [];
          answer.on("data", (chunk: Buffer) => chunks.push(chunk));
          answer.on("error", reject);
          answer.on("end", () => {
            const text = Buffer.concat(chunks).toString("utf8");
            if (answer.statusCode === 200) resolve(JSON.parse(text));
            else reject(new Error(`${method} ${path}: ${answer.statusCode} ${text}`));
          });
        },
      );
      outgoing.on("error", reject);
      outgoing.on("timeout", () => outgoing.destroy(new Error(`${path}: no answer`)));
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

function readable(line: string): string {
  if (!line.startsWith("{")) return line;
  try {
    const texts = (value: unknown): string[] =>
      typeof value === "string"
        ? [value]
        : typeof value === "object" && value !== null
          ? Object.values(value).flatMap(texts)
          : [];
    return texts(JSON.parse(line)).join("  ");
  } catch {
    return line;
  }
}
