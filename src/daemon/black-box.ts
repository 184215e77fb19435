/**
 * The last minutes of IKE, always kept: messages by their headers, types and sizes, and what was decided. No nonce, key, proof or
 * identity is in it but what notices tell anyway. Every share is bounded: what strangers cause takes nothing from what is known of a peer, and
 * one connection takes nothing from others.
 */
import { type DurationMs, type Instant, minutes } from "../base/instant.ts";
import type { IkeSpi } from "../base/spi.ts";
import { formatEndpoint, sameEndpoint, type UdpEndpoint } from "../base/udp-endpoint.ts";
import type { BlackboxEntry } from "../control/blackbox-schema.ts";
import type { IkeNotice } from "../ike/notice.ts";
import type { TracedMessage } from "../ike/trace.ts";
import { noticeWords } from "../observe/words.ts";
import { encodePayloadChain } from "../wire/ike/message.ts";
import { NO_NOTIFY, OUTLINE_STRIDE, outlineOf } from "../wire/ike/outline.ts";
import { ExchangeType, NotifyType, nameOf, PayloadType } from "../wire/ike/registries.ts";
import { WireError } from "../wire/wire-error.ts";

export const BLACK_BOX_SPAN: DurationMs = minutes(10);
/** Of one connection: messages that its keys protect, messages of IKE_SA_INIT, which anybody can send, and decisions. */
export const PROTECTED_KEPT_MAX = 160;
export const INIT_KEPT_MAX = 48;
export const DECISIONS_KEPT_MAX = 96;
/** Of all connections, some 6 MB. */
export const ENTRIES_KEPT_MAX = 16_384;
/** Payloads of a message that are named. */
const PAYLOADS_NAMED_MAX = 24;

/** What messages of one exchange after another have in common; one object for all of them. */
interface Ends {
  readonly direction: TracedMessage["direction"];
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
  readonly initiatorSpi: IkeSpi;
  readonly responderSpi: IkeSpi;
  readonly isProtected: boolean;
}
interface MessageEntry {
  readonly kind: "message";
  readonly ends: Ends;
  readonly exchangeType: number;
  readonly isResponse: boolean;
  readonly messageId: number;
  /** See {@link outlined}; `undefined` of a message that was malformed. */
  readonly outline: string | undefined;
  readonly octets: number;
  readonly packets: number;
  readonly repeats: number;
}
interface DecisionEntry {
  readonly kind: "decision";
  readonly notice: IkeNotice;
}
type Entry = (MessageEntry | DecisionEntry) & {
  /** Of all entries, for those of one moment. */
  readonly order: number;
  at: Instant;
  count: number;
};

interface Share {
  readonly kind: keyof typeof SHARES;
  readonly connection: string | undefined;
  /** As long as it has to be: V8 makes room for sixteen more when one is put into an empty list. */
  entries: readonly Entry[];
}

export class BlackBox {
  readonly #shares = new Map<string, Share>();
  #count = 0;
  #order = 0;
  /** When entries last gave way to others that were younger than the span. */
  readonly #lostAt: Instant[] = [];

  noteMessage(message: TracedMessage, now: Instant): void {
    const { connection, isProtected, sizes, repeats } = message;
    const { exchangeType, isResponse, messageId } = message.header;
    const share = this.#share(isProtected ? "protected" : "init", connection);
    const entry: Entry = {
      kind: "message",
      ends: endsOf(message, share.entries),
      exchangeType,
      isResponse,
      messageId,
      outline: outlined(message),
      octets: sizes.reduce((sum, size) => sum + size, 0),
      packets: Math.max(sizes.length, 1),
      repeats,
      order: this.#order++,
      at: now,
      count: 1,
    };
    this.#add(share, entry, now);
  }

  noteDecision(notice: IkeNotice, now: Instant): void {
    const { connection } = notice;
    const share = this.#share("decisions", connection);
    const last = share.entries.at(-1);
    if (last?.kind === "decision" && isSameDecision(last.notice, notice)) {
      last.at = now;
      last.count++;
      return;
    }
    this.#add(share, { kind: "decision", notice, order: this.#order++, at: now, count: 1 }, now);
  }

  /** @param isWanted - by connection; `undefined`: of nobody known */
  read(isWanted: (connection: string | undefined) => boolean, now: Instant): BlackboxEntry[] {
    const wanted = [...this.#shares.values()]
      .filter(({ connection }) => isWanted(connection))
      .flatMap(({ connection, entries }) => entries.map((entry) => ({ connection, entry })))
      .filter(({ entry }) => now - entry.at <= BLACK_BOX_SPAN);
    return wanted
      .toSorted((a, b) => a.entry.at - b.entry.at || a.entry.order - b.entry.order)
      .map(({ connection, entry }) => shownEntry(connection, entry, now));
  }

  /** Entries within the span that gave way to others. */
  leftOut(now: Instant): number {
    return this.#lostAt.filter((at) => now - at <= BLACK_BOX_SPAN).length;
  }

  #share(kind: keyof typeof SHARES, connection: string | undefined): Share {
    const key = `${kind}/${connection ?? ""}`;
    const known = this.#shares.get(key);
    if (known !== undefined) return known;
    const fresh: Share = { kind, connection, entries: [] };
    this.#shares.set(key, fresh);
    return fresh;
  }

  #add(share: Share, entry: Entry, now: Instant): void {
    this.#forgetOld(share, now);
    share.entries = [...share.entries, entry];
    this.#count++;
    if (share.entries.length > SHARES[share.kind]) this.#lose(share, 1, now);
    if (this.#count > ENTRIES_KEPT_MAX) this.#makeRoom(now);
  }

  #forgetOld(share: Share, now: Instant): void {
    const { entries } = share;
    let old = 0;
    while (old < entries.length && now - entries[old]!.at > BLACK_BOX_SPAN) old++;
    if (old === 0) return;
    share.entries = entries.slice(old);
    this.#count -= old;
  }

  #lose(share: Share, count: number, now: Instant): void {
    for (const { at } of share.entries.slice(0, count)) if (now - at <= BLACK_BOX_SPAN) this.#lostAt.push(at);
    share.entries = share.entries.slice(count);
    this.#count -= count;
    if (this.#lostAt.length > ENTRIES_KEPT_MAX) this.#lostAt.splice(0, ENTRIES_KEPT_MAX / 2);
  }

  /** First what is old anyway, then the older half of whatever has the most. */
  #makeRoom(now: Instant): void {
    for (const [key, share] of this.#shares) {
      this.#forgetOld(share, now);
      if (share.entries.length === 0) this.#shares.delete(key);
    }
    for (const share of [...this.#shares.values()].toSorted((a, b) => b.entries.length - a.entries.length)) {
      if (this.#count <= ENTRIES_KEPT_MAX - ROOM) return;
      this.#lose(share, Math.ceil(share.entries.length / 2), now);
    }
  }
}

const SHARES = { protected: PROTECTED_KEPT_MAX, init: INIT_KEPT_MAX, decisions: DECISIONS_KEPT_MAX } as const;
/** Made at a time, so that it is looked for seldom. */
const ROOM = 1024;

/** Of the same to the same: counted, so that a failure that comes again and again does not push out all else. */
function isSameDecision(a: IkeNotice, b: IkeNotice): boolean {
  if (a.code !== b.code || a.connection !== b.connection || a.child !== b.child) return false;
  if ("reason" in a && "reason" in b && a.reason !== b.reason) return false;
  return !("spis" in a) && !("ikeSa" in a);
}

/** The last messages' own, where nothing is new: endpoints and SPIs of each message are objects of their own. */
function endsOf(message: TracedMessage, before: readonly Entry[]): Ends {
  const { direction, local, remote, isProtected } = message;
  const { initiatorSpi, responderSpi } = message.header;
  for (const entry of before.slice(-2)) {
    if (entry.kind !== "message") continue;
    const { ends } = entry;
    const isSame =
      ends.direction === direction &&
      ends.initiatorSpi === initiatorSpi &&
      ends.responderSpi === responderSpi &&
      sameEndpoint(ends.local, local) &&
      sameEndpoint(ends.remote, remote);
    if (isSame) return ends;
  }
  return { direction, local, remote, initiatorSpi, responderSpi, isProtected };
}

/**
 * The numbers of {@link outlineOf} as the characters of a text, the smallest form that V8 has for a few numbers below 2^16. Names are
 * made of it when somebody reads: most of what is noted nobody ever looks at.
 */
function outlined({ payloads, inner }: TracedMessage): string | undefined {
  const { first, bytes } = inner ?? encodePayloadChain(payloads);
  try {
    return String.fromCharCode(...outlineOf(first, bytes).map(asCharacter));
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  } finally {
    // Our own copy of what leaves sealed.
    if (inner === undefined) bytes.fill(0);
  }
}

/** Of each payload's three numbers the first, its type, says whether the third is a notify type, for which all 16 bits are taken. */
function asCharacter(number: number, at: number, outline: readonly number[]): number {
  if (at % OUTLINE_STRIDE !== 0) return Math.max(number, 0);
  return outline[at + 2] === NO_NOTIFY ? number : number | IS_NOTIFY;
}
const IS_NOTIFY = 0x100;

/** Types and octets. */
function payloadNames(outline: string | undefined): string[] {
  if (outline === undefined) return ["malformed"];
  const count = outline.length / OUTLINE_STRIDE;
  const named = Array.from({ length: Math.min(count, PAYLOADS_NAMED_MAX) }, (_, i) => {
    const [type, octets, notifyType] = [0, 1, 2].map((k) => outline.charCodeAt(i * OUTLINE_STRIDE + k));
    return `${type! < IS_NOTIFY ? payloadName(type!) : `N(${nameOf(NotifyType, notifyType!)})`} ${octets}`;
  });
  return count > PAYLOADS_NAMED_MAX ? [...named, `${count - PAYLOADS_NAMED_MAX} more`] : named;
}

function payloadName(type: number): string {
  if (type === PayloadType.NONCE) return "Nonce";
  return Object.values<number>(PayloadType).includes(type) ? nameOf(PayloadType, type) : `${type}`;
}

function shownEntry(connection: string | undefined, entry: Entry, now: Instant): BlackboxEntry {
  const { at, count } = entry;
  const common = {
    secondsAgo: Math.max(0, (now - at) / 1000),
    ...(connection === undefined ? {} : { connection }),
    count,
  };
  if (entry.kind === "decision") {
    const { notice } = entry;
    const [first = notice.code, ...more] = noticeWords(notice, at);
    const child = notice.child === undefined ? {} : { child: notice.child };
    return { ...common, ...child, kind: "decision", code: notice.code, lines: [first, ...more] };
  }
  const { ends, exchangeType, messageId, isResponse, outline, octets, packets, repeats } = entry;
  return {
    ...common,
    kind: "message",
    direction: ends.direction,
    local: formatEndpoint(ends.local),
    remote: formatEndpoint(ends.remote),
    exchange: nameOf(ExchangeType, exchangeType),
    messageId,
    isResponse,
    isProtected: ends.isProtected,
    initiatorSpi: ends.initiatorSpi,
    responderSpi: ends.responderSpi,
    payloads: payloadNames(outline),
    ...(octets === 0 ? {} : { octets }),
    packets,
    repeats,
  };
}
