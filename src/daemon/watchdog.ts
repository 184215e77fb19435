/** Tells the service manager that the daemon lives, as long as every lane moves. */
import type { ServiceManager } from "../io/sd-notify.ts";

/** An idle lane turns once a second; two looks closer together than this may see the same turn. */
const LOOK_MS_MIN = 2_500;

export interface Watchdog {
  stop(): void;
}

/** @param turns - by lane, how often it has turned so far */
export function startWatchdog(service: ServiceManager, turns: () => readonly number[]): Watchdog {
  if (service.watchdogMs === undefined) return { stop: () => undefined };
  let before = turns();
  const timer = setInterval(
    () => {
      const now = turns();
      const isMoving = now.every((count, lane) => count !== before[lane]);
      before = now;
      if (isMoving) service.alive();
    },
    Math.max(LOOK_MS_MIN, service.watchdogMs),
  ).unref();
  return { stop: () => clearInterval(timer) };
}
