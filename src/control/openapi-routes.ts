/** The document that describes this API. */
import type { Hono } from "hono";
import { CONTROL_PATHS } from "./schema.ts";

export function addOpenApiRoutes(app: Hono, version: string): void {
  let text: string | undefined;
  app.get(CONTROL_PATHS.openapi, async (context) => {
    if (text === undefined) {
      const { openApiDocument } = await import("./openapi.ts");
      text = JSON.stringify(openApiDocument(version));
    }
    return context.body(text, 200, { "content-type": "application/json" });
  });
}
