/**
 * The last minutes of IKE, always kept: messages by their headers, types and sizes, and what was decided. No nonce, key, proof or
 * identity is in it but what notices tell anyway. Every share is bounded: what strangers cause takes nothing from what is known of a peer, and
 * one connection takes nothing from others.
 */
import { type DurationMs, type Instant, minutes } from "../base/instant.ts";
import { formatEndpoint, type UdpEndpoint } from "../base/udp-endpoint.ts";
import type { BlackboxEntry } from "../control/blackbox-schema.ts";
import type { IkeNotice } from "../ike/notice.ts";
import type { TracedMessage } from "../ike/trace.ts";
import { noticeWords } from "../observe/words.ts";
import type { OutgoingHeader } from "../wire/ike/header.ts";
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

interface MessageEntry {
  readonly kind: "message";
  readonly direction: TracedMessage["direction"];
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
  readonly header: OutgoingHeader;
  readonly isProtected: boolean;
  /** See {@link outlineOf}; `undefined` of a message that was malformed. */
  readonly outline: readonly number[] | undefined;
  readonly octets: number;
  readonly packets: number;
  readonly repeats: number;
}
interface DecisionEntry {
  readonly kind: "decision";
  readonly notice: IkeNotice;
}
type Entry = (MessageEntry | DecisionEntry) & {
  readonly connection: string | undefined;
  /** Of all entries, for those of one moment. */
  readonly order: number;
  at: Instant;
  count: number;
};

interface Share {
  readonly most: number;
  readonly entries: Entry[];
}

export class BlackBox {
  readonly #shares = new Map<string, Share>();
  #count = 0;
  #order = 0;
  /** When entries last gave way to others that were younger than the span. */
  readonly #lostAt: Instant[] = [];

  noteMessage(message: TracedMessage, now: Instant): void {
    const { direction, local, remote, connection, header, isProtected, sizes, repeats } = message;
    const octets = sizes.reduce((sum, size) => sum + size, 0);
    const packets = Math.max(sizes.length, 1);
    const outline = outlined(message);
    const order = this.#order++;
    const entry: Entry = {
      kind: "message",
      direction,
      local,
      remote,
      header,
      isProtected,
      outline,
      octets,
      packets,
      repeats,
      connection,
      order,
      at: now,
      count: 1,
    };
    this.#add(this.#share(isProtected ? "protected" : "init", connection), entry, now);
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
    this.#add(share, { kind: "decision", notice, connection, order: this.#order++, at: now, count: 1 }, now);
  }

  /** @param isWanted - by connection; `undefined`: of nobody known */
  read(isWanted: (connection: string | undefined) => boolean, now: Instant): BlackboxEntry[] {
    const wanted = [...this.#shares.values()].flatMap(({ entries }) =>
      entries.filter(({ connection, at }) => now - at <= BLACK_BOX_SPAN && isWanted(connection)),
    );
    return wanted.toSorted((a, b) => a.at - b.at || a.order - b.order).map((entry) => shownEntry(entry, now));
  }

  /** Entries within the span that gave way to others. */
  leftOut(now: Instant): number {
    return this.#lostAt.filter((at) => now - at <= BLACK_BOX_SPAN).length;
  }

  #share(kind: keyof typeof SHARES, connection: string | undefined): Share {
    const key = `${kind}/${connection ?? ""}`;
    const known = this.#shares.get(key);
    if (known !== undefined) return known;
    const fresh = { most: SHARES[kind], entries: [] };
    this.#shares.set(key, fresh);
    return fresh;
  }

  #add(share: Share, entry: Entry, now: Instant): void {
    this.#forgetOld(share, now);
    share.entries.push(entry);
    this.#count++;
    if (share.entries.length > share.most) this.#lose(share, 1, now);
    if (this.#count > ENTRIES_KEPT_MAX) this.#makeRoom(now);
  }

  #forgetOld({ entries }: Share, now: Instant): void {
    let old = 0;
    while (old < entries.length && now - entries[old]!.at > BLACK_BOX_SPAN) old++;
    if (old === 0) return;
    entries.splice(0, old);
    this.#count -= old;
  }

  #lose({ entries }: Share, count: number, now: Instant): void {
    for (const { at } of entries.splice(0, count)) if (now - at <= BLACK_BOX_SPAN) this.#lostAt.push(at);
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

/** Names are made of it when somebody reads: most of what is noted nobody ever looks at. */
function outlined({ payloads, inner }: TracedMessage): readonly number[] | undefined {
  const { first, bytes } = inner ?? encodePayloadChain(payloads);
  try {
    return outlineOf(first, bytes);
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

/** Types and octets. */
function payloadNames(outline: readonly number[] | undefined): string[] {
  if (outline === undefined) return ["malformed"];
  const count = outline.length / OUTLINE_STRIDE;
  const named = Array.from({ length: Math.min(count, PAYLOADS_NAMED_MAX) }, (_, i) => {
    const [type, octets, notifyType] = outline.slice(i * OUTLINE_STRIDE);
    return `${payloadName(type!, notifyType!)} ${octets}`;
  });
  return count > PAYLOADS_NAMED_MAX ? [...named, `${count - PAYLOADS_NAMED_MAX} more`] : named;
}

function payloadName(type: number, notifyType: number): string {
  if (notifyType !== NO_NOTIFY) return `N(${nameOf(NotifyType, notifyType)})`;
  if (type === PayloadType.NONCE) return "Nonce";
  return Object.values<number>(PayloadType).includes(type) ? nameOf(PayloadType, type) : `${type}`;
}

function shownEntry(entry: Entry, now: Instant): BlackboxEntry {
  const { connection, at, count } = entry;
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
  const { direction, header, isProtected, outline, octets, packets, repeats } = entry;
  return {
    ...common,
    kind: "message",
    direction,
    local: formatEndpoint(entry.local),
    remote: formatEndpoint(entry.remote),
    exchange: nameOf(ExchangeType, header.exchangeType),
    messageId: header.messageId,
    isResponse: header.isResponse,
    isProtected,
    initiatorSpi: header.initiatorSpi,
    responderSpi: header.responderSpi,
    payloads: payloadNames(outline),
    ...(octets === 0 ? {} : { octets }),
    packets,
    repeats,
  };
}
