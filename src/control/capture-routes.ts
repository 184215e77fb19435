/** The routes of `tungate capture`: a file that grows until somebody ends it. */
import type { Context, Hono } from "hono";
import { CAPTURE_PATH, CAPTURE_TYPE, captureRequest } from "./capture-schema.ts";
import { CaptureRefusedError, type CaptureTarget } from "./capture-target.ts";
import { withBody } from "./json-body.ts";
import { refuse } from "./refusal.ts";

export function addCaptureRoutes(app: Hono, target: CaptureTarget): void {
  app.post(CAPTURE_PATH, (context) =>
    withBody(context, captureRequest, async (request) => {
      try {
        const stream = target.open(request, socketOf(context));
        return context.body(stream, 200, { "content-type": CAPTURE_TYPE });
      } catch (error) {
        if (error instanceof CaptureRefusedError) return refuse(context, error.code, error.message);
        throw error;
      }
    }),
  );
  app.delete(CAPTURE_PATH, (context) =>
    target.stop() ? context.json({}) : refuse(context, "CONTROL_NOT_FOUND", "no capture runs"),
  );
}

/** The descriptor of the client's connection, which Node keeps to itself. */
function socketOf(context: Context): number | undefined {
  const { incoming } = (context.env ?? {}) as {
    incoming?: { socket?: { _handle?: { fd?: number } | null } };
  };
  const fd = incoming?.socket?._handle?.fd;
  return fd !== undefined && fd >= 0 ? fd : undefined;
}
