/** Congestion information of a pair of AGGFRAG SAs: what the peer is told, and what it tells (RFC 9347 section 3). */
import type { CongestionReport } from "../wire/esp/aggfrag.ts";
import { DELAY_MAX } from "../wire/esp/aggfrag.ts";
import { LossIntervals } from "./loss-intervals.ts";
import type { TfrcSender } from "./tfrc-sender.ts";

/** Part of the old estimate that stays (RFC 5348 section 4.3). */
const RTT_WEIGHT = 0.9;
/** Milliseconds; two machines need more. */
const RTT_MIN = 0.1;
/** A peer that sends nothing of its own reports after a round trip, and no sooner than this. */
const REPORT_AFTER_MIN = 20;
const UINT32 = 2 ** 32;
const NEVER = Number.POSITIVE_INFINITY;

export interface AggfragCongestionOptions {
  /** Absent: what the peer tells changes nothing. */
  readonly sender: TfrcSender | undefined;
  /** Of the SA that was rekeyed: what is known of the path stays. */
  readonly old: AggfragCongestion | undefined;
}

/** Times are milliseconds, but microseconds in reports. */
export class AggfragCongestion {
  readonly sender: TfrcSender | undefined;
  readonly #losses = new LossIntervals();
  /** The peer's estimate of the round trip. */
  #peerRtt = 0;
  /** The peer's latest time stamp, and when it came; 0: none did. */
  #tval = 0;
  #tvalAt = 0;
  /** The latest of ours that came back. */
  #techo = 0;
  /** Our estimate, of the path alone and as it is used; 0: there is none. */
  #pathRtt = 0;
  #rtt = 0;
  /** Between loss events among what we sent; 0: none. */
  #lossInterval = 0;
  #reportAt = NEVER;

  constructor({ sender, old }: AggfragCongestionOptions) {
    this.sender = sender;
    if (old === undefined) return;
    this.#losses.adopt(old.#losses);
    this.#pathRtt = old.#pathRtt;
    this.#rtt = old.#rtt;
    this.#peerRtt = old.#peerRtt;
    this.#lossInterval = old.#lossInterval;
  }

  /** Our estimate of the round trip; 0: there is none yet. */
  get rtt(): number {
    return this.#rtt;
  }

  /** Packets of ours between two loss events, as the peer says; 0: none was lost. */
  get lossInterval(): number {
    return this.#lossInterval;
  }

  /** An authentic packet of the inbound SA came, whatever is in it. @param isPathProbed - as its report says */
  arrived(sequence: number, isMarked: boolean, isPathProbed: boolean, now: number): void {
    this.#losses.take(sequence, isMarked, isPathProbed, this.#peerRtt, now);
  }

  /**
   * The report of a payload that came.
   * @param interval - between two payloads that we send, 0 if they leave as they come; @param packetOctets - of each
   */
  heard(report: CongestionReport, interval: number, packetOctets: number, now: number): void {
    if (report.rtt !== 0) this.#peerRtt = report.rtt / 1000;
    // The first payload with a time stamp is the one that counts [TFS-17].
    if (report.tval !== this.#tval) {
      this.#tval = report.tval;
      this.#tvalAt = now;
    }
    if (report.techo === 0 || report.techo === this.#techo) return;
    if (!this.#measure(report, interval, now)) return;
    this.#techo = report.techo;
    this.#lossInterval = report.lossInterval;
    this.sender?.report(this.#rtt, report.lossInterval, packetOctets, now);
  }

  /** The longer of what the path takes and what both ends wait between payloads [TFS-17]; false: a time stamp that never left. */
  #measure({ techo, echoDelay, transmitDelay }: CongestionReport, interval: number, now: number): boolean {
    const since = (timeStamp(now) - techo + UINT32) % UINT32;
    if (since >= UINT32 / 2) return false;
    // A delay at its limit may have been any longer one.
    if (echoDelay < DELAY_MAX) {
      const sample = Math.max(RTT_MIN, (since - echoDelay) / 1000);
      this.#pathRtt = this.#pathRtt === 0 ? sample : RTT_WEIGHT * this.#pathRtt + (1 - RTT_WEIGHT) * sample;
    }
    this.#rtt = Math.max(this.#pathRtt, interval + transmitDelay / 1000, RTT_MIN);
    return true;
  }

  /** Fills in the report of a payload that leaves now. @param interval - between two of them */
  tell(report: CongestionReport, interval: number, now: number): void {
    const mean = this.#losses.mean;
    report.isPathProbed = false;
    report.isFromMarks = this.#losses.isFromMarks;
    report.lossInterval = Math.min(Math.round(mean), UINT32 - 1);
    report.rtt = Math.round(this.#rtt * 1000);
    report.echoDelay = this.#tval === 0 ? 0 : Math.round((now - this.#tvalAt) * 1000);
    report.transmitDelay = Math.round(interval * 1000);
    report.tval = timeStamp(now);
    report.techo = this.#tval;
    this.#reportAt = NEVER;
  }

  /** The peer has sent something that it waits for news of. */
  owe(now: number): void {
    if (this.#reportAt === NEVER) this.#reportAt = now + Math.max(REPORT_AFTER_MIN, this.#peerRtt);
  }

  /** When a report has to leave by itself, should no payload; Infinity: none is owed. */
  get reportAt(): number {
    return this.#reportAt;
  }
}

/** Microseconds, 32 bits of them; never 0, which stands for none. */
function timeStamp(now: number): number {
  return Math.floor(now * 1000) % UINT32 || 1;
}
