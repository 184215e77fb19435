/** Who says what of datagrams that did not arrive, in words. */
import type { DurationMs } from "../base/instant.ts";
import { formatIpAddress } from "../base/ip-address.ts";
import type { Unreachable } from "../ike/connection-state.ts";
import { spanText } from "./span-text.ts";

type Said = Omit<Unreachable, "count" | "lastAt">;

/** `198.51.100.2 says that nobody listens on its UDP port 500` */
export function unreachableText(unreachable: Said): string {
  const { by, reporter, remote } = unreachable;
  if (by === "host") return hostText(unreachable);
  const who =
    by === "peer" || reporter === undefined
      ? formatIpAddress(remote.address)
      : `${formatIpAddress(reporter)}, a router on the way,`;
  return `${who} says that ${whatText(unreachable)}`;
}

/**
 * ` (3 times, the last 2 s ago)`
 * @param seconds - since the last one
 * @param since - `ago`, or what it was before
 */
export function timesText(count: number, seconds: number, since: string): string {
  const span = `${spanText(seconds)} ${since}`;
  return count === 1 ? ` (once, ${span})` : ` (${count} times, the last ${span})`;
}

/** The last lines of a request that was given up: what was said of it, and what that is worth. */
export function unreachableLines(
  unreachable: (Unreachable & { readonly before: DurationMs }) | undefined,
): readonly string[] {
  if (unreachable === undefined) return [];
  const times = timesText(unreachable.count, unreachable.before / 1000, "before we gave up");
  const said = `${unreachableText(unreachable)}${times}`;
  if (unreachable.reason === "noRoute" || unreachable.reason === "blocked") return [said];
  return [said, "a hint, no proof: such messages (ICMP) are easily forged"];
}

function whatText({ reason, remote, by }: Said): string {
  const port = `UDP port ${remote.port}`;
  switch (reason) {
    case "port":
      return by === "peer"
        ? `nobody listens on its ${port}`
        : `nobody listens on ${port} of ${formatIpAddress(remote.address)}`;
    case "host":
    case "noRoute":
      return "the host cannot be reached";
    case "net":
      return "it knows no way to that network";
    case "prohibited":
    case "blocked":
      return `a firewall forbids messages to ${port}`;
    default:
      return reason satisfies never;
  }
}

function hostText({ reason, remote }: Said): string {
  const address = formatIpAddress(remote.address);
  switch (reason) {
    case "port":
      return `this host says that nobody listens on UDP port ${remote.port} of ${address}`;
    case "host":
      return `this host finds nobody at ${address}: neither it nor the gateway to it answers on the local network`;
    case "net":
    case "noRoute":
      return `this host has no route to ${address}`;
    case "prohibited":
    case "blocked":
      return `a firewall or route of this host forbids messages to UDP port ${remote.port} of ${address}`;
    default:
      return reason satisfies never;
  }
}
