/** What codes of "destination unreachable" mean (RFC 792, RFC 1812 section 5.2.7.1; RFC 4443 section 3.1). */
import type { IpFamily } from "../../base/ip-address.ts";
import type { UnreachableReason } from "../../base/unreachable-report.ts";
import { Icmpv4Type, Icmpv6Type } from "./icmp.ts";

const TYPE = {
  4: Icmpv4Type.DESTINATION_UNREACHABLE,
  6: Icmpv6Type.DESTINATION_UNREACHABLE,
} as const;

/** By code. Without UDP (2) nobody listens either; 4 is about size; 8 and later are of RFC 1122 and RFC 1812. */
const REASONS: { readonly [family in IpFamily]: readonly (UnreachableReason | undefined)[] } = {
  4: [
    "net",
    "host",
    "port",
    "port",
    undefined,
    "net",
    "net",
    "host",
    "host",
    "prohibited",
    "prohibited",
    "net",
    "host",
    "prohibited",
    "prohibited",
    "prohibited",
  ],
  6: ["net", "prohibited", "net", "host", "port", "prohibited", "prohibited"],
};

/** `undefined` for other types, and for codes that nobody has given this meaning. */
export function unreachableReason(
  family: IpFamily,
  type: number,
  code: number,
): UnreachableReason | undefined {
  return type === TYPE[family] ? REASONS[family][code] : undefined;
}
