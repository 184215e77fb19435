/** The route of `tungate blackbox`. */
import type { Hono } from "hono";
import { BLACKBOX_PATH, type BlackboxDocument, blackboxQuery } from "./blackbox-schema.ts";
import { issueText } from "./json-body.ts";
import type { PacedAnswers } from "./paced-answers.ts";
import { refuse } from "./refusal.ts";

export interface BlackboxTarget {
  /**
   * @param connection - of that one and its peers alone; absent: everything
   * @throws {@link UnknownNameError} when nothing has that name
   */
  read(connection: string | undefined): BlackboxDocument;
}

export function addBlackboxRoutes(app: Hono, target: BlackboxTarget, paced: PacedAnswers): void {
  app.get(BLACKBOX_PATH, async (context) => {
    const query = blackboxQuery.safeParse(context.req.query());
    if (!query.success) return refuse(context, "CONTROL_BAD_REQUEST", issueText(query.error, "the query"));
    const { connection } = query.data;
    const question = `blackbox ${connection ?? ""}`;
    const answer = await paced.answer(question, () => JSON.stringify(target.read(connection)));
    return context.body(answer, 200, { "content-type": "application/json" });
  });
}
