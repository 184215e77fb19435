/** `tungate/client`: a running gateway from code, over its control socket. */
import { openCapture, stopCapture } from "./capture-client.ts";
import { SNAP_MAX } from "./capture-schema.ts";
import { createControlClient } from "./client.ts";
import type {
  CommandOutcome,
  ExplainAnswer,
  GatewayEvent,
  ReloadOutcome,
  StatusDocument,
} from "./documents.ts";
import { ControlError } from "./error.ts";

export type {
  ChildStatus,
  CommandOutcome,
  ConnectionStatus,
  ExplainAnswer,
  GatewayEvent,
  ReloadOutcome,
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

export interface ReloadOptions {
  /** On trial: what ran before comes back unless {@link TungateClient.keepReload} is called in so many seconds, 5 to 86,400. */
  readonly confirmSeconds?: number;
}

export interface Packet {
  /** IP addresses of one family. */
  readonly source: string;
  readonly destination: string;
  /** `tcp`, `udp`, `icmp` ... or the number as text. */
  readonly protocol?: string;
  readonly sourcePort?: number;
  /** With ICMP the type. */
  readonly port?: number;
}

export interface CaptureOptions {
  /** Of this connection, and of its peers `NAME#N`. */
  readonly connection?: string;
  /** To or from this address only, inner or outer. */
  readonly host?: string;
  /** It ends after this time. */
  readonly seconds?: number;
  /** It ends before it is longer. */
  readonly octetsMax?: number;
  /** Octets that are kept of a packet, 64 to 262,144. */
  readonly snap?: number;
}

/** A pcapng file that grows until its end; leaving the loop ends it. Pieces are of any length. */
export interface Capture extends AsyncIterable<Uint8Array> {
  /** Ends it in good order: the loop goes on until the statistics at the end of the file. */
  stop(): Promise<void>;
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
  /** Says what {@link reload} would change, and does nothing. */
  planReload(): Promise<ReloadOutcome>;
  /** Takes the configuration file over as a whole or not at all. That it is refused is an outcome and no error. */
  reload(options?: ReloadOptions): Promise<ReloadOutcome>;
  /** What is on trial stays. */
  keepReload(): Promise<ReloadOutcome>;
  /** What is on trial goes, and what ran before comes back. */
  undoReload(): Promise<ReloadOutcome>;
  /** What becomes of a packet and of its answer. */
  explain(packet: Packet): Promise<ExplainAnswer>;
  /** Inner and outer packets and IKE in clear, without keys; one at a time in a gateway. */
  capture(options?: CaptureOptions): Promise<Capture>;
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
    planReload: () => client.reload({ plan: true }),
    reload: (options = {}) => client.reload({ plan: false, ...options }),
    keepReload: () => client.endTrial("reloadKeep"),
    undoReload: () => client.endTrial("reloadUndo"),
    explain: (packet) => client.explain(packet),
    capture: (options = {}) => capture(path, options),
  };
}

async function capture(path: string, options: CaptureOptions): Promise<Capture> {
  const answer = await openCapture(path, { snap: SNAP_MAX, ...options, keys: false });
  let isEnded = false;
  answer.once("close", () => {
    isEnded = true;
  });
  return {
    async stop() {
      // Another client's may run by then.
      if (!isEnded) await stopCapture(path).catch(unlessOver);
    },
    async *[Symbol.asyncIterator]() {
      try {
        yield* answer as AsyncIterable<Uint8Array>;
      } catch {
        throw new ControlError("CONTROL_NO_ANSWER", `the daemon on ${path} ended before the capture did`);
      } finally {
        answer.destroy();
      }
    },
  };
}

function unlessOver(error: unknown): void {
  if (!(error instanceof ControlError && error.code === "CONTROL_NOT_FOUND")) throw error;
}
