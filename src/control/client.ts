/** Talks to a running daemon over its control socket. */
import { request } from "node:http";
import type * as z from "zod";
import { BLACKBOX_PATH, type BlackboxDocument, blackboxDocument } from "./blackbox-schema.ts";
import { ControlError, checkSocketPath, systemCode } from "./error.ts";
import { type FollowOptions, followEvents } from "./events-client.ts";
import type { GatewayEvent } from "./events-schema.ts";
import { type ExplainAnswer, type ExplainQuery, explainAnswer } from "./explain-schema.ts";
import { LOG_PATH, type LogDocument, type LogRequest, logDocument } from "./log-schema.ts";
import { type ReloadOutcome, type ReloadRequest, reloadOutcome } from "./reload-schema.ts";
import {
  ANSWER_OCTETS_MAX,
  CONTROL_API_VERSION,
  CONTROL_PATHS,
  type CommandKind,
  type CommandOutcome,
  type CommandRequest,
  commandOutcome,
  controlErrorAnswer,
  type StatusDocument,
  type StatusQuery,
  statusDocument,
} from "./schema.ts";

import { type TrafficDocument, trafficDocument } from "./traffic-schema.ts";

/** For answers that wait for nothing. */
const ANSWER_TIMEOUT_MS = 10_000;
/** Passwords of key files are slow to try, thousands of routes slow to set. */
const RELOAD_TIMEOUT_MS = 120_000;

export interface ControlClient {
  /** @throws {@link ControlError} */
  blackbox(connection: string | undefined): Promise<BlackboxDocument>;
  /** @throws {@link ControlError} */
  logLevels(): Promise<LogDocument>;
  /** @throws {@link ControlError} */
  setLogLevel(request: LogRequest): Promise<LogDocument>;
  /** @throws {@link ControlError} */
  status(query?: Partial<StatusQuery>): Promise<StatusDocument>;
  /** @throws {@link ControlError} */
  explain(query: ExplainQuery): Promise<ExplainAnswer>;
  /** @throws {@link ControlError} */
  traffic(): Promise<TrafficDocument>;
  /** @throws {@link ControlError} */
  command(kind: CommandKind, command: CommandRequest): Promise<CommandOutcome>;
  /** @throws {@link ControlError} */
  metrics(): Promise<string>;
  /** @throws {@link ControlError} */
  events(options: FollowOptions): AsyncGenerator<GatewayEvent, void, void>;
  /** @throws {@link ControlError} */
  reload(asked: ReloadRequest): Promise<ReloadOutcome>;
  /** Ends a trial. @throws {@link ControlError} */
  endTrial(kind: "reloadKeep" | "reloadUndo"): Promise<ReloadOutcome>;
}

export function createControlClient(path: string): ControlClient {
  return {
    status: (query = {}) =>
      ask(path, "GET", asked(CONTROL_PATHS.status, query), undefined, ANSWER_TIMEOUT_MS, statusDocument),
    traffic: () => ask(path, "GET", CONTROL_PATHS.traffic, undefined, ANSWER_TIMEOUT_MS, trafficDocument),
    explain: (query) =>
      ask(path, "GET", asked(CONTROL_PATHS.explain, query), undefined, ANSWER_TIMEOUT_MS, explainAnswer),
    blackbox: (connection) =>
      ask(
        path,
        "GET",
        asked(BLACKBOX_PATH, connection === undefined ? {} : { connection }),
        undefined,
        ANSWER_TIMEOUT_MS,
        blackboxDocument,
      ),
    logLevels: () => ask(path, "GET", LOG_PATH, undefined, ANSWER_TIMEOUT_MS, logDocument),
    setLogLevel: (request) => ask(path, "POST", LOG_PATH, request, ANSWER_TIMEOUT_MS, logDocument),
    command: (kind, command) =>
      ask(
        path,
        "POST",
        CONTROL_PATHS[kind],
        command,
        ANSWER_TIMEOUT_MS + command.waitSeconds * 1000,
        commandOutcome,
      ),
    async metrics() {
      const { status, text } = await exchange(
        path,
        "GET",
        CONTROL_PATHS.metrics,
        undefined,
        ANSWER_TIMEOUT_MS,
      );
      if (status !== 200) throw refusalIn(text, path);
      return text;
    },
    events: (options) => followEvents(path, options, (error) => failure(error, path, NEVER)),
    reload: (asked) => ask(path, "POST", CONTROL_PATHS.reload, asked, RELOAD_TIMEOUT_MS, reloadOutcome),
    endTrial: (kind) => ask(path, "POST", CONTROL_PATHS[kind], undefined, RELOAD_TIMEOUT_MS, reloadOutcome),
  };
}

const NEVER = new AbortController().signal;

function asked(route: string, query: Readonly<Record<string, string | number | undefined>>): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  const text = new URLSearchParams(given.map(([key, value]): [string, string] => [key, String(value)]));
  return given.length === 0 ? route : `${route}?${text}`;
}

async function ask<T>(
  path: string,
  method: "GET" | "POST",
  route: string,
  body: unknown,
  timeoutMs: number,
  schema: z.ZodType<T>,
): Promise<T> {
  const { status, text } = await exchange(path, method, route, body, timeoutMs);
  if (status !== 200) throw refusalIn(text, path);
  const json = parseJson(text, path);
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const version =
    typeof json === "object" && json !== null && "apiVersion" in json ? json.apiVersion : undefined;
  if (version !== undefined && version !== CONTROL_API_VERSION)
    throw new ControlError(
      "CONTROL_BAD_ANSWER",
      "the running daemon is of another version than this command; restart the service after an update",
    );
  throw badAnswer(path);
}

/** What the daemon says instead of an answer. */
export function refusalIn(text: string, path: string): ControlError {
  const refusal = controlErrorAnswer.safeParse(parseJson(text, path));
  if (refusal.success) return new ControlError(refusal.data.error.code, refusal.data.error.message);
  return badAnswer(path);
}

function badAnswer(path: string): ControlError {
  return new ControlError(
    "CONTROL_BAD_ANSWER",
    `what answers on ${path} is no tungate of this version; restart the service after an update`,
  );
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw badAnswer(path);
  }
}

function exchange(
  socketPath: string,
  method: string,
  path: string,
  body: unknown,
  timeoutMs: number,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    checkSocketPath(socketPath);
    const content = body === undefined ? "" : JSON.stringify(body);
    const headers = {
      host: "tungate",
      connection: "close",
      ...(body === undefined
        ? {}
        : { "content-type": "application/json", "content-length": Buffer.byteLength(content) }),
    };
    const signal = AbortSignal.timeout(timeoutMs);
    const fail = (error: unknown) => reject(failure(error, socketPath, signal));
    const call = request({ socketPath, method, path, headers, signal, agent: false }, (answer) => {
      const parts: Buffer[] = [];
      let length = 0;
      answer.on("data", (part: Buffer) => {
        length += part.length;
        if (length > ANSWER_OCTETS_MAX) answer.destroy(badAnswer(socketPath));
        else parts.push(part);
      });
      answer.on("error", fail);
      answer.on("end", () =>
        resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(parts).toString("utf8") }),
      );
    });
    call.on("error", fail);
    call.end(content);
  });
}

/** What went wrong on the way to the daemon, in words. */
export function failure(error: unknown, path: string, signal: AbortSignal): ControlError {
  if (error instanceof ControlError) return error;
  if (signal.aborted)
    return new ControlError(
      "CONTROL_NO_ANSWER",
      `the daemon on ${path} does not answer in time; look at its log`,
    );
  switch (systemCode(error)) {
    case "ENOENT":
    case "ECONNREFUSED":
    case "ENOTDIR":
      return new ControlError(
        "CONTROL_NOT_RUNNING",
        `no tungate runs here: nobody answers on ${path}; start it (systemctl start tungate, or tungate run), or name its socket with --control PATH`,
      );
    case "EACCES":
    case "EPERM":
      return new ControlError(
        "CONTROL_NO_PERMISSION",
        `you may not open ${path}; run as root, as the service's user, or as a member of the group in gateway.control.group`,
      );
    default:
      return new ControlError(
        "CONTROL_NO_ANSWER",
        `the daemon on ${path} ended the connection without an answer; look at its log`,
      );
  }
}
