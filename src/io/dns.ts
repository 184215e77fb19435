/** Addresses of remote names, by c-ares: getaddrinfo would block the threads that other work needs. */
import { Resolver } from "node:dns/promises";
import { compareIpAddress, type IpAddress, parseIpAddress } from "../base/ip-address.ts";
import { systemCode } from "./io-error.ts";

/** Addresses of one name that are used; a name with more than these is cut, in the resolver's order. */
export const ADDRESSES_PER_NAME_MAX = 16;
const TIMEOUT_MS = 2_000;
const TRIES = 2;

/** `failed`: in words why; nothing is known about the name now. */
export type Resolution =
  | { readonly kind: "addresses"; readonly addresses: readonly IpAddress[] }
  | { readonly kind: "failed"; readonly reason: string };

export type ResolveName = (name: string) => Promise<Resolution>;

/** A resolver over the system's servers; answers are sorted, so that the same set is the same value. */
export function createNameResolver(): ResolveName {
  return async (name) => {
    // Made anew each time: it reads the system's servers once, and those change with the network.
    const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES });
    const [v4, v6] = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
    const texts = [v4, v6].flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
    const addresses = texts
      .map((text) => parseIpAddress(text))
      .filter((address) => address !== undefined)
      .slice(0, ADDRESSES_PER_NAME_MAX)
      .sort(compareIpAddress);
    if (addresses.length > 0) return { kind: "addresses", addresses };
    const failures = [v4, v6].flatMap((answer) => (answer.status === "rejected" ? [answer.reason] : []));
    return { kind: "failed", reason: wordsFor(failures) };
  };
}

function wordsFor(failures: readonly unknown[]): string {
  const codes = failures.map(systemCode);
  if (codes.includes("ENOTFOUND")) return "no such name";
  if (codes.includes("ETIMEOUT") || codes.includes("ECONNREFUSED")) return "the name servers do not answer";
  if (codes.includes("ESERVFAIL")) return "the name servers cannot answer for this name";
  return "the name has no address";
}
