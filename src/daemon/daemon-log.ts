/** What the daemon needs of a log; observe/ makes one. */
import type { FailureNotice, IkeNotice } from "../ike/notice.ts";

export interface DaemonLog {
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
  debug(message: string): void;
  notice(notice: IkeNotice): void;
}

/** A failure in words for the operator, the summary first; what peers supply is escaped. */
export type FailureWords = (failure: FailureNotice) => readonly string[];
