/** Values of swanctl.conf in this project's notation. */
import { parseIpAddress } from "../base/ip-address.ts";
import { ProposalError, parseProposal, type SuiteProtocol } from "../policy/proposal-keyword.ts";
import { parseSelector } from "../policy/selector-text.ts";
import type { Taking } from "./notes.ts";

/** Seconds of `4h`, `90` or `1d`; `undefined` is no time. */
export function secondsOf(value: string): number | undefined {
  const match = /^(\d{1,9})\s*([smhd]?)$/i.exec(value);
  if (match === null) return undefined;
  return (
    Number(match[1]) *
    { "": 1, s: 1, m: 60, h: 3600, d: 86_400 }[match[2]!.toLowerCase() as "" | "s" | "m" | "h" | "d"]
  );
}

/** `4h`, `90s`. */
export function durationText(seconds: number): string {
  if (seconds > 0 && seconds % 86_400 === 0) return `${seconds / 86_400}d`;
  if (seconds > 0 && seconds % 3600 === 0) return `${seconds / 3600}h`;
  return seconds > 0 && seconds % 60 === 0 ? `${seconds / 60}m` : `${seconds}s`;
}

/** A time key: `undefined` when it is not there or none, which is said. */
export function takeSeconds(from: Taking, key: string): number | undefined {
  const setting = from.take(key);
  if (setting === undefined) return undefined;
  const seconds = secondsOf(setting.value);
  if (seconds === undefined) from.note(key, "is no time such as 4h; left out");
  return seconds;
}

const OCTETS: Readonly<Record<string, number>> = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** A number with the suffixes of strongSwan (k, m, g; powers of 1024). */
export function takeNumber(from: Taking, key: string): number | undefined {
  const setting = from.take(key);
  if (setting === undefined) return undefined;
  const match = /^(\d{1,15})\s*([kmg]?)$/i.exec(setting.value);
  if (match !== null) return Number(match[1]) * OCTETS[match[2]!.toLowerCase()]!;
  from.note(key, "is no number; left out");
  return undefined;
}

/** Proposals that both know; others are said and left out. */
export function takeProposals(
  from: Taking,
  key: string,
  protocol: SuiteProtocol,
): readonly string[] | undefined {
  if (from.take(key) === undefined) return undefined;
  const usable = from.list(key).filter((one) => {
    if (one === "default") return true;
    try {
      parseProposal(one, protocol);
      return true;
    } catch (error) {
      if (!(error instanceof ProposalError)) throw error;
      from.note(key, `${one} is left out: ${error.message}`);
      return false;
    }
  });
  if (usable.length > 0) return usable;
  from.note(key, "no proposal is left; the usual ones are offered instead");
  return undefined;
}

/** An identity, or `any`; `undefined` for what has no counterpart. */
export function identityOf(value: string): string | undefined {
  if (value === "%any" || value === "%any6" || value === "*") return "any";
  if (value.startsWith("@#"))
    return /^([0-9a-f]{2}:?)+$/i.test(value.slice(2))
      ? `keyid:0x${value.slice(2).replaceAll(":", "")}`
      : undefined;
  if (value.startsWith("@@")) return `email:${value.slice(2)}`;
  if (value.startsWith("@")) return `fqdn:${value.slice(1)}`;
  const typed = /^([a-z0-9]+):(.+)$/i.exec(value);
  if (typed !== null && parseIpAddress(value) === undefined)
    return typedIdentity(typed[1]!.toLowerCase(), typed[2]!);
  if (value.includes("=")) return value.startsWith("/") ? undefined : `dn:${value}`;
  return value.includes("%") ? undefined : value;
}

function typedIdentity(type: string, rest: string): string | undefined {
  const isHex = /^0x([0-9a-f]{2})+$/i.test(rest) || rest.startsWith("#");
  switch (type) {
    case "ipv4":
    case "ipv6":
      return `ip:${rest}`;
    case "dns":
    case "fqdn":
      return isHex ? undefined : `fqdn:${rest}`;
    case "email":
    case "rfc822":
    case "userfqdn":
      return isHex ? undefined : `email:${rest}`;
    case "asn1dn":
      return isHex ? undefined : `dn:${rest}`;
    case "keyid":
      return `keyid:${rest}`;
    default:
      return undefined;
  }
}

/** Names of services that strongSwan asks the system for. */
const PORTS: Readonly<Record<string, number>> = {
  ssh: 22,
  domain: 53,
  http: 80,
  ntp: 123,
  snmp: 161,
  bgp: 179,
  https: 443,
  syslog: 514,
  l2tp: 1701,
};

/**
 * One selector; `undefined` for what has no counterpart.
 * @param dynamic - what the word stands for: an address of the side
 */
export function selectorOf(value: string, dynamic: string | undefined): string | undefined {
  const match = /^([^[\]]+?)\s*(?:\[([^\]]*)\])?$/.exec(value);
  if (match === null) return undefined;
  const [, network, inside] = match;
  const addresses =
    network === "dynamic" || network === "%dynamic" ? dynamic : network!.replace(/\s*\.\.\s*/, "-");
  if (addresses === undefined) return undefined;
  const text = inside === undefined ? addresses : `${addresses}${insideOf(inside)}`;
  return parseSelector(text) === undefined ? undefined : text;
}

function insideOf(inside: string): string {
  const [protocol = "", port = "", ...more] = inside.split("/").map((one) => one.trim());
  const isAny = (word: string) => word === "" || word === "%any" || word === "any";
  if (more.length > 0) return `[${inside}]`;
  if (isAny(protocol) && isAny(port)) return "";
  const named = PORTS[port.toLowerCase()];
  return isAny(port) ? `[${protocol}]` : `[${protocol}/${named ?? port}]`;
}
