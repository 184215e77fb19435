/** Loss events of one inbound SA, and how far they are apart: the receiver's part of TFRC (RFC 5348 section 5). */
import { lossRateOf } from "./tfrc-equation.ts";

/** Weights of the intervals, newest first (section 5.4). */
const WEIGHTS = [1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2] as const;
/** How much less than their weight old intervals count at least, once there has been no loss for long (section 5.5). */
const DISCOUNT_MIN = 0.25;
/** A number counts as lost when so many higher ones have come (section 5.1). */
const HIGHER_BEFORE_LOST = 3;
/** More loss events than the history holds need not be told apart in one gap. */
const EVENTS_OF_ONE_GAP = WEIGHTS.length + 1;
/** Milliseconds that one loss event takes while the sender has measured no round trip. */
const RTT_UNKNOWN = 1000;
/** Shorter than anything that two machines need. */
const RTT_MIN = 0.1;

/** Times are milliseconds, numbers whole sequence numbers. Memory does not grow. */
export class LossIntervals {
  /** The highest numbers, in order, and when they came; what misses below the first of them is lost. */
  readonly #numbers = new Float64Array(HIGHER_BEFORE_LOST);
  readonly #times = new Float64Array(HIGHER_BEFORE_LOST);
  #recent = 0;
  /** Everything up to this number was judged; 0 before the first. */
  #judged = 0;
  #judgedAt = 0;
  #highest = 0;
  /** Intervals that ended, newest first. */
  readonly #lengths = new Float64Array(WEIGHTS.length);
  /** Part of its weight that each still has. */
  readonly #discounts = new Float64Array(WEIGHTS.length).fill(1);
  #closed = 0;
  /** Whether the event at the begin of each was a mark; the first is that of the interval that goes on. */
  readonly #marks = new Uint8Array(WEIGHTS.length + 1);
  /** First number of the last event. */
  #eventNumber = 0;
  #eventAt = 0;
  /** For the first interval: packets of a round trip, and the rate of the one before. */
  #windowAt = Number.NEGATIVE_INFINITY;
  #windowPackets = 0;
  #packetRate = 0;

  /**
   * An authentic packet came.
   * @param isMarked - CE, which counts as a loss (RFC 9347 section 3.1) [TFS-19]
   * @param isPathProbed - what misses in front of it is no loss
   * @param rtt - as the sender estimates it; 0: it does not yet
   */
  take(sequence: number, isMarked: boolean, isPathProbed: boolean, rtt: number, now: number): void {
    const span = rtt === 0 ? RTT_UNKNOWN : Math.max(rtt, RTT_MIN);
    this.#measureRate(span, now);
    if (this.#judged === 0) {
      this.#judged = sequence - 1;
      this.#judgedAt = now;
    }
    this.#highest = Math.max(this.#highest, sequence);
    if (sequence <= this.#judged) return;
    if (isMarked && this.#isNewEvent(now, span)) this.#begin(sequence, now, true, span);
    if (this.#recent === HIGHER_BEFORE_LOST) this.#judge(isPathProbed, span);
    this.#insert(sequence, now);
  }

  #insert(sequence: number, now: number): void {
    let place = this.#recent++;
    for (; place > 0 && this.#numbers[place - 1]! > sequence; place--) {
      this.#numbers[place] = this.#numbers[place - 1]!;
      this.#times[place] = this.#times[place - 1]!;
    }
    this.#numbers[place] = sequence;
    this.#times[place] = now;
  }

  /** Takes the lowest of the recent numbers out: what misses in front of it is lost. */
  #judge(isPathProbed: boolean, span: number): void {
    const number = this.#numbers[0]!;
    const at = this.#times[0]!;
    this.#numbers.copyWithin(0, 1);
    this.#times.copyWithin(0, 1);
    this.#recent--;
    if (number <= this.#judged) return;
    if (number - this.#judged > 1 && !isPathProbed) this.#lose(number, at, span);
    this.#judged = number;
    this.#judgedAt = at;
  }

  /** All from the judged number to `end`, exclusive: events by the time at which each would have come (section 5.2). */
  #lose(end: number, endAt: number, span: number): void {
    const before = this.#judged;
    const beforeAt = this.#judgedAt;
    const each = Math.max((endAt - beforeAt) / (end - before), Number.MIN_VALUE);
    const numberAt = (time: number) => before + Math.ceil((time - beforeAt) / each);
    let number = Math.max(before + 1, numberAt(endAt - EVENTS_OF_ONE_GAP * span));
    while (number < end) {
      const at = beforeAt + (number - before) * each;
      if (this.#isNewEvent(at, span)) this.#begin(number, at, false, span);
      number = Math.max(number + 1, numberAt(this.#eventAt + span));
    }
  }

  /** What is lost within a round trip after the begin of an event belongs to it. */
  #isNewEvent(at: number, span: number): boolean {
    return this.#closed === 0 || at > this.#eventAt + span;
  }

  #begin(number: number, at: number, isMark: boolean, span: number): void {
    const length = this.#closed === 0 ? this.#firstLength(span) : Math.max(1, number - this.#eventNumber);
    const discount = this.#discountOfNow;
    for (let k = 0; k < this.#closed; k++) this.#discounts[k] = this.#discounts[k]! * discount;
    this.#discounts.copyWithin(1, 0);
    this.#discounts[0] = 1;
    this.#lengths.copyWithin(1, 0);
    this.#lengths[0] = length;
    this.#marks.copyWithin(1, 0);
    this.#marks[0] = isMark ? 1 : 0;
    this.#closed = Math.min(this.#closed + 1, WEIGHTS.length);
    this.#eventNumber = number;
    this.#eventAt = at;
  }

  /** Slow start ended here: the interval that stands for the rate that came through (section 6.3.1). */
  #firstLength(span: number): number {
    const rate = Math.max(this.#packetRate, 1000 / span);
    return 1 / lossRateOf(rate, span);
  }

  #measureRate(span: number, now: number): void {
    const elapsed = now - this.#windowAt;
    if (elapsed < span) {
      this.#windowPackets++;
      return;
    }
    this.#packetRate = (this.#windowPackets * 1000) / elapsed;
    this.#windowAt = now;
    this.#windowPackets = 1;
  }

  /** Packets between two loss events, a weighted mean; 0: there was none (section 5.4) [TFS-18]. */
  get mean(): number {
    if (this.#closed === 0) return 0;
    const discount = this.#discountOfNow;
    let sum = WEIGHTS[0] * this.#openLength;
    let weights: number = WEIGHTS[0];
    for (let k = 1; k < this.#closed; k++) {
      const weight = WEIGHTS[k]! * this.#discounts[k - 1]! * discount;
      sum += weight * this.#lengths[k - 1]!;
      weights += weight;
    }
    return Math.max(sum / weights, this.#closedMean);
  }

  get #closedMean(): number {
    let sum = 0;
    let weights = 0;
    for (let k = 0; k < this.#closed; k++) {
      const weight = WEIGHTS[k]! * this.#discounts[k]!;
      sum += weight * this.#lengths[k]!;
      weights += weight;
    }
    return sum / weights;
  }

  /** A long time without loss says that the path is another one by now: what was before counts less (section 5.5). */
  get #discountOfNow(): number {
    if (this.#closed === 0) return 1;
    return Math.min(1, Math.max(DISCOUNT_MIN, (2 * this.#closedMean) / this.#openLength));
  }

  get #openLength(): number {
    return this.#highest - this.#eventNumber + 1;
  }

  /** Whether a mark is among the events that {@link mean} is made of. */
  get isFromMarks(): boolean {
    for (let k = 0; k <= this.#closed; k++) if (this.#marks[k] === 1) return true;
    return false;
  }

  /** Goes on with the history of the SA that was rekeyed, whose numbers end. */
  adopt(old: LossIntervals): void {
    this.#lengths.set(old.#lengths);
    this.#discounts.set(old.#discounts);
    this.#marks.set(old.#marks);
    this.#closed = old.#closed;
    this.#eventAt = old.#eventAt;
    this.#eventNumber = 1 - old.#openLength;
    this.#packetRate = old.#packetRate;
  }
}
