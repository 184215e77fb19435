/** The control API as an OpenAPI 3.1 document, made from the schemas that check it. */
import * as z from "zod";
import { BLACKBOX_PATH, blackboxDocument, blackboxQuery } from "./blackbox-schema.ts";
import { CAPTURE_PATH, CAPTURE_TYPE, captureRequest } from "./capture-schema.ts";
import { eventsQuery, gatewayEvent } from "./events-schema.ts";
import { explainAnswer, explainQuery } from "./explain-schema.ts";
import { HEALTH_PATHS } from "./health.ts";
import { LOG_PATH, logDocument, logRequest } from "./log-schema.ts";
import { reloadOutcome, reloadRequest } from "./reload-schema.ts";
import {
  CONTROL_API_VERSION,
  CONTROL_PATHS,
  childStatus,
  commandOutcome,
  commandRequest,
  connectionStatus,
  controlErrorAnswer,
  statusDocument,
  statusQuery,
} from "./schema.ts";

import { trafficDocument } from "./traffic-schema.ts";

/** Documents that have names of their own, here and in the package's types. */
const DOCUMENTS = {
  StatusDocument: statusDocument,
  ConnectionStatus: connectionStatus,
  ChildStatus: childStatus,
  CommandOutcome: commandOutcome,
  ReloadOutcome: reloadOutcome,
  GatewayEvent: gatewayEvent,
  ExplainAnswer: explainAnswer,
  TrafficDocument: trafficDocument,
  BlackboxDocument: blackboxDocument,
  LogDocument: logDocument,
  ControlErrorAnswer: controlErrorAnswer,
} as const;
/** Likewise what clients send; defaults may be left out. */
const REQUESTS = {
  CommandRequest: commandRequest,
  CaptureRequest: captureRequest,
  LogRequest: logRequest,
  ReloadRequest: reloadRequest,
} as const;

type Named = keyof typeof DOCUMENTS | keyof typeof REQUESTS;
type JsonObject = { readonly [key: string]: unknown };

interface Answer {
  readonly description: string;
  readonly type?: string;
  readonly document?: Named;
}

interface Operation {
  readonly path: string;
  readonly method: "get" | "post" | "delete";
  readonly id: string;
  readonly summary: string;
  readonly query?: z.ZodObject;
  readonly request?: keyof typeof REQUESTS;
  readonly answers: Readonly<Record<number, Answer>>;
  /** Answers of {@link ControlErrorAnswer} that are to be expected. */
  readonly refusals: readonly number[];
}

const JSON_TYPE = "application/json";
const TEXT = "text/plain";

const command = (kind: "up" | "down" | "rekey", summary: string): Operation => ({
  path: CONTROL_PATHS[kind],
  method: "post",
  id: kind,
  summary,
  request: "CommandRequest",
  answers: { 200: { description: "What came of it.", document: "CommandOutcome" } },
  refusals: [400, 403, 404, 413, 503],
});

const health = (path: string, id: string, summary: string): Operation => ({
  path,
  method: "get",
  id,
  summary,
  answers: {
    200: { description: "It is so.", type: TEXT },
    503: { description: "It is not, and why.", type: TEXT },
  },
  refusals: [],
});

export const OPERATIONS: readonly Operation[] = [
  {
    path: CONTROL_PATHS.status,
    method: "get",
    id: "status",
    summary: "What the gateway does: connections, children, traffic, and why something waits.",
    query: statusQuery,
    answers: { 200: { description: "The status.", document: "StatusDocument" } },
    refusals: [400, 404, 503],
  },
  {
    path: CONTROL_PATHS.explain,
    method: "get",
    id: "explain",
    summary:
      "What becomes of a packet and of its answer: route, policy, SA, size, what was dropped, what to do.",
    query: explainQuery,
    answers: { 200: { description: "Step by step.", document: "ExplainAnswer" } },
    refusals: [400, 503],
  },
  {
    path: CONTROL_PATHS.traffic,
    method: "get",
    id: "traffic",
    summary: "What each child carries, in few words, for whoever looks every second.",
    answers: { 200: { description: "Counters.", document: "TrafficDocument" } },
    refusals: [503],
  },
  command("up", "Bring a connection or one of its children up."),
  command("down", "Take it down and do not call again until up is said."),
  command("rekey", "Replace its keys."),
  {
    path: CONTROL_PATHS.reload,
    method: "post",
    id: "reload",
    summary: "Take the configuration anew, as a whole or not at all; or say what that would change.",
    request: "ReloadRequest",
    answers: { 200: { description: "What came of it.", document: "ReloadOutcome" } },
    refusals: [400, 403, 413],
  },
  {
    path: CONTROL_PATHS.reloadKeep,
    method: "post",
    id: "keepReload",
    summary: "Keep the configuration that is on trial.",
    answers: { 200: { description: "What came of it.", document: "ReloadOutcome" } },
    refusals: [403],
  },
  {
    path: CONTROL_PATHS.reloadUndo,
    method: "post",
    id: "undoReload",
    summary: "Go back from the configuration that is on trial.",
    answers: { 200: { description: "What came of it.", document: "ReloadOutcome" } },
    refusals: [403],
  },
  {
    path: CONTROL_PATHS.events,
    method: "get",
    id: "events",
    summary:
      "What happens, as server-sent events; each has a GatewayEvent as data, and its id takes up the stream again.",
    query: eventsQuery,
    answers: {
      200: { description: "A stream without end.", type: "text/event-stream", document: "GatewayEvent" },
    },
    refusals: [400, 503],
  },
  {
    path: CONTROL_PATHS.metrics,
    method: "get",
    id: "metrics",
    summary: "Metrics in Prometheus' text format.",
    answers: { 200: { description: "The metrics.", type: TEXT } },
    refusals: [503],
  },
  health(HEALTH_PATHS.healthz, "healthz", "Whether the process and every lane move."),
  health(HEALTH_PATHS.readyz, "readyz", "Whether everything with keep: up is up."),
  {
    path: CAPTURE_PATH,
    method: "post",
    id: "capture",
    summary: "Capture packets inside and outside of tunnels, and IKE in clear.",
    request: "CaptureRequest",
    answers: { 200: { description: "A pcapng file that grows until it is ended.", type: CAPTURE_TYPE } },
    refusals: [400, 403, 404, 413, 503],
  },
  {
    path: CAPTURE_PATH,
    method: "delete",
    id: "stopCapture",
    summary: "End the capture that runs.",
    answers: { 200: { description: "It is ended.", type: JSON_TYPE } },
    refusals: [403, 404],
  },
  {
    path: BLACKBOX_PATH,
    method: "get",
    id: "blackbox",
    summary: "What IKE did in the last ten minutes: messages by type and size, and what was decided.",
    query: blackboxQuery,
    answers: { 200: { description: "The oldest first.", document: "BlackboxDocument" } },
    refusals: [400, 404, 503],
  },
  {
    path: LOG_PATH,
    method: "get",
    id: "logLevels",
    summary: "Which levels of the log differ from what the gateway was started with.",
    answers: { 200: { description: "Those that differ.", document: "LogDocument" } },
    refusals: [],
  },
  {
    path: LOG_PATH,
    method: "post",
    id: "setLogLevel",
    summary: "Log more or less, of everything or of one connection.",
    request: "LogRequest",
    answers: { 200: { description: "Those that differ now.", document: "LogDocument" } },
    refusals: [400, 403, 404, 413, 503],
  },
  {
    path: CONTROL_PATHS.openapi,
    method: "get",
    id: "openapi",
    summary: "This document.",
    answers: { 200: { description: "OpenAPI 3.1.", type: JSON_TYPE } },
    refusals: [],
  },
];

const REFUSALS: Readonly<Record<number, string>> = {
  400: "The request is not understood.",
  403: "It is not allowed here.",
  404: "There is no such connection, child or thing.",
  413: "The request is too big.",
  503: "Too many ask for this at once; try again.",
};

/** JSON Schemas by name, with references between them. */
export function componentSchemas(): { readonly [name: string]: JsonObject } {
  return { ...schemasOf(DOCUMENTS, "output"), ...schemasOf(REQUESTS, "input") };
}

function schemasOf(named: Readonly<Record<string, z.ZodType>>, io: "input" | "output") {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(named)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { uri: refOf, io });
  return Object.fromEntries(
    Object.entries(schemas).map(([id, schema]) => {
      const { $schema, $id, ...rest } = schema as JsonObject;
      return [id, rest];
    }),
  );
}

function refOf(name: string): string {
  return `#/components/schemas/${name}`;
}

export function openApiDocument(version: string): JsonObject {
  const paths: Record<string, Record<string, JsonObject>> = {};
  for (const operation of OPERATIONS) {
    const methods = paths[operation.path] ?? {};
    methods[operation.method] = operationObject(operation);
    paths[operation.path] = methods;
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Tungate control API",
      version,
      description: `HTTP over a Unix socket, /run/tungate/control.sock unless configured otherwise; who may open it may use it. Documents have apiVersion ${CONTROL_API_VERSION}: fields may be added, and a change of meaning raises it.`,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "http://localhost", description: "curl --unix-socket /run/tungate/control.sock" }],
    security: [],
    paths,
    components: { schemas: componentSchemas() },
  };
}

function operationObject({ id, summary, query, request, answers, refusals }: Operation): JsonObject {
  const answered = Object.entries(answers).map(([status, answer]) => [status, responseObject(answer)]);
  const refused = refusals.map((status) => [
    String(status),
    responseObject({ description: REFUSALS[status]!, document: "ControlErrorAnswer" }),
  ]);
  return {
    operationId: id,
    summary,
    ...(query === undefined ? {} : { parameters: parametersOf(query) }),
    ...(request === undefined
      ? {}
      : { requestBody: { required: true, content: { [JSON_TYPE]: { schema: { $ref: refOf(request) } } } } }),
    responses: Object.fromEntries([...answered, ...refused]),
  };
}

function responseObject({ description, type = JSON_TYPE, document }: Answer): JsonObject {
  const isText = type !== JSON_TYPE && document === undefined;
  const schema =
    document !== undefined ? { $ref: refOf(document) } : isText ? { type: "string" } : { type: "object" };
  return { description, content: { [type]: { schema } } };
}

function parametersOf(query: z.ZodObject): JsonObject[] {
  const { properties = {}, required = [] } = z.toJSONSchema(query, {
    io: "input",
    unrepresentable: "any",
  }) as {
    properties?: Readonly<Record<string, JsonObject>>;
    required?: readonly string[];
  };
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: "query",
    required: required.includes(name),
    schema,
  }));
}
