/** Levels of the log, apart from the log itself so that the command line can name them without loading it. */

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
