/** The routes of `tungate reload`. */
import type { Hono } from "hono";
import { withBody } from "./json-body.ts";
import { reloadRequest } from "./reload-schema.ts";
import type { ReloadTarget } from "./reload-target.ts";
import { CONTROL_PATHS } from "./schema.ts";

export function addReloadRoutes(app: Hono, target: ReloadTarget): void {
  app.post(CONTROL_PATHS.reload, (context) =>
    withBody(context, reloadRequest, async (asked) => context.json(await target.reload(asked))),
  );
  app.post(CONTROL_PATHS.reloadKeep, async (context) => context.json(await target.keep()));
  app.post(CONTROL_PATHS.reloadUndo, async (context) => context.json(await target.undo()));
}
