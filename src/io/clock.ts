/** CLOCK_BOOTTIME: goes on during suspend, and knows nothing of the wall clock. */
import type { Instant } from "../base/instant.ts";
import { bootTime } from "./native-process.ts";

export interface Clock {
  now(): Instant;
}

export const bootClock: Clock = { now: bootTime };
