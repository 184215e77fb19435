/** A chain of payloads as the list of captures writes it: `SA`, `KE(group 14, 256 octets)`, `N(16388)`. */
import type { Payload } from "../../../../src/wire/ike/payload.ts";

export function chainText(payloads: readonly Payload[]): readonly string[] {
  return payloads.map((payload) => {
    if (payload.kind === "KE") return `KE(group ${payload.method}, ${payload.data.length} octets)`;
    return payload.kind === "N" ? `N(${payload.notifyType})` : payload.kind;
  });
}
