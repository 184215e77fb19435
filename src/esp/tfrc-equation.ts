/** What TCP would send on a path with a loss event rate and a round-trip time (RFC 5348 section 3.1). */

/** @param p - loss event rate, above 0 and at most 1; @param rtt - milliseconds; @returns packets a second */
export function tcpPacketRate(p: number, rtt: number): number {
  const timeout = 4 * rtt;
  const perPacket =
    rtt * Math.sqrt((2 * p) / 3) + timeout * 3 * Math.sqrt((3 * p) / 8) * p * (1 + 32 * p * p);
  return 1000 / perPacket;
}

/** Halvings of the range of rates; the answer is exact to far less than the 5 % that are asked for. */
const HALVINGS = 40;
const LOSS_RATE_MIN = 1e-9;

/** The loss event rate with which TCP would send `packetRate` packets a second (section 6.3.1). */
export function lossRateOf(packetRate: number, rtt: number): number {
  let low = Math.log(LOSS_RATE_MIN);
  let high = 0;
  for (let halving = 0; halving < HALVINGS; halving++) {
    const middle = (low + high) / 2;
    if (tcpPacketRate(Math.exp(middle), rtt) > packetRate) low = middle;
    else high = middle;
  }
  return Math.exp(high);
}
