/** Comparing secrets. */
import { provider } from "./providers/selected.ts";

/** Whether two octet strings are the same, in time that depends on their lengths alone [AUTH-21]. */
export function constantTimeEqual(a: Uint8Array, b: Uint8Array): boolean {
  return provider.constantTimeEqual(a, b);
}
