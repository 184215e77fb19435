/** The policies of the kernel's own IPsec, as `ip xfrm policy` shows them. */
import { type Prefix, parsePrefix } from "../../base/address-range.ts";
import { parseIpAddress } from "../../base/ip-address.ts";
import type { KernelPolicy } from "../facts.ts";
import { type Known, known, unknown } from "../finding.ts";
import { look } from "./run.ts";

export async function gatherKernelPolicies(): Promise<Known<readonly KernelPolicy[]>> {
  const shown = await look("ip", ["xfrm", "policy", "show"]);
  if ("value" in shown) {
    const isRead = shown.value.split("\n").every((line) => line === "" || /^\s|^src \S+ dst \S+/.test(line));
    return isRead
      ? known(readKernelPolicies(shown.value))
      : unknown("ip xfrm policy says what is not understood");
  }
  // A kernel without IPsec has no policies of it.
  if (/not supported/i.test(shown.unknown)) return known([]);
  return unknown(shown.unknown);
}

/**
 * Without those of single sockets, by which daemons let their own IKE through, and those that hold for packets of an XFRM interface
 * or with a mark only, as tunnels with routes have them.
 */
export function readKernelPolicies(text: string): readonly KernelPolicy[] {
  return text.split(/^(?=src )/m).flatMap((block) => {
    const [, from = "", to = ""] = /^src (\S+) dst (\S+)/.exec(block) ?? [];
    const direction = /^\s+dir (out|in|fwd)\b/m.exec(block)?.[1];
    const source = prefixOf(from);
    const destination = prefixOf(to);
    if (/\b(if_id|mark) 0x/.test(block)) return [];
    if (direction === undefined || source === undefined || destination === undefined) return [];
    return [{ source, destination, direction, text: `src ${from} dst ${to} dir ${direction}` }];
  });
}

function prefixOf(text: string): Prefix | undefined {
  const address = parseIpAddress(text);
  return address === undefined ? parsePrefix(text) : { address, bits: address.length * 8 };
}
