/** The log: pino, pretty on a terminal, plain lines with priorities for the journal, JSON otherwise; notices become lines with a level, fields and words. */
import pino, { type DestinationStream, type Logger } from "pino";
import { prettyFactory } from "pino-pretty";
import type { Instant } from "../base/instant.ts";
import { formatSpi } from "../base/spi.ts";
import { formatEndpoint } from "../base/udp-endpoint.ts";
import type { IkeNotice, IkeNoticeCode } from "../ike/notice.ts";
import { identityText } from "./identity-text.ts";
import { LineLimiter } from "./line-limiter.ts";
import type { LogLevel } from "./log-level.ts";
import { LogLevels } from "./log-levels.ts";
import { noticeWords } from "./words.ts";

export type { Logger } from "pino";

type NoticeLevel = "debug" | "info" | "warn" | "error";

/** Lines about peers of no connection, per minute: anyone may cause them. */
export const STRANGER_LINES_PER_MINUTE = 20;
/** Lines per minute about one kind of failure of one connection or child; the same words come once. */
export const FAILURE_LINES_PER_MINUTE = 6;

export type LogFormat = "pretty" | "journal" | "json";

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  readonly useColor: boolean;
  readonly destination: DestinationStream;
}

/** A logger that writes each line before it returns, so that nothing is lost when the process ends. */
export function createLog({ level, format, useColor, destination }: LogOptions): Logger {
  const stream = streamOf(format, useColor, destination);
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  return pino({ ...options, formatters: { level: (label) => ({ level: label }) } }, stream);
}

function streamOf(format: LogFormat, useColor: boolean, destination: DestinationStream): DestinationStream {
  switch (format) {
    case "json":
      return destination;
    case "pretty":
      return prettyStream(useColor, destination);
    case "journal":
      return journalStream(destination);
    default:
      return format satisfies never;
  }
}

/** Fields that the sentence already says, or that stand in front of it. */
const HIDDEN = "pid,hostname,code,connection,child,details,ikeSa,childSa";

function prettyStream(useColor: boolean, destination: DestinationStream): DestinationStream {
  const format = prettyFactory({
    colorize: useColor,
    translateTime: "SYS:HH:MM:ss.l",
    ignore: HIDDEN,
    messageFormat: (line, key) => wordsOf(line, key),
  });
  return { write: (line) => destination.write(format(line)) };
}

/** As journald reads them from a stream (sd-daemon(3)). */
const PRIORITIES: Readonly<Record<string, number>> = {
  fatal: 2,
  error: 3,
  warn: 4,
  info: 6,
  debug: 7,
  trace: 7,
};

/** The journal has the time, and takes the priority of each line from its head; the code stands behind the sentence. */
function journalStream(destination: DestinationStream): DestinationStream {
  const format = prettyFactory({
    colorize: false,
    ignore: `${HIDDEN},time,level`,
    messageFormat(line, key) {
      const { code } = line as PrettyLine;
      return wordsOf(line, key, code === undefined ? "" : ` [${code}]`);
    },
  });
  return {
    write(line) {
      const fields = JSON.parse(line) as { readonly level: string };
      const head = `<${PRIORITIES[fields.level] ?? 6}>`;
      const lines = format(fields)
        .split("\n")
        .filter((one) => one.trim() !== "");
      destination.write(lines.map((one) => `${head}${one}\n`).join(""));
    },
  };
}

function wordsOf(line: object, key: string, after = ""): string {
  const { connection, child, details, [key]: sentence } = line as PrettyLine & Record<string, unknown>;
  const name = [connection, child].filter((part) => part !== undefined).join("/");
  const lines = (details ?? []).map((detail) => `\n        ${detail}`).join("");
  return `${name === "" ? "" : `${name}: `}${String(sentence)}${after}${lines}`;
}

interface PrettyLine {
  readonly code?: string;
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
  ppkRefused: "error",
  authenticationRejectedByPeer: "error",
  authenticationNotComputed: "error",
  noCommonSignature: "error",
  noAnswer: "warn",
  errorFromPeer: "warn",
  refused: "warn",
  keyExchangeRefused: "warn",
  encapsulationImpossible: "error",
  transportRefused: "error",
  noLocalAddress: "warn",
  noAddressToCall: "error",
  peerSpeaksIkeV1: "error",
  duplicateRefused: "warn",
  reauthPostponed: "warn",
  saTableFull: "error",
  aggfragNotAgreed: "error",
  childLimit: "error",
  rekeyRefused: "error",
  askingInParts: "warn",
  aggfragOff: "warn",
  ikeSaUp: "info",
  ikeSaDown: "info",
  ikeSaRekeyed: "info",
  childSaUp: "info",
  networksShared: "warn",
  childSaDown: "info",
  childSaRekeyed: "info",
  rekeyPostponed: "warn",
  softLimit: "debug",
  keyExchangesUnfinished: "warn",
  natDetected: "debug",
  peerMoved: "info",
  ownAddressChanged: "info",
  addressesUpdated: "info",
  peerAddresses: "debug",
  moveRefused: "warn",
  moveNotAllowed: "warn",
  unexpectedNat: "warn",
  routabilityFailed: "warn",
  fragmentsShrunk: "info",
  answerNotHeard: "warn",
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

/** Every code there is: they are stable, for whoever looks for them in logs. */
export const NOTICE_CODES = Object.keys(LEVELS) as readonly IkeNoticeCode[];

/** What makes an SA's end one to look at; the others were asked for or have a notice before them. */
const LOUD_DOWN_REASONS: ReadonlySet<string> = new Set([
  "expired",
  "authenticationExpired",
  "protocolError",
  "notComputed",
  "hardLimit",
]);

export function noticeLevel(notice: IkeNotice): NoticeLevel {
  const isDown = notice.code === "ikeSaDown" || notice.code === "childSaDown";
  if (isDown && LOUD_DOWN_REASONS.has(notice.reason)) return "warn";
  return LEVELS[notice.code];
}

/** Writes notices as log lines; repeats and what strangers cause are limited, and what was left out is counted. */
export class NoticeLog {
  /** Writes whatever it is given: {@link LogLevels} decides. */
  readonly #log: Logger;
  readonly #levels: LogLevels;
  readonly #limiter = new LineLimiter();

  constructor(log: Logger, levels: LogLevels = new LogLevels(log.level as LogLevel)) {
    this.#log = log.child({}, { level: "trace" });
    this.#levels = levels;
  }

  write(notice: IkeNotice, now: Instant): void {
    const level = noticeLevel(notice);
    if (!this.#levels.isEnabled(level, notice.connection, now)) return;
    const [sentence = notice.code, ...details] = noticeWords(notice, now);
    const suppressed = this.#take(notice, level, `${sentence}\n${details.join("\n")}`, now);
    if (suppressed === undefined) return;
    const fields = {
      ...fieldsOf(notice, this.#levels.isEnabled("debug", notice.connection, now)),
      ...(details.length > 0 ? { details } : {}),
      ...(suppressed > 0 ? { suppressed } : {}),
    };
    this.#log[level](fields, sentence);
  }

  /** @returns how many lines were left out before this one; `undefined`: leave this one out too */
  #take(
    { code, connection, child }: IkeNotice,
    level: NoticeLevel,
    text: string,
    now: Instant,
  ): number | undefined {
    if (connection === undefined) return this.#limiter.take("", text, STRANGER_LINES_PER_MINUTE, now);
    if (level === "debug" || level === "info") return 0;
    // Whoever forges a peer's address can cause failures of its connection.
    return this.#limiter.take(`${connection}/${child ?? ""}/${code}`, text, FAILURE_LINES_PER_MINUTE, now);
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
