/** The routes of the control API: JSON over HTTP, checked on the way in, the same shape for every error. */
import { type Context, Hono } from "hono";
import { addBlackboxRoutes } from "./blackbox-routes.ts";
import { addCaptureRoutes } from "./capture-routes.ts";
import { addEventsRoutes } from "./events-routes.ts";
import { addExplainRoutes } from "./explain-routes.ts";
import { issueText, withBody } from "./json-body.ts";
import { addLogRoutes } from "./log-routes.ts";
import { addMetricsRoutes } from "./metrics-routes.ts";
import { addOpenApiRoutes } from "./openapi-routes.ts";
import { PacedAnswers } from "./paced-answers.ts";
import { refuse } from "./refusal.ts";
import { addReloadRoutes } from "./reload-routes.ts";
import { CONTROL_PATHS, commandRequest, statusQuery } from "./schema.ts";
import { BusyError, type ControlTarget, UnknownNameError } from "./target.ts";
import { addTrafficRoutes } from "./traffic-routes.ts";

/** Commands of clients that may wait for their outcome at once; each holds a connection. Who embeds the gateway has room beside them. */
export const SOCKET_COMMANDS_WAITING_MAX = 32;

/**
 * @param reportFailure - told of exceptions in the target; the client hears no detail
 * @param isReadOnly - nothing but GET is answered
 */
export function createControlApp(
  target: ControlTarget,
  reportFailure: (error: unknown) => void,
  isReadOnly = false,
): Hono {
  const app = new Hono();
  let waiting = 0;
  // It would be answered as GET, and what is made for it never read: a stream of events would keep its place for ever.
  app.use(async (context, next) => (context.req.method === "HEAD" ? notFound(context) : next()));
  if (isReadOnly)
    app.use(async (context, next) => {
      if (context.req.method === "GET") return next();
      return refuse(
        context,
        "CONTROL_READ_ONLY",
        "this socket only answers questions; use gateway.control.path",
      );
    });
  const paced = new PacedAnswers();
  app.get(CONTROL_PATHS.status, async (context) => {
    const query = statusQuery.safeParse(context.req.query());
    if (!query.success) return refuse(context, "CONTROL_BAD_REQUEST", issueText(query.error, "the query"));
    const question = `status ${JSON.stringify(query.data)}`;
    const answer = await paced.answer(question, () => JSON.stringify(target.status(query.data)));
    return context.body(answer, 200, { "content-type": "application/json" });
  });
  for (const kind of ["up", "down", "rekey"] as const)
    app.post(CONTROL_PATHS[kind], async (context) => {
      if (waiting >= SOCKET_COMMANDS_WAITING_MAX)
        return refuse(context, "CONTROL_BUSY", "too many commands wait for their outcome; try again");
      waiting++;
      try {
        return await withBody(context, commandRequest, async (request) =>
          context.json(await target.command(kind, request, context.req.raw.signal)),
        );
      } finally {
        waiting--;
      }
    });
  addMetricsRoutes(app, target.measurements, paced);
  addCaptureRoutes(app, target.captures);
  addEventsRoutes(app, target.events);
  addExplainRoutes(app, (query) => target.explain(query), paced);
  addTrafficRoutes(app, () => target.traffic(), paced);
  addOpenApiRoutes(app, target.version);
  addBlackboxRoutes(app, target.blackbox, paced);
  addLogRoutes(app, target.log);
  addReloadRoutes(app, target.reloads);
  app.notFound(notFound);
  app.onError((error, context) => {
    if (error instanceof UnknownNameError || error instanceof BusyError)
      return refuse(context, error.code, error.message);
    reportFailure(error);
    return refuse(context, "CONTROL_INTERNAL", "the daemon failed to carry this out; its log says why");
  });
  return app;
}

const PATH_LENGTH_MAX = 100;

function notFound(context: Context): Response {
  return refuse(context, "CONTROL_NOT_FOUND", `there is no ${context.req.method} ${pathOf(context)}`);
}

function pathOf(context: Context): string {
  return context.req.path.slice(0, PATH_LENGTH_MAX).replace(/[^\x20-\x7e]/g, "?");
}
