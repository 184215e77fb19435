/** `tungate run`: the daemon in the foreground, with its log on stderr. */
import { fstatSync, writeSync } from "node:fs";
import { runDaemon } from "../daemon/daemon.ts";
import { createLog, type LogFormat } from "../observe/log.ts";
import type { LogLevel } from "../observe/log-level.ts";
import type { CommandContext } from "./command-context.ts";
import { startEarly } from "./early-start.ts";

export interface RunOptions {
  readonly config: string;
  /** Overrides `gateway.control.path`. */
  readonly control?: string;
  readonly logLevel: LogLevel;
  readonly logFormat: "auto" | LogFormat;
}

const STDERR = 2;

/** @returns the exit status, once the gateway has stopped */
export function run(
  options: RunOptions,
  { version, environment, isErrorTerminal, early }: CommandContext,
): Promise<number> {
  const { config, control, logLevel, logFormat } = options;
  const fitting = isErrorTerminal ? "pretty" : isJournal(environment["JOURNAL_STREAM"]) ? "journal" : "json";
  const format = logFormat === "auto" ? fitting : logFormat;
  const useColor = format === "pretty" && isErrorTerminal && (environment["NO_COLOR"] ?? "") === "";
  const log = createLog({ level: logLevel, format, useColor, destination: { write: writeToStderr } });
  return runDaemon({
    configurationFile: config,
    version,
    log,
    ...(early ?? startEarly(environment)),
    ...(control === undefined ? {} : { controlPath: control }),
  });
}

/** Whether stderr is the stream that systemd connected with its journal (systemd.exec(5)). */
function isJournal(stream: string | undefined): boolean {
  const { dev, ino } = fstatSync(STDERR);
  return stream === `${dev}:${ino}`;
}

/** Written before it returns. Whoever reads the log may be slow or gone; the gateway goes on. */
function writeToStderr(text: string): void {
  try {
    writeSync(STDERR, text);
  } catch {
    // A full pipe (EAGAIN) or a closed one (EPIPE): there is nowhere left to say it.
  }
}
