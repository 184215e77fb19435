/**
 * `import { Gateway } from "tungate"`: a gateway within one's own process, composed like the daemon's. Nothing of the process is
 * touched: no signal, no handler of uncaught errors, no flags; whoever embeds it decides about those.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { utf8 } from "../base/bytes.ts";
import type { Configuration } from "../config/configuration.ts";
import { createFileReader } from "../config/file-reader.ts";
import { loadConfiguration } from "../config/load.ts";
import type { CommandOutcome, GatewayEvent, StatusDocument } from "../control/documents.ts";
import type { Health } from "../control/health.ts";
import { startControlServer } from "../control/server.ts";
import { completeProvider } from "../crypto/providers/selected.ts";
import { openDescriptorStore } from "../io/descriptor-store.ts";
import { useNativePrimitives } from "../io/native-primitives.ts";
import { createLog, type Logger } from "../observe/log.ts";
import { Cleanup } from "./cleanup.ts";
import { type Composition, compose } from "./composition.ts";
import { openMetrics } from "./metrics-listener.ts";
import type { RunningGateway } from "./running-gateway.ts";

export { ConfigError, type ConfigProblem } from "../config/config-error.ts";
export type {
  ChildStatus,
  CommandOutcome,
  ConnectionStatus,
  GatewayEvent,
  StatusDocument,
} from "../control/documents.ts";

export interface LogLine {
  readonly level: "trace" | "debug" | "info" | "warn" | "error" | "fatal";
  readonly time: string;
  readonly msg: string;
  /** Stable code of the notice, connection, child, and what else belongs to it. */
  readonly [field: string]: unknown;
}

export interface GatewayOptions {
  /** As in tungate.yaml: its text, or the same as an object. */
  readonly configuration: string | object;
  /** Where the relative paths in it begin; the working directory unless told. */
  readonly directory?: string;
  /** For secrets by `{ env: NAME }`; the process's own unless told. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Path of a control socket, for `tungate status` and the like; absent: none. */
  readonly control?: string;
  /** Told each line of the log. */
  readonly log?: (line: LogLine) => void;
  /** `info` unless told. */
  readonly logLevel?: "trace" | "debug" | "info" | "warn" | "error";
  /** A lane has failed, and the gateway has been stopped. */
  readonly onFailure?: (error: Error) => void;
}

export interface CommandOptions {
  /** How long to wait for the outcome; 0 answers as soon as it is under way. 30 unless told. */
  readonly waitSeconds?: number;
}

export interface EventOptions {
  /** Events of this connection alone, and of its peers `NAME#N`. */
  readonly connection?: string;
  /** Id of the last event that is known; absent: what happens from now on. */
  readonly after?: string;
  /** Ends the events; the end of the gateway does too. */
  readonly signal?: AbortSignal;
}

const DEFAULT_WAIT_SECONDS = 30;
/** From src/daemon and from dist/daemon alike. */
const PACKAGE = new URL("../../package.json", import.meta.url);

export class Gateway {
  readonly #composition: Composition;
  readonly #cleanup: Cleanup;
  readonly #stopped = new AbortController();
  #running: RunningGateway | undefined;
  #stopping: Promise<void> | undefined;

  /**
   * Opens devices and sockets, and begins to negotiate; needs the rights that the daemon needs.
   * @throws {ConfigError} with every problem; errors with a `code` and words when the system refuses something
   */
  static async start(options: GatewayOptions): Promise<Gateway> {
    await completeProvider();
    const load = configurationLoader(options);
    const configuration = load();
    useNativePrimitives();
    const { version } = JSON.parse(readFileSync(PACKAGE, "utf8")) as { version: string };
    const log = createLog({
      level: options.log === undefined ? "silent" : (options.logLevel ?? "info"),
      format: "json",
      useColor: false,
      destination: { write: (text) => options.log?.(JSON.parse(text) as LogLine) },
    });
    const gateway = new Gateway(compose({ configuration, version, log }));
    try {
      await gateway.#start(options, configuration, load, log);
      return gateway;
    } catch (error) {
      await gateway.stop();
      throw error;
    }
  }

  private constructor(composition: Composition) {
    this.#composition = composition;
    this.#cleanup = new Cleanup();
  }

  async #start(
    { control: path, onFailure }: GatewayOptions,
    configuration: Configuration,
    load: () => Configuration,
    log: Logger,
  ): Promise<void> {
    const { control } = this.#composition;
    const reportFailure = (error: unknown) =>
      log.error({ err: error }, "a request on the control socket failed");
    if (path !== undefined) {
      const server = await startControlServer({ path, target: control, reportFailure });
      this.#cleanup.add("control socket", server, (one) => one.close());
    }
    const { metrics } = configuration.gateway;
    this.#cleanup.add("metrics", openMetrics(metrics, control.measurements, log), (one) => one.close());
    let failure: Error | undefined;
    const running = await this.#composition.start({
      load: async () => load(),
      onFatal: (error) => {
        failure = error;
        // While it starts, that fails instead.
        if (this.#running !== undefined) void this.#endAfter(error, onFailure, log);
      },
      store: openDescriptorStore(undefined, {}, process.pid),
    });
    this.#running = running;
    if (failure !== undefined) throw failure;
  }

  async #endAfter(error: Error, onFailure: GatewayOptions["onFailure"], log: Logger): Promise<void> {
    try {
      await this.stop();
    } catch (reason) {
      log.error({ err: reason }, "the gateway did not stop in order");
    }
    onFailure?.(error);
  }

  /** @param connection - this one alone, or all peers of it; absent: all. @throws when no such connection is configured */
  status(connection?: string): StatusDocument {
    return this.#composition.control.status({
      limit: Number.MAX_SAFE_INTEGER,
      ...(connection === undefined ? {} : { connection }),
    });
  }

  /** Brings a connection, or `CONNECTION/CHILD`, up. That it failed is an outcome and no error. */
  up(name: string, options?: CommandOptions): Promise<CommandOutcome> {
    return this.#command("up", name, options);
  }

  /** Takes it down, and does not call again until `up`. */
  down(name: string, options?: CommandOptions): Promise<CommandOutcome> {
    return this.#command("down", name, options);
  }

  /** Replaces its keys. */
  rekey(name: string, options?: CommandOptions): Promise<CommandOutcome> {
    return this.#command("rekey", name, options);
  }

  /** What happens from this call on, until the loop is left, `signal` says so, or the gateway stops. */
  events({ connection, after, signal }: EventOptions = {}): AsyncIterable<GatewayEvent> {
    const reader = this.#composition.events.stream.read(after, connection);
    const stopped = this.#stopped.signal;
    return (async function* () {
      const end = signal === undefined ? stopped : AbortSignal.any([stopped, signal]);
      for (;;) {
        const event = await reader.next(end);
        if (event === undefined || signal?.aborted === true) return;
        yield event;
      }
    })();
  }

  /** Prometheus' text format. */
  metrics(): string {
    return this.#composition.measurements.metrics();
  }

  /** Whether every lane moves. */
  health(): Health {
    return this.#composition.measurements.health();
  }

  /** Whether everything with `keep: up` is up. */
  readiness(): Health {
    return this.#composition.measurements.readiness();
  }

  /** Says goodbye to peers, closes everything; routes stay or go as `on_exit` says. A gateway does not start again. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const { control, measurements, events } = this.#composition;
    const running = this.#running;
    this.#running = undefined;
    measurements.detach();
    await running?.stop();
    events.detach();
    control.detach();
    await this.#cleanup.run();
    this.#stopped.abort();
  }

  #command(
    kind: "up" | "down" | "rekey",
    name: string,
    { waitSeconds = DEFAULT_WAIT_SECONDS }: CommandOptions = {},
  ): Promise<CommandOutcome> {
    const slash = name.indexOf("/");
    const target =
      slash < 0 ? { connection: name } : { connection: name.slice(0, slash), child: name.slice(slash + 1) };
    return this.#composition.control.command(kind, { ...target, waitSeconds }, this.#stopped.signal);
  }
}

/** Reads it as a file of the directory that nobody else can read, whose text is at hand. */
function configurationLoader({
  configuration,
  directory = ".",
  environment = process.env,
}: GatewayOptions): () => Configuration {
  // JSON is YAML.
  const text = typeof configuration === "string" ? configuration : JSON.stringify(configuration, null, 2);
  const file = resolve(directory, "configuration");
  const files = createFileReader(environment);
  return () =>
    loadConfiguration(file, {
      ...files,
      readFile: (path, octetsMax) =>
        path === file ? { kind: "file", bytes: utf8(text), mode: 0o600 } : files.readFile(path, octetsMax),
    });
}
