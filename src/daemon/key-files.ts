/** Certificates and keys that are renewed while the gateway runs: noticed, read, and used from the next authentication on. */
import { TungateError } from "../base/errors.ts";
import { isSameValue } from "../base/same-value.ts";
import { ConfigError, formatConfigProblem } from "../config/config-error.ts";
import type { Configuration } from "../config/configuration.ts";
import type { Connection, OwnAuthentication, PrivateKeyId } from "../policy/connection.ts";
import { connectionKey } from "../policy/peer-numbers.ts";
import type { DaemonLog } from "./daemon-log.ts";
import { fileMark } from "./file-mark.ts";
import { wipeSecrets } from "./secrets.ts";

/** How often the files are looked at. */
const LOOK_MS = 2_000;
/** How often what expires is said again. */
const REMIND_MS = 86_400_000;
/** In place of what was seen of the files. */
const UNKNOWN = "not known";

export interface KeyFilesOptions {
  readonly configuration: Configuration;
  /** Reads the configuration anew. @throws {ConfigError} */
  readonly load: () => Promise<Configuration>;
  readonly log: DaemonLog;
  /** The running configuration with what the files now hold. */
  readonly onRenewed: (configuration: Configuration) => void;
}

export class KeyFiles {
  readonly #options: KeyFilesOptions;
  readonly #timer: NodeJS.Timeout;
  #current: Configuration;
  /** As read last, and as seen last: only what has come to rest is read. */
  #read: string;
  #seen: string;
  #remindedAt = performance.now();
  #isReading = false;
  /** Configurations that came meanwhile. */
  #changes = 0;
  #isClosed = false;

  constructor(options: KeyFilesOptions) {
    this.#options = options;
    this.#current = options.configuration;
    this.#read = this.#marks();
    this.#seen = this.#read;
    this.#timer = setInterval(() => void this.look(), LOOK_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#isClosed = true;
  }

  /** Another configuration runs. Its files may have been renewed since they were read for it: they are read once more. */
  replace(configuration: Configuration): void {
    this.#current = configuration;
    this.#read = configuration.keyFiles.length === 0 ? "" : UNKNOWN;
    this.#changes++;
  }

  /** Looks once; reads what differs from before and has not changed since the last look. */
  async look(): Promise<void> {
    if (this.#isReading) return;
    const marks = this.#marks();
    const isAtRest = marks === this.#seen;
    this.#seen = marks;
    const isReminding = performance.now() - this.#remindedAt > REMIND_MS;
    if (!isAtRest || (marks === this.#read && !isReminding)) return;
    const isRenewed = marks !== this.#read;
    this.#read = marks;
    if (isReminding) this.#remindedAt = performance.now();
    this.#isReading = true;
    const changes = this.#changes;
    const fresh = await this.#load(
      isRenewed
        ? "certificates or keys have changed and cannot be used; those from before stay in use"
        : "the configuration is no longer accepted; what runs stays as it is",
    );
    this.#isReading = false;
    if (fresh === undefined) return;
    // Certificates and private keys are taken from it, secrets never.
    wipeSecrets(fresh);
    if (this.#isClosed || changes !== this.#changes) return;
    if (isReminding) this.#remind(fresh);
    if (!isRenewed) return;
    const renewed = withAuthentication(this.#current, fresh);
    if (isSameValue(authentications(renewed), authentications(this.#current))) return;
    this.#current = renewed;
    this.#options.log.info(
      "certificates and keys were renewed; they are used from the next authentication on",
    );
    this.#options.onRenewed(this.#current);
  }

  async #load(failure: string): Promise<Configuration | undefined> {
    try {
      return await this.#options.load();
    } catch (error) {
      if (!(error instanceof TungateError)) throw error;
      const { log } = this.#options;
      log.error(failure);
      if (!(error instanceof ConfigError)) log.error(error.message);
      else for (const problem of error.problems) log.error(formatConfigProblem(problem));
      return undefined;
    }
  }

  #remind({ warnings }: Configuration): void {
    for (const warning of warnings)
      if (warning.code === "CONFIG_CERTIFICATE") this.#options.log.warn(formatConfigProblem(warning));
  }

  #marks(): string {
    return this.#current.keyFiles.map(fileMark).join();
  }
}

function authentications({ connections }: Configuration): unknown {
  return connections.map(({ connection: { local, remote } }) => [local.auth, remote.auth]);
}

/** The running configuration with the certificates and keys of another; everything else waits for a restart. */
export function withAuthentication(running: Configuration, fresh: Configuration): Configuration {
  // Not by name: the numbers of peers follow the file, which may have changed.
  const byKey = new Map(fresh.connections.map(({ connection }) => [connectionKey(connection), connection]));
  const connections = running.connections.map((configured) => {
    const renewed = byKey.get(connectionKey(configured.connection));
    return renewed === undefined
      ? configured
      : { ...configured, connection: renewedConnection(configured.connection, renewed) };
  });
  return { ...running, connections, privateKeys: keysOf(connections, running, fresh) };
}

/** The keys that connections name: one that the file has meanwhile given up is still a running connection's. */
function keysOf(
  connections: Configuration["connections"],
  running: Configuration,
  fresh: Configuration,
): Configuration["privateKeys"] {
  const known = new Map([...running.privateKeys, ...fresh.privateKeys]);
  const named = new Set(connections.flatMap(({ connection }) => namesOf(connection.local.auth)));
  return new Map([...known].filter(([name]) => named.has(name)));
}

function namesOf(own: OwnAuthentication): readonly PrivateKeyId[] {
  if (own.kind === "psk") return [];
  return own.kind === "pubkey" ? [own.key.id] : own.certificates.map(({ key }) => key.id);
}

function renewedConnection(running: Connection, fresh: Connection): Connection {
  const local = isByKeys(running.local.auth, fresh.local.auth)
    ? { ...running.local, auth: fresh.local.auth }
    : running.local;
  const remote = isByKeys(running.remote.auth, fresh.remote.auth)
    ? { ...running.remote, auth: fresh.remote.auth }
    : running.remote;
  return { ...running, local, remote };
}

/** Another way of authentication is another configuration. */
function isByKeys(running: { readonly kind: string }, fresh: { readonly kind: string }): boolean {
  return running.kind !== "psk" && running.kind === fresh.kind;
}
