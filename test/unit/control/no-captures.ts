import { CaptureRefusedError, type CaptureTarget } from "../../../src/control/capture-target.ts";

/** A daemon that captures nothing. */
export const NO_CAPTURES: CaptureTarget = {
  open() {
    throw new CaptureRefusedError("CONTROL_BUSY", "a capture runs already");
  },
  stop: () => false,
};
