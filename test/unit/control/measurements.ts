/** A gateway's measurements for tests of what serves them. */
import type { MetricsSource } from "../../../src/control/health.ts";

export const MEASUREMENTS: MetricsSource = {
  metrics: () => "tungate_lanes 2\n",
  health: () => ({ isGood: true, lines: ["all 2 lanes move"] }),
  readiness: () => ({ isGood: false, lines: ["1 of 2 are not up", "paris/lan"] }),
};
