/** The route of `tungate blackbox`. */
import type { Hono } from "hono";
import { BLACKBOX_PATH, type BlackboxDocument, blackboxQuery } from "./blackbox-schema.ts";
import { issueText } from "./json-body.ts";
import { refuse } from "./refusal.ts";

export interface BlackboxTarget {
  /**
   * @param connection - of that one and its peers alone; absent: everything
   * @throws {@link UnknownNameError} when nothing has that name
   */
  read(connection: string | undefined): BlackboxDocument;
}

export function addBlackboxRoutes(app: Hono, target: BlackboxTarget): void {
  app.get(BLACKBOX_PATH, (context) => {
    const query = blackboxQuery.safeParse(context.req.query());
    return query.success
      ? context.json(target.read(query.data.connection))
      : refuse(context, "CONTROL_BAD_REQUEST", issueText(query.error, "the query"));
  });
}
