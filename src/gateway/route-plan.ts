/**
 * Which routes, guards and rules the configured policy needs on the host, as the lines that scripts/tungate-routes takes.
 * Routes follow the policy and not the SAs, so that nothing leaves in clear while there is no SA (RFC 4301 section 5.1).
 */
import {
  containsRange,
  type InterfaceAddress,
  type Prefix,
  prefixRange,
  rangeToPrefixes,
} from "../base/address-range.ts";
import { familyOf, formatIpAddress, type IpAddress } from "../base/ip-address.ts";
import type { PolicyName } from "../policy/data-plane.ts";
import type { SelectorPair } from "../policy/traffic-selector.ts";
import { bypassLines, prefixText, type RoutedPolicy } from "./bypass-route.ts";
import { prefixSet, rangeSet } from "./prefix-set.ts";

/** A child, IKE's or manual, as far as routes are concerned. */
export interface RoutedChild {
  readonly policy: PolicyName;
  readonly interface: string;
  readonly selectors: SelectorPair;
  /** `auto`: the remote selectors, but never a default route. */
  readonly routes: "auto" | "none" | readonly Prefix[];
  /** Outer addresses of the peer that are known. */
  readonly peers: readonly IpAddress[];
  /** Octets of the largest inner packet per address family; absent: the device's MTU holds. */
  readonly mtu?: { readonly ipv4?: number; readonly ipv6?: number };
  /** The most that it may come to, by this host's own links and the suites that may be negotiated: what devices are made for. */
  readonly ceiling?: number;
  /** What is negotiated decides about `mtu`: it has to be looked at again when an SA is there. */
  readonly awaitsSuite?: boolean;
}

export interface RoutePlanInput {
  readonly table: number;
  readonly priority: number;
  readonly mark: { readonly value: number; readonly mask: number };
  readonly ports: readonly number[];
  readonly onExit: "block" | "open";
  readonly interfaces: readonly string[];
  /** Addresses that TUN devices have of their own; the networks around them are reached through the device. */
  readonly inner?: readonly (InterfaceAddress & { readonly interface: string })[];
  readonly children: readonly RoutedChild[];
  readonly policies: readonly RoutedPolicy[];
  /** Addresses of the host that packets may be sent from. */
  readonly ownAddresses: readonly IpAddress[];
}

export interface RoutePlan {
  /** The whole wanted state, one fact per line, in an order that depends on the input alone. */
  readonly lines: readonly string[];
  /** Sentences about what routes cannot carry out, for the operator. */
  readonly notes: readonly string[];
}

interface ProtectedPrefix {
  readonly prefix: Prefix;
  readonly interface: string;
  readonly policy: PolicyName;
  readonly source?: IpAddress;
  readonly mtu?: number;
}

export function planRoutes(input: RoutePlanInput): RoutePlan {
  const notes: string[] = [];
  const protectedPrefixes = collectProtected(input, notes);
  const bypasses = bypassLines(input.policies, notes);
  const guards = [...new Set(bypasses.guards.map(prefixText))];
  const closed = [...[...protectedPrefixes.values()].map(({ prefix }) => prefix), ...bypasses.guards];
  const lines = [
    `table ${input.table}`,
    `priority ${input.priority}`,
    `mark 0x${input.mark.value.toString(16)}/0x${input.mark.mask.toString(16)}`,
    ...[...new Set(input.ports)].map((port) => `port ${port}`),
    `on-exit ${input.onExit}`,
    ...input.interfaces.map((name) => `device ${name}`),
    ...[...protectedPrefixes.values()].map(protectLine),
    ...guards.filter((prefix) => !protectedPrefixes.has(prefix)).map((prefix) => `guard ${prefix}`),
    ...throwLines(input, closed, bypasses.throws),
    ...bypasses.rules,
  ];
  return { lines, notes };
}

function collectProtected(input: RoutePlanInput, notes: string[]): ReadonlyMap<string, ProtectedPrefix> {
  const found = new Map<string, ProtectedPrefix>();
  for (const child of input.children) {
    for (const prefix of routedPrefixes(child, notes)) {
      const key = prefixText(prefix);
      const before = found.get(key);
      if (before !== undefined && before.interface !== child.interface) {
        notes.push(
          `${child.policy}: ${key} already leads to ${before.interface} for ${before.policy}; a prefix has one TUN device, so ${child.interface} gets no route to it`,
        );
        continue;
      }
      const fresh = protectedPrefix(child, prefix, input.ownAddresses);
      found.set(key, before === undefined ? fresh : mergeProtected(before, fresh));
    }
  }
  for (const { interface: device, address, bits } of input.inner ?? []) {
    const range = prefixRange({ address, bits });
    const child = input.children.find(
      (one) =>
        one.interface === device &&
        one.selectors.remote.some(({ addresses }) => containsRange(addresses, range)),
    );
    const prefix = { address: range.start, bits };
    if (child === undefined || bits === address.length * 8 || found.has(prefixText(prefix))) continue;
    found.set(prefixText(prefix), protectedPrefix(child, prefix, [address]));
  }
  return found;
}

function routedPrefixes(child: RoutedChild, notes: string[]): readonly Prefix[] {
  if (child.routes === "none") return [];
  if (child.routes !== "auto") return child.routes;
  const prefixes = child.selectors.remote.flatMap(({ addresses }) => rangeToPrefixes(addresses));
  const isDefault = (prefix: Prefix) => prefix.bits === 0;
  if (prefixes.some(isDefault))
    notes.push(
      `${child.policy}: no default route is made into ${child.interface} by itself; write routes: [0.0.0.0/0] (or ::/0) if all traffic is to take the tunnel`,
    );
  return prefixes.filter((prefix) => !isDefault(prefix));
}

function protectedPrefix(
  child: RoutedChild,
  prefix: Prefix,
  ownAddresses: readonly IpAddress[],
): ProtectedPrefix {
  const family = familyOf(prefix.address);
  const source = ownAddresses.find(
    (address) =>
      familyOf(address) === family &&
      child.selectors.local.some(({ addresses }) =>
        containsRange(addresses, { start: address, end: address }),
      ),
  );
  const mtu = family === 4 ? child.mtu?.ipv4 : child.mtu?.ipv6;
  return {
    prefix,
    interface: child.interface,
    policy: child.policy,
    ...(source === undefined ? {} : { source }),
    ...(mtu === undefined ? {} : { mtu }),
  };
}

/** Two children share a prefix, told apart by local side, protocol or port: the smaller packets fit both. */
function mergeProtected(a: ProtectedPrefix, b: ProtectedPrefix): ProtectedPrefix {
  const source = a.source ?? b.source;
  const mtu = a.mtu === undefined || b.mtu === undefined ? (a.mtu ?? b.mtu) : Math.min(a.mtu, b.mtu);
  return { ...a, ...(source === undefined ? {} : { source }), ...(mtu === undefined ? {} : { mtu }) };
}

function protectLine({ prefix, interface: device, source, mtu }: ProtectedPrefix): string {
  const from = source === undefined ? "" : ` src ${formatIpAddress(source)}`;
  return `protect ${prefixText(prefix)} dev ${device}${from}${mtu === undefined ? "" : ` mtu ${mtu}`}`;
}

/**
 * What must not enter a TUN device although a protected or guarded prefix holds it: our own networks, what policy bypasses, and
 * peers that no selector protects.
 */
function throwLines(input: RoutePlanInput, closed: readonly Prefix[], bypassed: readonly Prefix[]): string[] {
  const locals = input.children.flatMap((child) =>
    child.selectors.local.flatMap(({ addresses }) => rangeToPrefixes(addresses)),
  );
  const isSelected = rangeSet(
    input.children.flatMap(({ selectors }) => selectors.remote.map(({ addresses }) => addresses)),
  );
  const peers = input.children
    .flatMap((child) => child.peers)
    .filter((peer) => !isSelected(peer))
    .map((address): Prefix => ({ address, bits: address.length * 8 }));
  const outer = prefixSet(closed);
  const texts = [...locals, ...bypassed, ...peers]
    .filter((prefix) => outer.holdsWider(prefix))
    .map(prefixText);
  return [...new Set(texts)].map((text) => `throw ${text}`);
}
