/** The sockets that the control API is served on: one for commands, one for questions alone; both follow the configuration. */
import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import type { GatewaySettings } from "../config/configuration.ts";
import { ControlError } from "../control/error.ts";
import { type ControlServer, type ControlSocket, startControlServer } from "../control/server.ts";
import type { ControlTarget } from "../control/target.ts";
import { systemCode } from "../io/io-error.ts";
import { lockFile } from "../io/native-process.ts";

/** How long requests on a socket that goes have to be answered: that which made it go is one of them. */
const GOING_MS = 5_000;

export interface ControlSocketsOptions {
  readonly target: ControlTarget;
  readonly reportFailure: (error: unknown) => void;
  /** Instead of the configured path. */
  readonly path?: string | undefined;
}

type Settings = Omit<GatewaySettings["control"], "allowKeyExport">;

export class ControlSockets {
  readonly #options: ControlSocketsOptions;
  readonly #servers = new Map<string, { readonly socket: ControlSocket; readonly server: ControlServer }>();
  readonly #going = new Set<Promise<void>>();

  constructor(options: ControlSocketsOptions) {
    this.#options = options;
  }

  /** @throws {ControlError} nothing has changed then */
  async follow(settings: Settings): Promise<void> {
    const wanted = this.#wanted(settings);
    const added: string[] = [];
    const regrouped: { server: ControlServer; before: string | undefined }[] = [];
    try {
      for (const socket of wanted) {
        const known = this.#servers.get(keyOf(socket));
        if (known === undefined) {
          this.#servers.set(keyOf(socket), { socket, server: await this.#start(socket) });
          added.push(keyOf(socket));
        } else if (known.socket.group !== socket.group) {
          known.server.setGroup(socket.group);
          regrouped.push({ server: known.server, before: known.socket.group });
          this.#servers.set(keyOf(socket), { socket, server: known.server });
        }
      }
    } catch (error) {
      for (const { server, before } of regrouped) server.setGroup(before);
      for (const key of added) this.#close(key, 0);
      throw error;
    }
    const kept = new Set(wanted.map(keyOf));
    for (const key of [...this.#servers.keys()]) if (!kept.has(key)) this.#close(key, GOING_MS);
  }

  async close(): Promise<void> {
    for (const key of [...this.#servers.keys()]) this.#close(key, 0);
    await Promise.all(this.#going);
  }

  #wanted({ path, group, readOnly }: Settings): readonly ControlSocket[] {
    const main = { path: this.#options.path ?? path, group, isReadOnly: false };
    if (readOnly === undefined) return [main];
    return [main, { path: readOnly.path, group: readOnly.group ?? group, isReadOnly: true }];
  }

  #start(socket: ControlSocket): Promise<ControlServer> {
    const { target, reportFailure } = this.#options;
    return startControlServer({ ...socket, target, reportFailure, hold, mayReplaceGlobals: true });
  }

  #close(key: string, patienceMs: number): void {
    const known = this.#servers.get(key);
    if (known === undefined) return;
    this.#servers.delete(key);
    const going = known.server.close(patienceMs).finally(() => this.#going.delete(going));
    this.#going.add(going);
  }
}

function keyOf({ path, isReadOnly }: ControlSocket): string {
  return `${isReadOnly === true ? "r" : "w"}${path}`;
}

/** The lock goes with the process, however that ends; the file stays and says whose it was last. */
function hold(path: string): () => void {
  const name = `${path}.lock`;
  let fd: number;
  try {
    fd = openSync(name, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    throw new ControlError(
      "CONTROL_SOCKET",
      `${name} cannot be made (${systemCode(error) ?? "unknown error"}); the service's user needs the right to write its directory, or set gateway.control.path`,
    );
  }
  if (!lockFile(fd)) {
    const holder = /^\d{1,10}$/.exec(readFileSync(fd, "utf8").trim())?.[0];
    closeSync(fd);
    throw new ControlError(
      "CONTROL_ALREADY_RUNNING",
      `another tungate${holder === undefined ? "" : `, process ${holder},`} holds ${path}; stop it, or give this one another gateway.control.path`,
    );
  }
  ftruncateSync(fd);
  writeSync(fd, `${process.pid}\n`, 0);
  return () => closeSync(fd);
}
