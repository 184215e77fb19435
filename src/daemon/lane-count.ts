/** How many lanes a gateway runs. */

/** More are of use to few hosts, and each takes some memory; who wants them says so. */
const AUTO_LANES_MAX = 8;

/**
 * As configured, or half of the processors: the other half is for what the kernel does with the packets, and for the
 * hosts at both ends where they are the same machine.
 * @param processors - that this process may use
 */
export function laneCount(configured: "auto" | number, processors: number): number {
  if (configured !== "auto") return configured;
  return Math.min(AUTO_LANES_MAX, Math.max(1, Math.floor(processors / 2)));
}
