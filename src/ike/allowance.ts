/** What may be done now and then, for whoever asks: so much at once, and so much a second in the long run. */
import { type Instant, seconds } from "../base/instant.ts";

/** How often it may still be done, and when that was reckoned. */
export interface Allowance {
  allowance: number;
  since: Instant;
}

/** A bucket that fills evenly up to `burst`. @returns whether there was something in it */
export function takeAllowance(bucket: Allowance, burst: number, perSecond: number, now: Instant): boolean {
  const gained = ((now - bucket.since) / seconds(1)) * perSecond;
  bucket.allowance = Math.min(burst, bucket.allowance + gained);
  bucket.since = now;
  if (bucket.allowance < 1) return false;
  bucket.allowance--;
  return true;
}
