/** What each child carries, on the control socket. */
import type { Hono } from "hono";
import { CONTROL_PATHS } from "./schema.ts";
import type { TrafficDocument } from "./traffic-schema.ts";

export function addTrafficRoutes(app: Hono, traffic: () => TrafficDocument): void {
  app.get(CONTROL_PATHS.traffic, (context) => context.json(traffic()));
}
