/** The configured children as far as routes are concerned, and the largest inner packet of each. */
import { equal } from "../base/bytes.ts";
import { familyOf, type IpAddress } from "../base/ip-address.ts";
import { carriedMtu, effectiveAhMtu } from "../esp/effective-mtu.ts";
import { type ChildConfiguration, type Connection, policyOf } from "../policy/connection.ts";
import type { Encapsulation, EspSuite, PolicyName, SaHandling } from "../policy/data-plane.ts";
import type { ProposalSuite } from "../policy/proposal-suite.ts";
import { suiteSizes } from "../policy/sa-record.ts";
import { Encr } from "../wire/ike/registries.ts";
import type { GatewayConfiguration, GatewayManualChild } from "./gateway-configuration.ts";
import { DEFAULT_PATH_MTU, type PathTable } from "./path-table.ts";
import type { RoutedChild } from "./route-plan.ts";

/** The least that every IPv6 link carries; a route must not say less (RFC 8200 section 5). */
const IPV6_MTU_MIN = 1280;

/** Octets of the largest outer packet on the way to a peer. */
type OuterTo = (remote: IpAddress) => number;

/** Suites of the SAs that carry a policy's packets now; none: what may be negotiated counts. */
export type SuitesInUse = (policy: PolicyName) => readonly EspSuite[];

/** @param mtuCap - the most that the operator allows on a TUN device; `undefined`: what fits */
export function routedChildren(
  configuration: GatewayConfiguration,
  paths: PathTable,
  mtuCap: (device: string) => number | undefined,
  suitesInUse: SuitesInUse,
): readonly RoutedChild[] {
  const sizes = (device: string, inner: number, ceiling: number) => {
    const cap = mtuCap(device) ?? Number.POSITIVE_INFINITY;
    return { ...mtuWords(Math.min(inner, cap)), ceiling: Math.min(ceiling, cap) };
  };
  return [
    ...configuration.connections.flatMap(({ connection, interface: device, routes }) => {
      const peers = peersOf(connection);
      return connection.children.map((child) => {
        const policy = policyOf(connection, child.name);
        const possible = child.proposals.flatMap(suitesOf);
        const inUse = suitesInUse(policy);
        const inner = childMtus(connection, child, inUse.length > 0 ? inUse : possible, paths.mtuTo);
        const most = childMtus(connection, child, possible, paths.ceilingTo);
        return {
          policy,
          interface: device,
          selectors: child.selectors,
          routes,
          peers,
          // The suite that leaves the least room decides about routes, the one that leaves the most about the device.
          ...sizes(device, Math.min(...inner), Math.max(...most)),
          awaitsSuite: new Set(most).size > 1,
        };
      });
    }),
    ...configuration.manual.map((child) => ({
      policy: child.policy,
      interface: child.interface,
      selectors: child.selectors,
      routes: child.routes,
      peers: [child.remoteAddress],
      ...sizes(child.interface, manualMtu(child, paths.mtuTo), manualMtu(child, paths.ceilingTo)),
    })),
  ];
}

/** Octets of the largest inner packet that any child of a TUN device may carry: the device's own MTU. */
export function deviceMtu(children: readonly RoutedChild[], device: string): number {
  const sizes = children
    .filter((child) => child.interface === device)
    .map((child) => child.ceiling)
    .filter((size) => size !== undefined);
  return sizes.length === 0 ? DEFAULT_PATH_MTU : Math.max(...sizes, IPV6_MTU_MIN);
}

/** Addresses of the peer that can be called; ranges only answer. */
export function peersOf(connection: Connection): readonly IpAddress[] {
  return connection.remote.addresses.filter(({ start, end }) => equal(start, end)).map(({ start }) => start);
}

/** What each suite leaves of the narrowest way to any of the peers. */
function childMtus(
  connection: Connection,
  child: ChildConfiguration,
  suites: readonly EspSuite[],
  outerTo: OuterTo,
): readonly number[] {
  const encapsulation: Encapsulation = connection.encapsulation === "esp" ? "esp" : "udp";
  const peers = peersOf(connection);
  const ways =
    peers.length === 0
      ? [{ outer: DEFAULT_PATH_MTU, family: 6 as const }]
      : peers.map((peer) => ({ outer: outerTo(peer), family: familyOf(peer) }));
  const most = child.handling.innerMtu ?? Number.POSITIVE_INFINITY;
  return suites.map((suite) => {
    const rooms = ways.map(({ outer, family }) =>
      innerMtuOf(suite, outer, family, encapsulation, child.handling),
    );
    return Math.min(...rooms, most);
  });
}

/** Every combination that may come of a proposal. */
function suitesOf({ protocol, encr, integ }: ProposalSuite): readonly EspSuite[] {
  if (protocol === "ah")
    return integ.map((hash) => ({ encr: Encr.NULL, encrKeyBits: 0, integ: hash, esn: false, protocol }));
  const hashes = integ.length === 0 ? [0] : integ;
  return encr.flatMap(({ id, keyBits }) =>
    hashes.map((hash) => ({ encr: id, encrKeyBits: keyBits, integ: hash, esn: false })),
  );
}

function innerMtuOf(
  suite: EspSuite,
  outer: number,
  family: 4 | 6,
  encapsulation: Encapsulation,
  handling: SaHandling,
): number {
  const sizes = suiteSizes(suite);
  return suite.protocol === "ah"
    ? effectiveAhMtu(outer, family, sizes.icvLength, handling.mode).inner
    : carriedMtu(outer, family, encapsulation, sizes, handling);
}

function manualMtu(child: GatewayManualChild, outerTo: OuterTo): number {
  const { remoteAddress, encapsulation, outbound, handling } = child;
  const outer = outerTo(remoteAddress);
  const inner = innerMtuOf(outbound.suite, outer, familyOf(remoteAddress), encapsulation, handling);
  return Math.min(inner, handling.innerMtu ?? inner);
}

function mtuWords(inner: number): Pick<RoutedChild, "mtu"> {
  return { mtu: { ipv4: inner, ipv6: Math.max(inner, IPV6_MTU_MIN) } };
}
