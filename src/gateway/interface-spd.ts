/** The SPD of each TUN device, from the configuration (RFC 4301 section 4.4.1). */
import type { PolicyName } from "../policy/data-plane.ts";
import { type CompiledSpd, compileSpd, type SpdEntry } from "../policy/spd.ts";
import { orderSpd, type ProtectPolicy } from "../policy/spd-order.ts";
import { type GatewayConfiguration, policyName } from "./gateway-configuration.ts";

/** All policies that the configuration names, IKE's children first. */
export function policyNames(configuration: GatewayConfiguration): readonly PolicyName[] {
  return [
    ...configuration.connections.flatMap(({ connection }) =>
      connection.children.map((child) => policyName(connection.name, child.name)),
    ),
    ...configuration.manual.map((child) => child.policy),
  ];
}

/**
 * Compiles the SPD of every TUN device.
 * @param indexOf - index of a policy in the SA table
 * @returns in the order of `gateway.interfaces`
 */
export function compileInterfaceSpds(
  configuration: GatewayConfiguration,
  indexOf: (name: PolicyName) => number,
): readonly CompiledSpd[] {
  return configuration.gateway.interfaces.map(({ name }) => {
    const policies = configuration.policies
      .filter((policy) => policy.interface === undefined || policy.interface === name)
      .map(({ action, selectors, place }): SpdEntry => ({ action, selectors, place }));
    return compileSpd(orderSpd(policies, protectPolicies(configuration, name, indexOf)).entries);
  });
}

function protectPolicies(
  { connections, manual }: GatewayConfiguration,
  device: string,
  indexOf: (name: PolicyName) => number,
): readonly ProtectPolicy[] {
  const entry = (name: PolicyName) => ({ name, index: indexOf(name) });
  return [
    ...connections
      .filter((one) => one.interface === device)
      .flatMap(({ connection, priorities }) =>
        connection.children.map((child) => ({
          policy: entry(policyName(connection.name, child.name)),
          selectors: child.selectors,
          priority: priorities.get(child.name) ?? 0,
          place: child.place,
        })),
      ),
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
