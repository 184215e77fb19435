/** `log` over the control socket: how much is logged, while the gateway runs. */
import * as z from "zod";

export const LOG_PATH = "/v1/log";
/** The longest time after which a level ends by itself. */
export const LOG_SECONDS_MAX = 7 * 86_400;

const level = z.enum(["trace", "debug", "info", "warn", "error", "silent"]);

export const logRequest = z.strictObject({
  level,
  /** `NAME`, or `NAME#N` for one of its peers; absent: everything. */
  connection: z.string().min(1).max(128).optional(),
  /** Until then; absent: until the gateway ends. */
  seconds: z.number().positive().max(LOG_SECONDS_MAX).optional(),
});
export type LogRequest = z.infer<typeof logRequest>;

/** What differs from the level that the gateway was started with. */
export const logDocument = z.strictObject({
  levels: z.array(
    z.strictObject({ connection: z.string().optional(), level, endsInSeconds: z.number().optional() }),
  ),
});
export type LogDocument = z.infer<typeof logDocument>;
