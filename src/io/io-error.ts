/** What the system refused, with a stable code and a sentence that says what to do. */
import { TungateError } from "../base/errors.ts";

export type IoErrorCode =
  /** Manual keying's memory of used sequence numbers. */
  | "IO_SEQUENCE_FILE_MISSING"
  | "IO_SEQUENCE_FILE_CORRUPT"
  | "IO_SEQUENCE_FILE_UNUSABLE"
  | "IO_SEQUENCE_FILE_IN_USE"
  | "IO_SEQUENCE_EXHAUSTED"
  /** The routes script. */
  | "IO_ROUTES_SCRIPT_FAILED"
  /** The kernel's view of links, addresses and routes. */
  | "IO_NETLINK_FAILED"
  /** Devices and sockets. */
  | "IO_ADDON_MISSING"
  | "IO_ADDON_STALE"
  | "IO_TUN_UNAVAILABLE"
  | "IO_NOT_PERMITTED"
  | "IO_PORT_IN_USE"
  | "IO_ADDRESS_NOT_OURS"
  | "IO_NO_ROUTE"
  | "IO_SYSTEM_CALL_FAILED"
  /** What the process before left is not this one's yet. */
  | "IO_STATE_IN_USE"
  /** A lane ended although it was not told to. */
  | "IO_LANE_FAILED"
  /** The thread that reads the configuration anew ended without an answer. */
  | "IO_RELOAD_FAILED";

export class IoError extends TungateError {
  override readonly name = "IoError";
  readonly code: IoErrorCode;

  constructor(code: IoErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** `ENOENT` and its like, or `undefined` for an error that no system call made. */
export function systemCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
