/** The log: pino, pretty on a terminal and JSON otherwise; notices become lines with a level, fields and words. */
import pino, { type DestinationStream, type Logger } from "pino";
import { prettyFactory } from "pino-pretty";
import type { Instant } from "../base/instant.ts";
import { formatSpi } from "../base/spi.ts";
import { formatEndpoint } from "../base/udp-endpoint.ts";
import type { IkeNotice, IkeNoticeCode } from "../ike/notice.ts";
import { identityText } from "./identity-text.ts";
import type { LogLevel } from "./log-level.ts";
import { noticeWords } from "./words.ts";

export type { Logger } from "pino";

type NoticeLevel = "debug" | "info" | "warn" | "error";

/** Lines about peers of no connection, per minute: anyone may cause them. */
export const STRANGER_LINES_PER_MINUTE = 20;

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: "pretty" | "json";
  readonly useColor: boolean;
  readonly destination: DestinationStream;
}

/** A logger that writes each line before it returns, so that nothing is lost when the process ends. */
export function createLog({ level, format, useColor, destination }: LogOptions): Logger {
  const stream = format === "json" ? destination : prettyStream(useColor, destination);
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  return pino({ ...options, formatters: { level: (label) => ({ level: label }) } }, stream);
}

/** Fields that the sentence already says, or that stand in front of it. */
const HIDDEN = "pid,hostname,code,connection,child,details,ikeSa,childSa";

function prettyStream(useColor: boolean, destination: DestinationStream): DestinationStream {
  const format = prettyFactory({
    colorize: useColor,
    translateTime: "SYS:HH:MM:ss.l",
    ignore: HIDDEN,
    messageFormat: (line, key) => {
      const { connection, child, details } = line as PrettyLine;
      const name = [connection, child].filter((part) => part !== undefined).join("/");
      const lines = (details ?? []).map((detail) => `\n        ${detail}`).join("");
      return `${name === "" ? "" : `${name}: `}${String(line[key])}${lines}`;
    },
  });
  return { write: (line) => destination.write(format(line)) };
}

interface PrettyLine {
  readonly connection?: string;
  readonly child?: string;
  readonly details?: readonly string[];
}

const LEVELS: Readonly<Record<IkeNoticeCode, NoticeLevel>> = {
  noCommonProposal: "error",
  proposalRejectedByPeer: "error",
  selectorsUnacceptable: "error",
  identityMismatch: "error",
  localIdentityMismatch: "error",
  authenticationFailed: "error",
  authenticationRejectedByPeer: "error",
  noAnswer: "warn",
  errorFromPeer: "warn",
  refused: "warn",
  keyExchangeRefused: "warn",
  encapsulationImpossible: "error",
  noLocalAddress: "warn",
  noAddressToCall: "error",
  peerSpeaksIkeV1: "error",
  saTableFull: "error",
  ikeSaUp: "info",
  ikeSaDown: "info",
  ikeSaRekeyed: "info",
  childSaUp: "info",
  childSaDown: "info",
  childSaRekeyed: "info",
  rekeyPostponed: "warn",
  softLimit: "debug",
  natDetected: "debug",
  peerMoved: "info",
  invalidKeRetry: "debug",
  cookieRequired: "debug",
  cookiesOn: "warn",
  cookiesOff: "info",
  unauthenticatedNotify: "debug",
  droppedMessage: "debug",
  retrying: "info",
  connecting: "debug",
  noConnectionFor: "warn",
};

/** What makes an SA's end one to look at; the others were asked for or have a notice before them. */
const LOUD_DOWN_REASONS: ReadonlySet<string> = new Set(["expired", "protocolError", "hardLimit"]);

export function noticeLevel(notice: IkeNotice): NoticeLevel {
  const isDown = notice.code === "ikeSaDown" || notice.code === "childSaDown";
  if (isDown && LOUD_DOWN_REASONS.has(notice.reason)) return "warn";
  return LEVELS[notice.code];
}

/** Writes notices as log lines; those that strangers cause are limited, and what was left out is counted. */
export class NoticeLog {
  readonly #log: Logger;
  #minuteEndsAt = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #suppressed = 0;

  constructor(log: Logger) {
    this.#log = log;
  }

  write(notice: IkeNotice, now: Instant): void {
    const level = noticeLevel(notice);
    if (!this.#log.isLevelEnabled(level)) return;
    const suppressed = notice.connection === undefined ? this.#takeLine(now) : 0;
    if (suppressed === undefined) return;
    const [sentence, ...details] = noticeWords(notice, now);
    const fields = {
      ...fieldsOf(notice, this.#log.isLevelEnabled("debug")),
      ...(details.length > 0 ? { details } : {}),
    };
    this.#log[level](suppressed === 0 ? fields : { ...fields, suppressed }, sentence ?? notice.code);
  }

  /** @returns how many lines were left out before this one; `undefined`: leave this one out too */
  #takeLine(now: Instant): number | undefined {
    if (now >= this.#minuteEndsAt) {
      this.#minuteEndsAt = now + 60_000;
      this.#lines = 0;
    }
    if (this.#lines >= STRANGER_LINES_PER_MINUTE) {
      this.#suppressed++;
      return undefined;
    }
    this.#lines++;
    const suppressed = this.#suppressed;
    this.#suppressed = 0;
    return suppressed;
  }
}

function fieldsOf(notice: IkeNotice, isDebug: boolean): Record<string, unknown> {
  const { code, connection, child, remote } = notice;
  return {
    code,
    ...(connection === undefined ? {} : { connection }),
    ...(child === undefined ? {} : { child }),
    ...("ikeSa" in notice ? { ikeSa: `${notice.ikeSa.initiatorSpi}_${notice.ikeSa.responderSpi}` } : {}),
    ...("spis" in notice
      ? { childSa: `${formatSpi(notice.spis.inboundSpi)}_${formatSpi(notice.spis.outboundSpi)}` }
      : {}),
    ...(isDebug && remote !== undefined ? { remote: formatEndpoint(remote) } : {}),
    ...(isDebug && notice.code === "ikeSaUp" ? { peerIdentity: identityText(notice.peerIdentity) } : {}),
  };
}
