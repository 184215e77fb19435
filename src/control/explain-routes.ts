/** What becomes of a packet, on the control socket. */
import type { Hono } from "hono";
import { type ExplainAnswer, type ExplainQuery, explainQuery } from "./explain-schema.ts";
import { issueText } from "./json-body.ts";
import type { PacedAnswers } from "./paced-answers.ts";
import { refuse } from "./refusal.ts";
import { CONTROL_PATHS } from "./schema.ts";

export function addExplainRoutes(
  app: Hono,
  explain: (query: ExplainQuery) => Promise<ExplainAnswer | undefined>,
  paced: PacedAnswers,
): void {
  app.get(CONTROL_PATHS.explain, async (context) => {
    const query = explainQuery.safeParse(context.req.query());
    if (!query.success) return refuse(context, "CONTROL_BAD_REQUEST", issueText(query.error, "the query"));
    const question = `explain ${JSON.stringify(query.data)}`;
    const answer = await paced.answer(question, async () =>
      JSON.stringify((await explain(query.data)) ?? null),
    );
    if (answer === "null")
      return refuse(context, "CONTROL_BUSY", "the gateway is starting or stopping; try again");
    return context.body(answer, 200, { "content-type": "application/json" });
  });
}
