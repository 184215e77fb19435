/** The routes that a configuration asks for on this host, without a gateway that runs. */
import type { IpAddress } from "../base/ip-address.ts";
import type { Configuration } from "../config/configuration.ts";
import { createPathTable } from "../gateway/path-table.ts";
import { planRoutes, type RoutedChild, type RoutePlan } from "../gateway/route-plan.ts";
import { routedChildren } from "../gateway/routed-children.ts";

/** @param addresses - of this host */
export function plannedRoutes(configuration: Configuration, addresses: readonly IpAddress[]): RoutePlan {
  const { routing, ports, onExit, interfaces } = configuration.gateway;
  return planRoutes({
    ...routing,
    ports: [ports.ike, ports.nat],
    onExit,
    interfaces: interfaces.map(({ name }) => name),
    inner: interfaces.flatMap(({ name, addresses: inner = [] }) =>
      inner.map((one) => ({ ...one, interface: name })),
    ),
    children: childrenToRoute(configuration),
    policies: configuration.policies,
    ownAddresses: addresses,
  });
}

/** The children as far as routes are concerned, without what only a running gateway knows of paths and SAs. */
export function childrenToRoute(configuration: Configuration): readonly RoutedChild[] {
  const { interfaces, listen } = configuration.gateway;
  const capOf = (device: string) => interfaces.find(({ name }) => name === device)?.mtu;
  const mtuCap = (device: string) => {
    const cap = capOf(device);
    return typeof cap === "number" ? cap : undefined;
  };
  return routedChildren(configuration, createPathTable(listen), mtuCap, () => []);
}
