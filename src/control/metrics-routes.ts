/** Metrics and health on the control socket. */
import type { Hono } from "hono";
import { HEALTH_PATHS, healthAnswer, METRICS_TYPE, type MetricsSource } from "./health.ts";
import type { PacedAnswers } from "./paced-answers.ts";
import { CONTROL_PATHS } from "./schema.ts";

export function addMetricsRoutes(app: Hono, source: MetricsSource, paced: PacedAnswers): void {
  app.get(CONTROL_PATHS.metrics, async (context) => {
    const text = await paced.answer("metrics", () => source.metrics());
    return context.body(text, 200, { "content-type": METRICS_TYPE });
  });
  app.get(HEALTH_PATHS.healthz, (context) => {
    const { status, text } = healthAnswer(source.health());
    return context.text(text, status);
  });
  app.get(HEALTH_PATHS.readyz, (context) => {
    const { status, text } = healthAnswer(source.readiness());
    return context.text(text, status);
  });
}
