/** The children as routes lead to them: with the limits of their devices and the suites that are in use. */
import type { GatewaySettings } from "../config/configuration.ts";
import type { SaPairState } from "../dataplane/data-plane.ts";
import type { GatewayConfiguration } from "../gateway/gateway-configuration.ts";
import type { PathTable } from "../gateway/path-table.ts";
import type { RoutedChild } from "../gateway/route-plan.ts";
import { routedChildren } from "../gateway/routed-children.ts";
import type { EspSuite, PolicyName } from "../policy/data-plane.ts";

export function childrenOnRoutes(
  configuration: GatewayConfiguration,
  { interfaces }: GatewaySettings,
  paths: PathTable,
  pairs: readonly SaPairState[],
): readonly RoutedChild[] {
  const caps = new Map(interfaces.map(({ name, mtu }) => [name, mtu]));
  const mtuCap = (device: string) => {
    const cap = caps.get(device);
    return typeof cap === "number" ? cap : undefined;
  };
  const inUse = new Map<PolicyName, EspSuite[]>();
  for (const { policy, suite } of pairs) {
    const known = inUse.get(policy);
    if (known === undefined) inUse.set(policy, [suite]);
    else known.push(suite);
  }
  return routedChildren(configuration, paths, mtuCap, (policy) => inUse.get(policy) ?? []);
}
