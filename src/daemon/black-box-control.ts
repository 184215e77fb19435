/** The black box as the control socket, a failure and a crash ask for it. */
import type { Instant } from "../base/instant.ts";
import type { BlackboxTarget } from "../control/blackbox-routes.ts";
import type { BlackboxDocument, BlackboxEntry } from "../control/blackbox-schema.ts";
import { UnknownNameError } from "../control/target.ts";
import type { FailureNotice } from "../ike/notice.ts";
import type { Clock } from "../io/clock.ts";
import { BLACK_BOX_SPAN, type BlackBox } from "./black-box.ts";
import { isPartOf } from "./connection-name.ts";
import type { DaemonLog } from "./daemon-log.ts";

/** Entries that a crash leaves in the log. */
const LAST_WORDS_MAX = 40;
/** Hints in the log: one for a connection in the time that the box covers, and so many in all. */
const HINTS_MAX = 6;

export interface BlackBoxControlOptions {
  readonly box: BlackBox;
  readonly clock: Clock;
  readonly log: DaemonLog;
  /** Whether a connection of the configuration, or one of its peers, has this name. */
  readonly isName: (name: string) => boolean;
}

export class BlackBoxControl implements BlackboxTarget {
  readonly #options: BlackBoxControlOptions;
  readonly #hintedAt = new Map<string, Instant>();

  constructor(options: BlackBoxControlOptions) {
    this.#options = options;
  }

  read(connection: string | undefined): BlackboxDocument {
    const { box, clock, isName } = this.#options;
    const now = clock.now();
    const entries = box.read(
      (name) => connection === undefined || (name !== undefined && isPartOf(name, connection)),
      now,
    );
    if (connection !== undefined && entries.length === 0 && !isName(connection))
      throw new UnknownNameError(`no connection is named ${connection}`);
    return { apiVersion: 1, seconds: BLACK_BOX_SPAN / 1000, entries, leftOut: box.leftOut(now) };
  }

  /** Says where more is to be read, seldom. */
  hint({ connection }: FailureNotice): void {
    if (connection === undefined) return;
    const now = this.#options.clock.now();
    for (const [name, at] of this.#hintedAt) if (now - at > BLACK_BOX_SPAN) this.#hintedAt.delete(name);
    if (this.#hintedAt.has(connection) || this.#hintedAt.size >= HINTS_MAX) return;
    this.#hintedAt.set(connection, now);
    this.#options.log.info(`tungate blackbox ${connection} shows what came before, for ten minutes`);
  }
}

/** What a process that ends unforeseen leaves in its log, a line each. */
export function lastWords(box: BlackBox, now: Instant): string[] {
  return box
    .read(() => true, now)
    .slice(-LAST_WORDS_MAX)
    .map(oneLine);
}

function oneLine(entry: BlackboxEntry): string {
  const when = `${entry.secondsAgo.toFixed(1)} s before`;
  const whose = entry.connection ?? "nobody known";
  if (entry.kind === "decision") return `${when}  ${whose}  ${entry.code}: ${entry.lines[0]}`;
  const { direction, remote, exchange, isResponse, messageId, payloads, repeats } = entry;
  const what = `${exchange} ${isResponse ? "response" : "request"} ${messageId}`;
  const arrow = direction === "inbound" ? "from" : "to";
  return `${when}  ${whose}  ${arrow} ${remote}  ${what}  ${payloads.join(" ")}${repeats > 0 ? `  again (${repeats})` : ""}`;
}
