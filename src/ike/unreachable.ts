/**
 * What is said of requests that do not arrive: a hint for the operator. Anybody can forge ICMP, so it ends nothing and
 * changes no timer (RFC 7296 section 2.4); an answer makes it void.
 */
import { DurationMs, type Instant } from "../base/instant.ts";
import { compareIpAddress, type IpAddress } from "../base/ip-address.ts";
import { IkeSpi } from "../base/spi.ts";
import { sameEndpoint } from "../base/udp-endpoint.ts";
import type { UnreachableReport } from "../base/unreachable-report.ts";
import type { Unreachable } from "./connection-state.ts";
import type { IkeSa } from "./sa/ike-sa.ts";
import type { Machine, Turn } from "./turn.ts";

/** Both SPIs are at the beginning of every IKE message. */
const SPIS_LENGTH = 16;

/** Each request that is under way keeps one record, so that nobody can make us store more. */
export function noteUnreachable({ machine, now }: Turn, report: UnreachableReport): void {
  for (const sa of concerned(machine, report)) {
    const request = requestOf(sa);
    if (request === undefined || !sameEndpoint(sa.remote, report.remote)) continue;
    const said = whoseWord(report, sa.local.address);
    const { unreachable: before } = request;
    const count = before !== undefined && isSame(before, said) ? before.count + 1 : 1;
    request.unreachable = { ...said, count, lastAt: now };
  }
}

/** What is said of the request that an IKE SA waits for an answer to. */
export function unreachableOf(sa: IkeSa | undefined): Unreachable | undefined {
  return sa === undefined ? undefined : requestOf(sa)?.unreachable;
}

/** The same for the notice that gives it up. */
export function unreachableFacts(
  sa: IkeSa,
  now: Instant,
): { readonly unreachable?: Unreachable & { readonly before: DurationMs } } {
  const said = unreachableOf(sa);
  return said === undefined ? {} : { unreachable: { ...said, before: DurationMs(now - said.lastAt) } };
}

/** The IKE SA whose message is quoted; without a quotation, all that there are. */
function concerned({ bySpi, sas }: Machine, { quoted }: UnreachableReport): Iterable<IkeSa> {
  if (quoted.length < SPIS_LENGTH) return sas.values();
  const spis = [IkeSpi(quoted.subarray(0, 8)), IkeSpi(quoted.subarray(8, SPIS_LENGTH))];
  return spis.flatMap((spi) => {
    const id = bySpi.get(spi);
    const sa = id === undefined ? undefined : sas.get(id);
    return sa === undefined ? [] : [sa];
  });
}

function requestOf(sa: IkeSa): { unreachable?: Unreachable } | undefined {
  if (sa.state === "halfOpen") return undefined;
  return sa.state === "initiating" ? sa.request : sa.window.outstanding;
}

/** @param local - the address that the datagram left from */
export function whoseWord(
  { reason, remote, reporter }: UnreachableReport,
  local: IpAddress,
): Omit<Unreachable, "count" | "lastAt"> {
  if (reporter === undefined) return { reason, remote, by: "host" };
  if (compareIpAddress(reporter, local) === 0) return { reason, remote, by: "host" };
  if (compareIpAddress(reporter, remote.address) === 0) return { reason, remote, by: "peer" };
  return { reason, remote, by: "router", reporter };
}

function isSame(a: Omit<Unreachable, "count" | "lastAt">, b: typeof a): boolean {
  if (a.reason !== b.reason || a.by !== b.by || !sameEndpoint(a.remote, b.remote)) return false;
  if (a.reporter === undefined || b.reporter === undefined) return a.reporter === b.reporter;
  return compareIpAddress(a.reporter, b.reporter) === 0;
}
