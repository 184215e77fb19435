/** How much is logged, told while the gateway runs: of everything, or of one connection. */
import { seconds } from "../base/instant.ts";
import type { LogTarget } from "../control/log-routes.ts";
import type { LogDocument, LogRequest } from "../control/log-schema.ts";
import { BusyError, UnknownNameError } from "../control/target.ts";
import type { Clock } from "../io/clock.ts";
import type { LogLevel } from "../observe/log-level.ts";
import { LogLevels, OWN_LEVELS_MAX } from "../observe/log-levels.ts";
import type { DaemonLog } from "./daemon-log.ts";

/** A log whose level can be changed; pino's is one. */
export interface LeveledLog extends DaemonLog {
  level: string;
}

const SECOND_MS = 1000;

export class LogControl implements LogTarget {
  readonly levelsInUse: LogLevels;
  readonly #log: LeveledLog;
  readonly #audit: DaemonLog;
  readonly #clock: Clock;
  readonly #usual: string;
  #timer: NodeJS.Timeout | undefined;
  /** Whether a connection of the configuration, or one of its peers, has this name. */
  isName: (name: string) => boolean = () => true;

  /** @param audit - told of changes whatever the level is at the moment */
  constructor(log: LeveledLog, clock: Clock, audit: DaemonLog) {
    this.#log = log;
    this.#audit = audit;
    this.#clock = clock;
    this.#usual = log.level;
    this.levelsInUse = new LogLevels(log.level as LogLevel);
  }

  setLevel({ level, connection, seconds: span }: LogRequest): LogDocument {
    if (connection !== undefined && !this.isName(connection))
      throw new UnknownNameError(`no connection is named ${connection}`);
    const now = this.#clock.now();
    if (!this.levelsInUse.set(level, connection, span === undefined ? undefined : seconds(span), now))
      throw new BusyError(
        `${OWN_LEVELS_MAX} connections have a level of their own already; tungate log shows them, and tungate log ${this.#usual} NAME ends one`,
      );
    if (connection === undefined) this.#setAll(level, span);
    const of = connection === undefined ? "" : ` of ${connection}`;
    this.#audit.info(
      `the level of the log${of} is ${level} now${span === undefined ? "" : `, for ${span} s`}`,
    );
    return this.levels();
  }

  levels(): LogDocument {
    const now = this.#clock.now();
    const levels = this.levelsInUse.differing(now).map(({ connection, level, until }) => ({
      ...(connection === undefined ? {} : { connection }),
      level,
      ...(until === undefined ? {} : { endsInSeconds: Math.ceil((until - now) / SECOND_MS) }),
    }));
    return { levels };
  }

  /** Sentences for status, while something differs. */
  advice(): readonly string[] {
    return this.levels().levels.map(({ connection, level, endsInSeconds }) => {
      const of = connection === undefined ? "" : ` of ${connection}`;
      const end = endsInSeconds === undefined ? "until the gateway ends" : `for another ${endsInSeconds} s`;
      return `the level of the log${of} is ${level}, ${end}`;
    });
  }

  /** What is not about a connection is the log's own. */
  #setAll(level: LogLevel, span: number | undefined): void {
    clearTimeout(this.#timer);
    this.#log.level = level;
    if (span === undefined) return;
    this.#timer = setTimeout(() => {
      this.#log.level = this.#usual;
    }, span * SECOND_MS).unref();
  }
}
