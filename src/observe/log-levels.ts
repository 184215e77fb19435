/** Which lines of the log are written: by its level, and by that of a connection while somebody looks closer. */
import { after, type DurationMs, type Instant } from "../base/instant.ts";
import { LOG_LEVELS, type LogLevel } from "./log-level.ts";

/** Connections with a level of their own, at most. */
export const OWN_LEVELS_MAX = 64;

export interface OwnLevel {
  /** Absent: of everything. */
  readonly connection?: string;
  readonly level: LogLevel;
  /** Absent: until the gateway ends. */
  readonly until?: Instant;
}

export class LogLevels {
  readonly #usual: LogLevel;
  readonly #own = new Map<string, OwnLevel>();

  /** @param usual - as the gateway was started */
  constructor(usual: LogLevel) {
    this.#usual = usual;
  }

  /**
   * The usual level ends what differs from it.
   * @returns false when too many connections have one already
   */
  set(level: LogLevel, connection: string | undefined, span: DurationMs | undefined, now: Instant): boolean {
    const key = connection ?? "";
    this.#own.delete(key);
    this.differing(now);
    // What is above it may differ for a time only, and then it would not be as it was told.
    if (level === this.#usual && level === this.#levelOf(connection, now)) return true;
    if (this.#own.size >= OWN_LEVELS_MAX) return false;
    this.#own.set(key, {
      ...(connection === undefined ? {} : { connection }),
      level,
      ...(span === undefined ? {} : { until: after(now, span) }),
    });
    return true;
  }

  /** What is not as the gateway was started. */
  differing(now: Instant): readonly OwnLevel[] {
    for (const [key, { until }] of this.#own) if (until !== undefined && now >= until) this.#own.delete(key);
    return [...this.#own.values()];
  }

  /** @param connection - as it is shown, `NAME#N` for one of many peers; absent: nobody's */
  isEnabled(level: LogLevel, connection: string | undefined, now: Instant): boolean {
    return LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(this.#levelOf(connection, now));
  }

  #levelOf(connection: string | undefined, now: Instant): LogLevel {
    if (this.#own.size === 0) return this.#usual;
    const [name] = connection === undefined ? [] : connection.split("#");
    const candidates = connection === undefined ? [""] : [connection, name!, ""];
    for (const key of candidates) {
      const own = this.#own.get(key);
      if (own !== undefined && (own.until === undefined || now < own.until)) return own.level;
    }
    return this.#usual;
  }
}
