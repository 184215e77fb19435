/** What it means for the way to a peer that the system took no datagram for it. */
import type { UnreachableReason } from "../base/unreachable-report.ts";
import type { SystemCallFailure } from "./native-error.ts";

/** ip-route(8): routes of the kinds unreachable and prohibit; what netfilter drops on its way out gives EPERM. */
const REASONS: ReadonlyMap<string, UnreachableReason> = new Map([
  ["ENETUNREACH", "noRoute"],
  ["EHOSTUNREACH", "noRoute"],
  ["EACCES", "blocked"],
  ["EPERM", "blocked"],
]);

/** `undefined`: it says nothing about the way. */
export function refusalReason({ code }: SystemCallFailure): UnreachableReason | undefined {
  return REASONS.get(code);
}
