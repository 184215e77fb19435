/** The control server: HTTP on a Unix socket that its own user and, if wanted, one group may open. */
import { chownSync, lstatSync, mkdirSync, readFileSync, unlinkSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import { connect } from "node:net";
import { dirname } from "node:path";
import { boundClients } from "./clients.ts";
import { ControlError, systemCode } from "./error.ts";
import type { ControlTarget } from "./target.ts";

/** Longest that a client may take to send its request's headers, and the whole request. */
const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
const IDLE_TIMEOUT_MS = 5_000;
const HEADERS_MAX = 32;
/** Octets of a request's line and headers. */
export const HEADER_OCTETS_MAX = 8192;
/** Requests that one connection may bring, so that its place comes free now and then. */
const REQUESTS_MAX = 1000;
/** How long a daemon that might already be there has to take the call. */
const PROBE_TIMEOUT_MS = 1_000;
const SOCKET_UMASK = 0o117;
const DIRECTORY_MODE = 0o750;

export interface ControlServerOptions extends ControlSocket {
  /** Keeps other daemons from the path for as long as we have it. @throws {@link ControlError} who has it */
  readonly hold?: (path: string) => () => void;
  readonly target: ControlTarget;
  /** The process is the gateway's alone: the library may put Request and Response of its own, which take less time, into its globals. */
  readonly mayReplaceGlobals?: boolean;
  /** Told of failures that no client is told in full. */
  readonly reportFailure: (error: unknown) => void;
}

export interface ControlSocket {
  readonly path: string;
  /** Name of the group that may talk to the daemon too. */
  readonly group?: string | undefined;
  /** Answers questions and carries nothing out. */
  readonly isReadOnly?: boolean;
}

export interface ControlServer {
  /** Another group, or none but our own. @throws {@link ControlError} */
  setGroup(group: string | undefined): void;
  /**
   * Takes no further request, removes the socket.
   * @param patienceMs - how long those under way have to be answered
   */
  close(patienceMs?: number): Promise<void>;
}

/** @throws {@link ControlError} in words: another daemon is there, the directory is not ours, no such group */
export async function startControlServer(options: ControlServerOptions): Promise<ControlServer> {
  const { path, group } = options;
  const isDirectoryOurs = makeDirectory(dirname(path));
  const release = options.hold?.(path) ?? (() => undefined);
  try {
    await removeStale(path);
    if (group !== undefined) groupIdOf(group);
    const server = await listening(options);
    const paths = isDirectoryOurs ? [path, dirname(path)] : [path];
    const setGroup = (wanted: string | undefined) => giveTo(paths, wanted);
    try {
      if (group !== undefined) setGroup(group);
    } catch (error) {
      await close(server, 0);
      throw error;
    }
    return { setGroup, close: (patienceMs = 0) => close(server, patienceMs).finally(release) };
  } catch (error) {
    release();
    throw error;
  }
}

async function listening(options: ControlServerOptions): Promise<Server> {
  const server = createServer({
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: IDLE_TIMEOUT_MS,
    connectionsCheckingInterval: 1_000,
    maxHeaderSize: HEADER_OCTETS_MAX,
  });
  const isAdmitted = boundClients(server);
  let answer: Promise<RequestListener> | undefined;
  server.on("request", (request, response) => {
    if (!isAdmitted(request, response)) return;
    answer ??= requestListener(options);
    answer.then(
      (listener) => void listener(request, response),
      (error: unknown) => {
        // Files of another version may lie there by now: that ends nothing but this answer.
        answer = undefined;
        options.reportFailure(error);
        response.writeHead(500).end();
      },
    );
  });
  server.maxHeadersCount = HEADERS_MAX;
  server.maxRequestsPerSocket = REQUESTS_MAX;
  await listen(server, options.path);
  server.on("error", options.reportFailure);
  return server;
}

/** Loaded with the first request: the library brings Node's fetch along, and no tunnel waits for either. */
async function requestListener(options: ControlServerOptions): Promise<RequestListener> {
  const [{ getRequestListener }, { createControlApp }] = await Promise.all([
    import("@hono/node-server"),
    import("./app.ts"),
  ]);
  const app = createControlApp(options.target, options.reportFailure, options.isReadOnly);
  return getRequestListener(app.fetch, { overrideGlobalObjects: options.mayReplaceGlobals === true });
}

/** @returns whether it had to be made */
function makeDirectory(directory: string): boolean {
  try {
    return mkdirSync(directory, { recursive: true, mode: DIRECTORY_MODE }) !== undefined;
  } catch (error) {
    throw new ControlError(
      "CONTROL_SOCKET",
      `the directory ${directory} for the control socket cannot be made (${systemCode(error)}); make it, owned by the service's user, or set gateway.control.path`,
    );
  }
}

/** @throws {@link ControlError} `CONTROL_ALREADY_RUNNING` when somebody answers there */
async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket())
    throw new ControlError(
      "CONTROL_SOCKET",
      `${path} is no socket; set gateway.control.path to another path`,
    );
  if (await answers(path))
    throw new ControlError(
      "CONTROL_ALREADY_RUNNING",
      `another tungate runs already and answers on ${path}; stop it, or give this one another gateway.control.path`,
    );
  try {
    unlinkSync(path);
  } catch (error) {
    if (systemCode(error) !== "ENOENT")
      throw new ControlError(
        "CONTROL_SOCKET",
        `${path} was left behind and cannot be removed (${systemCode(error)}); remove it`,
      );
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const finish = (isAnswered: boolean) => {
      socket.destroy();
      resolve(isAnswered);
    };
    socket.setTimeout(PROBE_TIMEOUT_MS, () => finish(true));
    socket.once("connect", () => finish(true));
    socket.once("error", (error) =>
      finish(systemCode(error) !== "ECONNREFUSED" && systemCode(error) !== "ENOENT"),
    );
  });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) =>
      reject(
        new ControlError(
          "CONTROL_SOCKET",
          `the control socket ${path} cannot be made (${systemCode(error)}); the service's user needs the right to write its directory, or set gateway.control.path`,
        ),
      );
    server.once("error", fail);
    // bind() happens inside listen(): nobody can open the socket before its mode is right.
    const before = process.umask(SOCKET_UMASK);
    try {
      server.listen(path, () => {
        server.off("error", fail);
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
}

/** Groups of this machine: one line each, `name:password:id:members`. */
const GROUP_FILE = "/etc/group";

function groupIdOf(group: string): number {
  const line = readFileSync(GROUP_FILE, "utf8")
    .split("\n")
    .find((one) => one.startsWith(`${group}:`));
  const id = Number(line?.split(":")[2] ?? Number.NaN);
  if (Number.isInteger(id)) return id;
  throw new ControlError(
    "CONTROL_SOCKET",
    `${GROUP_FILE} has no group ${group} (gateway.control.group); make it: groupadd --system ${group}`,
  );
}

/** @param group - absent: that of this process */
function giveTo(paths: readonly string[], group: string | undefined): void {
  const groupId = group === undefined ? (process.getegid?.() ?? -1) : groupIdOf(group);
  try {
    for (const path of paths) chownSync(path, -1, groupId);
  } catch (error) {
    throw new ControlError(
      "CONTROL_SOCKET",
      `the control socket cannot be given to the group ${group} (${systemCode(error)}); the service's user has to be one of its members`,
    );
  }
}

function close(server: Server, patienceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), patienceMs);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
    if (patienceMs === 0) server.closeAllConnections();
  });
}
