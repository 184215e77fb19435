/** The routes of the control API: JSON over HTTP, checked on the way in, the same shape for every error. */
import { type Context, Hono } from "hono";
import type * as z from "zod";
import { concat, fromUtf8 } from "../base/bytes.ts";
import { addMetricsRoutes } from "./metrics-routes.ts";
import {
  CONTROL_PATHS,
  type CommandKind,
  type CommandOutcome,
  type ControlErrorCode,
  commandRequest,
  REQUEST_OCTETS_MAX,
  statusQuery,
} from "./schema.ts";
import { type ControlTarget, UnknownNameError } from "./target.ts";

/** Commands that may wait for their outcome at once; each holds a connection. */
export const COMMANDS_WAITING_MAX = 32;

const STATUS: Readonly<Record<ControlErrorCode, 400 | 404 | 413 | 500 | 503>> = {
  CONTROL_BAD_REQUEST: 400,
  CONTROL_TOO_BIG: 413,
  CONTROL_UNKNOWN_NAME: 404,
  CONTROL_NOT_FOUND: 404,
  CONTROL_BUSY: 503,
  CONTROL_INTERNAL: 500,
};

/** @param reportFailure - told of exceptions in the target; the client hears no detail */
export function createControlApp(target: ControlTarget, reportFailure: (error: unknown) => void): Hono {
  const app = new Hono();
  let waiting = 0;
  app.get(CONTROL_PATHS.status, (context) => {
    const query = statusQuery.safeParse(context.req.query());
    return query.success
      ? context.json(target.status(query.data))
      : refuse(context, "CONTROL_BAD_REQUEST", issueText(query.error, "the query"));
  });
  for (const kind of ["up", "down", "rekey"] as const)
    app.post(CONTROL_PATHS[kind], async (context) => {
      if (waiting >= COMMANDS_WAITING_MAX)
        return refuse(context, "CONTROL_BUSY", "too many commands wait for their outcome; try again");
      waiting++;
      try {
        return await handleCommand(context, kind, target);
      } finally {
        waiting--;
      }
    });
  addMetricsRoutes(app, target.measurements);
  app.notFound((context) =>
    refuse(context, "CONTROL_NOT_FOUND", `there is no ${context.req.method} ${pathOf(context)}`),
  );
  app.onError((error, context) => {
    if (error instanceof UnknownNameError) return refuse(context, "CONTROL_UNKNOWN_NAME", error.message);
    reportFailure(error);
    return refuse(context, "CONTROL_INTERNAL", "the daemon failed to carry this out; its log says why");
  });
  return app;
}

async function handleCommand(context: Context, kind: CommandKind, target: ControlTarget) {
  const body = await readBody(context);
  if (body === undefined)
    return refuse(context, "CONTROL_TOO_BIG", `a request has at most ${REQUEST_OCTETS_MAX} octets`);
  const parsed = commandRequest.safeParse(parseJson(body));
  if (!parsed.success) {
    return refuse(context, "CONTROL_BAD_REQUEST", issueText(parsed.error, "the body"));
  }
  const outcome: CommandOutcome = await target.command(kind, parsed.data, context.req.raw.signal);
  return context.json(outcome);
}

function issueText(error: z.ZodError, whole: string): string {
  const issue = error.issues[0];
  const where = issue === undefined || issue.path.length === 0 ? whole : issue.path.join(".");
  return `${where}: ${issue?.message ?? "not understood"}`;
}

/** @returns `undefined` when it is larger than allowed; what is beyond is not kept */
async function readBody(context: Context): Promise<string | undefined> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of context.req.raw.body ?? []) {
    length += part.length;
    if (length > REQUEST_OCTETS_MAX) return undefined;
    parts.push(part);
  }
  return fromUtf8(concat(...parts));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refuse(context: Context, code: ControlErrorCode, message: string) {
  return context.json({ error: { code, message } }, STATUS[code]);
}

const PATH_LENGTH_MAX = 100;

function pathOf(context: Context): string {
  return context.req.path.slice(0, PATH_LENGTH_MAX).replace(/[^\x20-\x7e]/g, "?");
}
