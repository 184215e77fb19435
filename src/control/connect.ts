/** `tungate/client`: a running gateway from code, over its control socket. */
import { createControlClient } from "./client.ts";
import type { CommandOutcome, GatewayEvent, StatusDocument } from "./documents.ts";

export type {
  ChildStatus,
  CommandOutcome,
  ConnectionStatus,
  GatewayEvent,
  StatusDocument,
} from "./documents.ts";
export { ControlError, type ControlFailureCode } from "./error.ts";

export interface ConnectOptions {
  /** Path of the control socket; `/run/tungate/control.sock` unless told. */
  readonly path?: string;
}

export interface CommandOptions {
  /** How long to wait for the outcome, at most 600; 0 answers as soon as it is under way. 30 unless told. */
  readonly waitSeconds?: number;
}

export interface EventOptions {
  /** Events of this connection alone, and of its peers `NAME#N`. */
  readonly connection?: string;
  /** Id of the last event that is known; absent: what happens from now on. */
  readonly after?: string;
  /** Ends the events. */
  readonly signal?: AbortSignal;
  /** Waits for a gateway that is not there, or goes away, and takes up the events again; without it that is an error. */
  readonly persists?: boolean;
}

/** Every method rejects with a `ControlError`, whose `code` says why and whose message is for the operator. */
export interface TungateClient {
  /** @param connection - this one alone, or all peers of it; absent: all */
  status(connection?: string): Promise<StatusDocument>;
  /** Brings a connection, or `CONNECTION/CHILD`, up. That it failed is an outcome and no error. */
  up(name: string, options?: CommandOptions): Promise<CommandOutcome>;
  /** Takes it down, and does not call again until `up`. */
  down(name: string, options?: CommandOptions): Promise<CommandOutcome>;
  /** Replaces its keys. */
  rekey(name: string, options?: CommandOptions): Promise<CommandOutcome>;
  /** What happens, until the loop is left or `signal` says so. */
  events(options?: EventOptions): AsyncIterable<GatewayEvent>;
  /** Prometheus' text format. */
  metrics(): Promise<string>;
}

const DEFAULT_PATH = "/run/tungate/control.sock";
const DEFAULT_WAIT_SECONDS = 30;

/** Opens nothing yet: each call has a connection of its own. */
export function connect({ path = DEFAULT_PATH }: ConnectOptions = {}): TungateClient {
  const client = createControlClient(path);
  const command =
    (kind: "up" | "down" | "rekey") =>
    (name: string, options: CommandOptions = {}) => {
      const { waitSeconds = DEFAULT_WAIT_SECONDS } = options;
      const slash = name.indexOf("/");
      const target =
        slash < 0 ? { connection: name } : { connection: name.slice(0, slash), child: name.slice(slash + 1) };
      return client.command(kind, { ...target, waitSeconds });
    };
  return {
    status: (connection) => client.status(connection === undefined ? {} : { connection }),
    up: command("up"),
    down: command("down"),
    rekey: command("rekey"),
    events: (options = {}) => client.events(options),
    metrics: () => client.metrics(),
  };
}
