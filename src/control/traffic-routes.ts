/** What each child carries, on the control socket. */
import type { Hono } from "hono";
import type { PacedAnswers } from "./paced-answers.ts";
import { CONTROL_PATHS } from "./schema.ts";
import type { TrafficDocument } from "./traffic-schema.ts";

export function addTrafficRoutes(app: Hono, traffic: () => TrafficDocument, paced: PacedAnswers): void {
  app.get(CONTROL_PATHS.traffic, async (context) => {
    const answer = await paced.answer("traffic", () => JSON.stringify(traffic()));
    return context.body(answer, 200, { "content-type": "application/json" });
  });
}
