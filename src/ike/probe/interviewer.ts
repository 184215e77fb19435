/** Asks a peer one question after the other: sends, repeats, follows cookies, pauses, and leaves it alone when it falls silent. */
import { concat, equal } from "../../base/bytes.ts";
import { after, type Instant } from "../../base/instant.ts";
import type { RandomSource } from "../../base/random.ts";
import { IkeSpi } from "../../base/spi.ts";
import { sameEndpoint, type UdpEndpoint } from "../../base/udp-endpoint.ts";
import type { UnreachableReport } from "../../base/unreachable-report.ts";
import { generateKeyExchange, keyExchangeAlgorithm } from "../../crypto/key-exchange.ts";
import { NON_ESP_MARKER_LENGTH } from "../../wire/esp/udp-encapsulation.ts";
import { KeyExchangeMethod } from "../../wire/ike/registries.ts";
import { encodeMainMode } from "../../wire/ike/version1.ts";
import { NONCE_LENGTH } from "../limits.ts";
import { retransmitAt } from "../sa/retransmission.ts";
import { readAnswer } from "./answer.ts";
import {
  COOKIES_MAX,
  DATAGRAMS_MAX,
  FULL_ANSWERS_MAX,
  QUESTION_PAUSE,
  QUESTION_PLAN,
  QUESTIONS_MAX,
  SILENCES_MAX,
} from "./limits.ts";
import { encodeQuestion, type Question, type Reply } from "./question.ts";

/** What is asked depends on what was answered; `undefined`: it was not asked any more. Returns what was learnt. */
export type Interview<Result> = Generator<Question, Result, Reply | undefined>;

export type InterviewEvent =
  | { readonly kind: "start" }
  /** `bytes` with the marker where it came from the NAT traversal port. */
  | { readonly kind: "datagram"; readonly remote: UdpEndpoint; readonly bytes: Uint8Array }
  | { readonly kind: "unreachable"; readonly report: UnreachableReport }
  | { readonly kind: "timeout" };

/** A datagram to send, marker included. */
export interface OutgoingQuestion {
  readonly remote: UdpEndpoint;
  readonly bytes: Uint8Array;
  readonly dontFragment: boolean;
}

export interface InterviewOptions<Result> {
  readonly interview: Interview<Result>;
  readonly random: RandomSource;
  /** As the peer sees it where nothing translates. */
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
  readonly natPort: number;
}

interface Pending {
  readonly question: Question;
  readonly remote: UdpEndpoint;
  readonly initiatorSpi: IkeSpi;
  readonly nonce: Uint8Array;
  readonly publicValue: Uint8Array;
  cookie: Uint8Array | undefined;
  cookies: number;
  tries: number;
  datagrams: number;
  unreachable: UnreachableReport | undefined;
}

type Send = (datagram: OutgoingQuestion) => void;

export class Interviewer<Result> {
  readonly #options: InterviewOptions<Result>;
  #pending: Pending | undefined;
  #nextAt: Instant | undefined;
  #asked = 0;
  #fullAnswers = 0;
  #silences = 0;
  #hasAnswered = false;
  #cookies = 0;
  #isCut = false;
  #result: { readonly value: Result } | undefined;

  constructor(options: InterviewOptions<Result>) {
    this.#options = options;
  }

  /** There once the interview is over. */
  get result(): { readonly value: Result } | undefined {
    return this.#result;
  }

  /** Questions asked, and cookies that were asked for in return. */
  get counts(): { readonly questions: number; readonly cookies: number; readonly isLeftAlone: boolean } {
    return { questions: this.#asked, cookies: this.#cookies, isLeftAlone: this.#isCut };
  }

  nextTimeout(): Instant | undefined {
    return this.#nextAt;
  }

  handle(event: InterviewEvent, now: Instant, send: Send): void {
    if (this.#result !== undefined) return;
    switch (event.kind) {
      case "start":
        this.#continue(this.#options.interview.next(undefined), now, send);
        break;
      case "datagram":
        this.#receive(event.remote, event.bytes, now, send);
        break;
      case "unreachable":
        this.#note(event.report);
        break;
      case "timeout":
        if (this.#nextAt !== undefined && now >= this.#nextAt) this.#onTimeout(now, send);
        break;
    }
  }

  /** Nothing is asked any more. */
  get #isOver(): boolean {
    return (
      this.#asked >= QUESTIONS_MAX ||
      this.#fullAnswers >= FULL_ANSWERS_MAX ||
      (this.#hasAnswered && this.#silences >= SILENCES_MAX)
    );
  }

  #continue(step: IteratorResult<Question, Result>, now: Instant, send: Send): void {
    let next = step;
    while (next.done !== true && this.#isOver) {
      this.#isCut = true;
      next = this.#options.interview.next(undefined);
    }
    this.#nextAt = undefined;
    this.#pending = undefined;
    if (next.done === true) {
      this.#result = { value: next.value };
      return;
    }
    this.#pending = this.#prepare(next.value);
    if (this.#asked++ === 0) this.#transmit(now, send);
    else this.#nextAt = after(now, QUESTION_PAUSE);
  }

  #prepare(question: Question): Pending {
    const { random, remote, natPort } = this.#options;
    return {
      question,
      remote: { address: remote.address, port: question.port === "nat" ? natPort : remote.port },
      initiatorSpi: IkeSpi(random.publicBytes(8)),
      nonce: random.publicBytes(NONCE_LENGTH),
      publicValue: publicValueOf(question, random),
      cookie: undefined,
      cookies: 0,
      tries: 0,
      datagrams: 0,
      unreachable: undefined,
    };
  }

  #onTimeout(now: Instant, send: Send): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    const { tries = QUESTION_PLAN.tries } = pending.question;
    if (pending.tries < tries) this.#transmit(now, send);
    else {
      const { unreachable } = pending;
      if (pending.question.mayFail !== true) this.#silences++;
      this.#answer({ kind: "silent", ...(unreachable === undefined ? {} : { unreachable }) }, now, send);
    }
  }

  #transmit(now: Instant, send: Send): void {
    const pending = this.#pending!;
    const { question, remote } = pending;
    const message =
      question.offer.length === 0
        ? encodeMainMode(pending.initiatorSpi)
        : encodeQuestion(question, { ...pending, local: this.#options.local });
    const isMarked = remote.port === this.#options.natPort;
    pending.tries++;
    this.#nextAt = retransmitAt(QUESTION_PLAN, pending.tries, now, this.#options.random);
    send({
      remote,
      bytes: isMarked ? concat(new Uint8Array(NON_ESP_MARKER_LENGTH), message) : message,
      dontFragment: question.dontFragment === true,
    });
  }

  #receive(remote: UdpEndpoint, bytes: Uint8Array, now: Instant, send: Send): void {
    const pending = this.#pending;
    if (pending === undefined || pending.tries === 0 || !sameEndpoint(remote, pending.remote)) return;
    if (++pending.datagrams > DATAGRAMS_MAX) return;
    const message = this.#withoutMarker(remote, bytes);
    if (message === undefined) return;
    const reply = readAnswer({ ...pending, local: this.#options.local }, message);
    if (reply === undefined) return;
    this.#hasAnswered = true;
    this.#silences = 0;
    if (reply.kind !== "cookie") {
      if (reply.kind === "chosen") this.#fullAnswers++;
      this.#answer(reply, now, send);
    } else if (pending.cookie === undefined || !equal(pending.cookie, reply.data)) {
      this.#followCookie(pending, reply.data, now, send);
    }
  }

  #followCookie(pending: Pending, cookie: Uint8Array, now: Instant, send: Send): void {
    if (pending.cookies === COOKIES_MAX) {
      this.#answer({ kind: "absurd", what: "cookies" }, now, send);
      return;
    }
    this.#cookies++;
    pending.cookies++;
    pending.cookie = cookie.slice();
    pending.tries = 0;
    this.#transmit(now, send);
  }

  #withoutMarker({ port }: UdpEndpoint, bytes: Uint8Array): Uint8Array | undefined {
    if (port !== this.#options.natPort) return bytes;
    const isMarked = bytes.subarray(0, NON_ESP_MARKER_LENGTH).every((octet) => octet === 0);
    return isMarked ? bytes.subarray(NON_ESP_MARKER_LENGTH) : undefined;
  }

  /** A hint, which anybody can forge: it says why nothing came, and ends nothing. */
  #note(report: UnreachableReport): void {
    const pending = this.#pending;
    if (pending !== undefined && pending.tries > 0 && sameEndpoint(report.remote, pending.remote))
      pending.unreachable = report;
  }

  #answer(reply: Reply, now: Instant, send: Send): void {
    this.#continue(this.#options.interview.next(reply), now, send);
  }
}

/** Octets of the group of 768 bits (RFC 2409 section 6.1), the decoy: any number below its prime is an element. */
const SMALLEST_GROUP_OCTETS = 96;

/** No shared secret is ever made of it, so nothing private is kept. */
function publicValueOf({ offer, method }: Question, random: RandomSource): Uint8Array {
  if (offer.length === 0) return new Uint8Array(0);
  if (method === KeyExchangeMethod.MODP_768) {
    const value = random.publicBytes(SMALLEST_GROUP_OCTETS);
    value[0] = value[0]! & 0x7f;
    return value;
  }
  if (keyExchangeAlgorithm(method) === undefined)
    throw new RangeError(`no value can be made for key exchange method ${method}`);
  const { privateValue, publicValue } = generateKeyExchange(method, random);
  privateValue.fill(0);
  return publicValue;
}
