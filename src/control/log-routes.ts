/** The routes of `tungate log`. */
import type { Hono } from "hono";
import { withBody } from "./json-body.ts";
import { LOG_PATH, type LogDocument, type LogRequest, logRequest } from "./log-schema.ts";

export interface LogTarget {
  /** @throws {@link UnknownNameError}, {@link BusyError} when too many connections have a level of their own */
  setLevel(request: LogRequest): LogDocument;
  levels(): LogDocument;
}

export function addLogRoutes(app: Hono, target: LogTarget): void {
  app.get(LOG_PATH, (context) => context.json(target.levels()));
  app.post(LOG_PATH, (context) =>
    withBody(context, logRequest, async (request) => context.json(target.setLevel(request))),
  );
}
