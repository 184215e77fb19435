/** When an SA owes a dummy packet, so that its silence tells nothing (RFC 4303 section 2.6) [ESP-10]. */

/**
 * Moment from which a dummy is due: packets of any kind keep it away for an interval.
 * @param lastAt - when the SA sent its last packet; NaN: it sent none
 * @param since - when the SA began
 */
export function dummyDueAt(lastAt: number, since: number, packetsPerSecond: number): number {
  return (Number.isNaN(lastAt) ? since : lastAt) + 1000 / packetsPerSecond;
}
