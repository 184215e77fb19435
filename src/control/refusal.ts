/** The one shape of every error that the control API answers with. */
import type { Context } from "hono";
import type { ControlErrorCode } from "./error-code.ts";

const STATUS: Readonly<Record<ControlErrorCode, 400 | 403 | 404 | 413 | 500 | 503>> = {
  CONTROL_BAD_REQUEST: 400,
  CONTROL_NOT_ALLOWED: 403,
  CONTROL_READ_ONLY: 403,
  CONTROL_TOO_BIG: 413,
  CONTROL_UNKNOWN_NAME: 404,
  CONTROL_NOT_FOUND: 404,
  CONTROL_BUSY: 503,
  CONTROL_INTERNAL: 500,
};

export function refuse(context: Context, code: ControlErrorCode, message: string): Response {
  return context.json({ error: { code, message } }, STATUS[code]);
}
