/** BYPASS and DISCARD entries of the SPD as routes and rules: packets in clear never pass a TUN device (RFC 4301 section 4.4.1). */
import { formatPrefix, type Prefix, rangeToPrefixes } from "../base/address-range.ts";
import { familyOf, type IpFamily } from "../base/ip-address.ts";
import type { ConfigurationPlace } from "../policy/connection.ts";
import { overlappingPairs } from "../policy/spd-overlap.ts";
import {
  ANY_PROTOCOL,
  isAnyPort,
  isOpaquePort,
  type PortRange,
  type SelectorPair,
  type TrafficSelector,
} from "../policy/traffic-selector.ts";

/** An SPD entry besides the children's, in list order. */
export interface RoutedPolicy {
  readonly action: "bypass" | "discard";
  readonly selectors: SelectorPair;
  readonly place: ConfigurationPlace;
}

export interface BypassLines {
  /** Destinations that are bypassed whatever the rest of the packet. */
  readonly throws: readonly Prefix[];
  /** Destinations that are discarded whatever the rest of the packet. */
  readonly guards: readonly Prefix[];
  /** Lines for what a destination alone does not describe. */
  readonly rules: readonly string[];
}

export function bypassLines(policies: readonly RoutedPolicy[], notes: string[]): BypassLines {
  const throws: Prefix[] = [];
  const guards: Prefix[] = [];
  const rules: string[] = [];
  const contradicted = contradictions(policies);
  for (const [i, policy] of policies.entries()) {
    const place = `${policy.place.file}:${policy.place.line}`;
    if (policy.action === "discard") {
      const whole = wholeDestinations(policy);
      guards.push(...whole);
      if (whole.length === 0)
        notes.push(
          `${place}: this discard entry is carried out for packets that a route leads to a TUN device; for others use the host's firewall`,
        );
      continue;
    }
    const earlier = contradicted.get(i);
    if (earlier !== undefined) {
      notes.push(
        `${place}: this bypass entry is not carried out, because the discard entry at ${earlier.place.file}:${earlier.place.line} comes first for some of its packets; make them disjoint`,
      );
      continue;
    }
    const whole = wholeDestinations(policy);
    if (whole.length > 0) throws.push(...whole);
    else rules.push(...ruleLines(policy, place, notes));
  }
  return { throws, guards, rules: [...new Set(rules)] };
}

/** By bypass entry: the first discard entry before it that has packets in common with it. */
function contradictions(policies: readonly RoutedPolicy[]): ReadonlyMap<number, RoutedPolicy> {
  const firsts = new Map<number, number>();
  const selectors = policies.map((policy) => policy.selectors);
  overlappingPairs(selectors, policies.length, (first, second) => {
    if (policies[first]!.action !== "discard" || policies[second]!.action !== "bypass") return false;
    firsts.set(second, Math.min(first, firsts.get(second) ?? first));
    return false;
  });
  return new Map([...firsts].map(([second, first]) => [second, policies[first]!]));
}

/** Remote prefixes for which the entry matches every packet; empty when source, protocol or ports matter. */
function wholeDestinations({ selectors }: RoutedPolicy): readonly Prefix[] {
  const isPlain = (selector: TrafficSelector) =>
    selector.protocol === ANY_PROTOCOL && isAnyPort(selector.ports);
  const covers = (family: IpFamily) =>
    selectors.local.some(
      (selector) =>
        isPlain(selector) && familyOf(selector.addresses.start) === family && isEveryAddress(selector),
    );
  if (!selectors.remote.every((selector) => isPlain(selector) && covers(familyOf(selector.addresses.start))))
    return [];
  return selectors.remote.flatMap(({ addresses }) => rangeToPrefixes(addresses));
}

function isEveryAddress({ addresses }: TrafficSelector): boolean {
  return rangeToPrefixes(addresses)[0]?.bits === 0;
}

function ruleLines({ selectors }: RoutedPolicy, place: string, notes: string[]): string[] {
  const lines: string[] = [];
  for (const local of selectors.local) {
    for (const remote of selectors.remote) {
      if (familyOf(local.addresses.start) !== familyOf(remote.addresses.start)) continue;
      const transport = transportWords(local, remote);
      if (transport === undefined) {
        notes.push(
          `${place}: routes cannot tell these packets apart (ICMP types, or ports of another protocol than TCP, UDP, SCTP and DCCP); this bypass entry is not carried out`,
        );
        continue;
      }
      for (const from of rangeToPrefixes(local.addresses))
        for (const to of rangeToPrefixes(remote.addresses))
          lines.push(`bypass from ${prefixText(from)} to ${prefixText(to)}${transport}`);
    }
  }
  return lines;
}

/** Protocols whose ports `ip rule` can match. */
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 33, 132]);

function transportWords(local: TrafficSelector, remote: TrafficSelector): string | undefined {
  if (
    local.protocol !== ANY_PROTOCOL &&
    remote.protocol !== ANY_PROTOCOL &&
    local.protocol !== remote.protocol
  )
    return undefined;
  const protocol = local.protocol === ANY_PROTOCOL ? remote.protocol : local.protocol;
  const hasPorts = !isAnyPort(local.ports) || !isAnyPort(remote.ports);
  if (hasPorts && (!WITH_PORTS.has(protocol) || isOpaquePort(local.ports) || isOpaquePort(remote.ports)))
    return undefined;
  const words = protocol === ANY_PROTOCOL ? "" : ` proto ${protocol}`;
  return `${words}${portWords("sport", local.ports)}${portWords("dport", remote.ports)}`;
}

function portWords(word: string, ports: PortRange): string {
  if (isAnyPort(ports)) return "";
  return ` ${word} ${ports.start === ports.end ? ports.start : `${ports.start}-${ports.end}`}`;
}

/** With its length, also for a single address. */
export function prefixText(prefix: Prefix): string {
  const text = formatPrefix(prefix);
  return text.includes("/") ? text : `${text}/${prefix.bits}`;
}
