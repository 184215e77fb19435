import type { BlackboxTarget } from "../../../src/control/blackbox-routes.ts";
import { CaptureRefusedError, type CaptureTarget } from "../../../src/control/capture-target.ts";
import type { LogTarget } from "../../../src/control/log-routes.ts";

/** A daemon that captures nothing. */
export const NO_CAPTURES: CaptureTarget = {
  open() {
    throw new CaptureRefusedError("CONTROL_BUSY", "a capture runs already");
  },
  stop: () => false,
};

/** Nothing has happened. */
export const NO_BLACKBOX: BlackboxTarget = {
  read: () => ({ apiVersion: 1, seconds: 600, entries: [], leftOut: 0 }),
};

export const NO_LOG: LogTarget = { setLevel: () => ({ levels: [] }), levels: () => ({ levels: [] }) };
