/** Whether the gateway lives, and whether it does what its configuration wants. */
import type { Health } from "../control/health.ts";
import type { ConnectionState } from "../ike/connection-state.ts";

/** Children that are named in an answer. */
const NAMED_MAX = 20;

const STARTING: Health = { isGood: false, lines: ["the gateway is starting or stopping"] };

/** @param standstills - seconds by lane, 0 for those that move; `undefined`: there are no lanes yet, or no more */
export function healthOf(standstills: readonly number[] | undefined): Health {
  if (standstills === undefined) return STARTING;
  const stuck = standstills.flatMap((seconds, lane) =>
    seconds === 0 ? [] : [`lane ${lane} has not moved for ${Math.round(seconds)} s`],
  );
  if (stuck.length > 0) return { isGood: false, lines: stuck };
  const count = standstills.length;
  return { isGood: true, lines: [count === 1 ? "the lane moves" : `all ${count} lanes move`] };
}

/** Counts children that are to be kept up; one with many peers is up when it is so with one of them. */
export function readinessOf(states: readonly ConnectionState[] | undefined): Health {
  if (states === undefined) return STARTING;
  const isUp = new Map<string, boolean>();
  for (const { connection, children } of states)
    for (const { name, keep, state } of children) {
      if (keep !== "up") continue;
      const key = `${connection}/${name}`;
      isUp.set(key, (isUp.get(key) ?? false) || state === "up");
    }
  const missing = [...isUp].filter(([, one]) => !one).map(([key]) => key);
  if (missing.length === 0)
    return {
      isGood: true,
      lines: [isUp.size === 0 ? "nothing is to be kept up" : `all ${isUp.size} are up`],
    };
  const more = missing.length - NAMED_MAX;
  return {
    isGood: false,
    lines: [
      `${missing.length} of ${isUp.size} are not up`,
      ...missing.slice(0, NAMED_MAX),
      ...(more > 0 ? [`and ${more} more`] : []),
    ],
  };
}
