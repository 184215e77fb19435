/** What the parts of the daemon need of a log; pino's is one. */

export interface DaemonLog {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}
