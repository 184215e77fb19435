/** What goes wrong between the command line and a running daemon. */
import { TungateError } from "../base/errors.ts";
import type { ControlErrorCode } from "./error-code.ts";

export type ControlFailureCode =
  | ControlErrorCode
  /** Nobody listens on the socket. */
  | "CONTROL_NOT_RUNNING"
  | "CONTROL_NO_PERMISSION"
  | "CONTROL_NO_ANSWER"
  /** What answered is no daemon of this version. */
  | "CONTROL_BAD_ANSWER"
  /** The socket cannot be made. */
  | "CONTROL_ALREADY_RUNNING"
  | "CONTROL_SOCKET"
  /** Metrics cannot be served where the configuration says. */
  | "CONTROL_METRICS";

export class ControlError extends TungateError {
  override readonly name = "ControlError";
  readonly code: ControlFailureCode;

  constructor(code: ControlFailureCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** The system's code of an error, `ENOENT`; empty when it has none. */
export function systemCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** unix(7), without the zero at its end. */
const SOCKET_PATH_OCTETS_MAX = 107;

/** @throws ControlError for a path that no socket can have, which Node.js 24 would throw where nobody catches it */
export function checkSocketPath(path: string): void {
  if (Buffer.byteLength(path) > SOCKET_PATH_OCTETS_MAX)
    throw new ControlError("CONTROL_NOT_RUNNING", `${path} is too long for the path of a socket`);
}
