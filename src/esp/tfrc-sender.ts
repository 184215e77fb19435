/** How fast a congestion-controlled SA sends: the sender's part of TFRC (RFC 5348 section 4, RFC 9347 section 2.4.2) [TFS-20]. */
import { tcpPacketRate } from "./tfrc-equation.ts";

/** Octets of a first window (RFC 5348 section 4.2). */
const WINDOW_OCTETS = 4380;
/** Milliseconds before the first report after which the rate is halved (section 4.2). */
const FIRST_EXPIRY = 2000;
/** Milliseconds that reports may be late at least: a machine that was busy elsewhere is no congestion (TCP waits no less). */
const PATIENCE_MIN = 200;
/**
 * Packets a second that are always sent. The RFC allows one in 64 seconds; but what nobody sends nobody reports, so that
 * a path that is back would be found as slowly.
 */
const PACKETS_MIN = 1;

/** Rates are octets a second, times milliseconds. */
export class TfrcSender {
  readonly #max: number;
  #rate: number;
  /** The rate when the current round trip began: what is sent at most doubles in each (section 4.3). */
  #windowRate = 0;
  #windowAt = 0;
  #hasReport = false;
  #expiresAt: number;

  /**
   * @param max - the configured rate
   * @param resumed - the rate of a process that is gone, or of the SA that was rekeyed; 0: slow start
   */
  constructor(max: number, resumed: number, packetOctets: number, now: number) {
    this.#max = max;
    // Nothing is known of the path yet; TCP sends its first window within a second as well.
    this.#rate = this.#bounded(resumed > 0 ? resumed : firstWindow(packetOctets), packetOctets);
    this.#hasReport = resumed > 0;
    this.#windowRate = this.#rate;
    this.#windowAt = now;
    this.#expiresAt = now + FIRST_EXPIRY;
  }

  get rate(): number {
    return this.#rate;
  }

  /**
   * The peer has told of something that we sent since its last report.
   * @param lossInterval - packets between two loss events; 0: there was none yet
   */
  report(rtt: number, lossInterval: number, packetOctets: number, now: number): void {
    const fair = lossInterval === 0 ? Number.POSITIVE_INFINITY : tcpPacketRate(1 / lossInterval, rtt);
    let most = (1000 * firstWindow(packetOctets)) / rtt;
    if (this.#hasReport) {
      if (now - this.#windowAt >= rtt) this.#beginWindow(now);
      most = 2 * this.#windowRate;
    }
    this.#rate = this.#bounded(Math.min(fair * packetOctets, most), packetOctets);
    if (!this.#hasReport) this.#beginWindow(now);
    this.#hasReport = true;
    this.#expiresAt = now + this.#patience(rtt, packetOctets);
  }

  #beginWindow(now: number): void {
    this.#windowRate = this.#rate;
    this.#windowAt = now;
  }

  /** Halves the rate for each time that no report came for too long (section 4.4). */
  expire(rtt: number, packetOctets: number, now: number): void {
    while (now >= this.#expiresAt) {
      this.#rate = this.#bounded(this.#rate / 2, packetOctets);
      this.#windowRate = this.#rate;
      this.#expiresAt += this.#patience(rtt, packetOctets);
    }
  }

  #patience(rtt: number, packetOctets: number): number {
    return Math.max(PATIENCE_MIN, 4 * rtt, (2000 * packetOctets) / this.#rate);
  }

  #bounded(rate: number, packetOctets: number): number {
    return Math.min(Math.max(rate, PACKETS_MIN * packetOctets), this.#max);
  }
}

function firstWindow(packetOctets: number): number {
  return Math.min(4 * packetOctets, Math.max(2 * packetOctets, WINDOW_OCTETS));
}
