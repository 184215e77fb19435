/** The SPD of each TUN device, from the configuration (RFC 4301 section 4.4.1). */
import { prefixRange } from "../base/address-range.ts";
import { policyOf } from "../policy/connection.ts";
import type { PolicyName } from "../policy/data-plane.ts";
import type { SpdEntry } from "../policy/spd.ts";
import { orderSpd, type ProtectPolicy } from "../policy/spd-order.ts";
import type { GatewayConfiguration } from "./gateway-configuration.ts";

/** All policies that the configuration names, each once, IKE's children first. */
export function policyNames(configuration: GatewayConfiguration): readonly PolicyName[] {
  const names = configuration.connections.flatMap(({ connection }) =>
    connection.children.map((child) => policyOf(connection, child.name)),
  );
  return [...new Set(names), ...configuration.manual.map((child) => child.policy)];
}

/** The SPD of one TUN device, in the order in which its entries are looked at. */
export interface InterfaceSpd {
  readonly interface: string;
  readonly entries: readonly SpdEntry[];
}

/**
 * The SPD of every TUN device.
 * @param indexOf - index of a policy in the SA table
 * @returns in the order of `gateway.interfaces`
 */
export function interfaceSpds(
  configuration: GatewayConfiguration,
  indexOf: (name: PolicyName) => number,
): readonly InterfaceSpd[] {
  return configuration.gateway.interfaces.map(({ name, addresses = [] }) => {
    const policies = configuration.policies
      .filter((policy) => policy.interface === undefined || policy.interface === name)
      .map(({ action, selectors, place }): SpdEntry => ({ action, selectors, place }));
    const children = protectPolicies(configuration, name, indexOf);
    return { interface: name, entries: orderSpd(policies, children, addresses.map(prefixRange)).entries };
  });
}

function protectPolicies(
  { connections, manual }: GatewayConfiguration,
  device: string,
  indexOf: (name: PolicyName) => number,
): readonly ProtectPolicy[] {
  const entry = (name: PolicyName) => ({ name, index: indexOf(name) });
  const negotiated = new Map<PolicyName, ProtectPolicy>();
  for (const { connection, priorities, interface: own } of connections) {
    if (own !== device) continue;
    for (const { name, selectors, place } of connection.children) {
      const policy = policyOf(connection, name);
      // Peers with the same networks have one entry.
      if (negotiated.has(policy)) continue;
      const priority = priorities.get(name) ?? 0;
      negotiated.set(policy, { policy: entry(policy), selectors, priority, place });
    }
  }
  return [
    ...negotiated.values(),
    ...manual
      .filter((child) => child.interface === device)
      .map(({ policy, selectors, priority, place }) => ({
        policy: entry(policy),
        selectors,
        priority,
        place,
      })),
  ];
}
