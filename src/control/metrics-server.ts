/**
 * Metrics and health over TCP: read-only, without a password, and so for this machine alone unless the configuration says
 * otherwise. Whoever asks slowly, reads slowly or asks often takes one of a few places, and nothing else.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isIP } from "node:net";
import { boundClients } from "./clients.ts";
import { ControlError, systemCode } from "./error.ts";
import { HEALTH_PATHS, healthAnswer, METRICS_TYPE, type MetricsSource } from "./health.ts";
import { PacedAnswers } from "./paced-answers.ts";

/** Connections at once; a further one takes the place of the one that has asked nothing for longest. */
export const SCRAPERS_MAX = 32;
/** Octets of a request's headers, all of them, and how many there may be. */
const HEADERS_OCTETS_MAX = 8 * 1024;
const HEADERS_MAX = 64;
/** Longest that a client may take to send its request. */
const REQUEST_TIMEOUT_MS = 5_000;
/** Longer than between two scrapes as a rule, so that one connection serves. */
const IDLE_TIMEOUT_MS = 65_000;

export interface MetricsServerOptions {
  readonly address: string;
  readonly port: number;
  /** Names that a request may ask for besides addresses and localhost; lower case. */
  readonly hosts: readonly string[];
  readonly source: MetricsSource;
  /** Told of failures that no client is told in full. */
  readonly reportFailure: (error: unknown) => void;
}

export interface MetricsServer {
  /** Ends what is under way. */
  close(): Promise<void>;
}

/** @throws {@link ControlError} `CONTROL_METRICS` when the address cannot be listened on */
export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const server = createServer({
    headersTimeout: REQUEST_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: IDLE_TIMEOUT_MS,
    connectionsCheckingInterval: 1_000,
    maxHeaderSize: HEADERS_OCTETS_MAX,
  });
  const isAdmitted = boundClients(server, SCRAPERS_MAX);
  const paced = new PacedAnswers();
  server.on("request", (request, response) => {
    if (isAdmitted(request, response)) answer(request, response, options, paced);
  });
  server.maxHeadersCount = HEADERS_MAX;
  // Who connects and says nothing has no request that could time out yet.
  server.on("connection", (socket) => socket.setTimeout(IDLE_TIMEOUT_MS, () => socket.destroy()));
  await listen(server, options);
  server.on("error", options.reportFailure);
  return { close: () => close(server) };
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly type?: string;
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: MetricsServerOptions,
  paced: PacedAnswers,
): void {
  // Nobody sends a body with a question; what comes is not read, and the connection ends with the answer.
  const hasBody =
    request.headers["transfer-encoding"] !== undefined || Number(request.headers["content-length"] ?? 0) > 0;
  const write = ({ status, text, type = "text/plain; charset=utf-8" }: Answer) => {
    if (response.destroyed) return;
    response.writeHead(status, {
      "content-type": type,
      "content-length": Buffer.byteLength(text),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "content-security-policy": "default-src 'none'",
      ...(status === 405 ? { allow: "GET, HEAD" } : {}),
      ...(hasBody ? { connection: "close" } : {}),
    });
    response.end(request.method === "HEAD" ? undefined : text);
  };
  const found = answerTo(request, options, paced);
  if (found instanceof Promise) void found.then(write);
  else write(found);
}

function answerTo(
  { method, url, headers }: IncomingMessage,
  options: MetricsServerOptions,
  paced: PacedAnswers,
): Answer | Promise<Answer> {
  const { source, hosts, reportFailure } = options;
  if (method !== "GET" && method !== "HEAD")
    return { status: 405, text: "this is for reading: GET or HEAD\n" };
  if (!isHostAllowed(headers.host, hosts))
    return {
      status: 421,
      text: "this name is not served here; ask by address, or add it to gateway.metrics.hosts\n",
    };
  const failed = (error: unknown): Answer => {
    reportFailure(error);
    return { status: 500, text: "the gateway failed to answer; its log says why\n" };
  };
  try {
    switch (url?.split("?", 1)[0]) {
      case "/metrics":
        return paced
          .answer("metrics", () => source.metrics())
          .then((text) => ({ status: 200, text, type: METRICS_TYPE }), failed);
      case HEALTH_PATHS.healthz:
        return healthAnswer(source.health());
      case HEALTH_PATHS.readyz:
        return healthAnswer(source.readiness());
      default:
        return { status: 404, text: "there are /metrics, /healthz and /readyz\n" };
    }
  } catch (error) {
    return failed(error);
  }
}

/** A page in a browser on this machine can make its own name lead here; it cannot make its name an address. */
export function isHostAllowed(host: string | undefined, hosts: readonly string[]): boolean {
  const [, in6, name] = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(host ?? "") ?? [];
  if (in6 !== undefined) return isIP(in6) === 6;
  if (name === undefined) return false;
  const lower = name.toLowerCase();
  return lower === "localhost" || isIP(lower) === 4 || hosts.includes(lower);
}

function listen(server: Server, { address, port }: MetricsServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) =>
      reject(
        new ControlError(
          "CONTROL_METRICS",
          `metrics cannot be served on ${address}, port ${port} (${systemCode(error)}); give gateway.metrics an address of this machine and a port that nobody else has`,
        ),
      );
    server.once("error", fail);
    server.listen(port, address, () => {
      server.off("error", fail);
      resolve();
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
