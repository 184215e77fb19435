/** Why the control API refuses a request. */

export const CONTROL_ERROR_CODES = [
  "CONTROL_BAD_REQUEST",
  "CONTROL_NOT_ALLOWED",
  "CONTROL_READ_ONLY",
  "CONTROL_TOO_BIG",
  "CONTROL_UNKNOWN_NAME",
  "CONTROL_NOT_FOUND",
  "CONTROL_BUSY",
  "CONTROL_INTERNAL",
] as const;
export type ControlErrorCode = (typeof CONTROL_ERROR_CODES)[number];
