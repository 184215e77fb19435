/** `tungate routes`: the routes that the configuration asks for on this host. */
import { networkInterfaces } from "node:os";
import { type IpAddress, parseIpAddress } from "../base/ip-address.ts";
import type { Configuration } from "../config/configuration.ts";
import { createFileReader } from "../config/file-reader.ts";
import { loadConfiguration } from "../config/load.ts";
import { createPathTable } from "../gateway/path-table.ts";
import { planRoutes, type RoutePlan } from "../gateway/route-plan.ts";
import { routedChildren } from "../gateway/routed-children.ts";
import type { CommandContext } from "./command-context.ts";

/** @returns the exit status */
export function routes(file: string, context: CommandContext): number {
  const configuration = loadConfiguration(file, createFileReader(context.environment));
  const plan = routePlan(configuration, ownAddresses());
  context.write(`${plan.lines.join("\n")}\n`);
  const names = configuration.connections.flatMap(({ remoteNames }) => remoteNames);
  const unresolved = names.map(
    (name) => `${name} is not looked up here; the running gateway adds routes for its addresses`,
  );
  for (const note of [...plan.notes, ...unresolved]) context.writeError(`tungate: ${note}\n`);
  return 0;
}

/** @param addresses - of this host */
function routePlan(configuration: Configuration, addresses: readonly IpAddress[]): RoutePlan {
  const { routing, ports, onExit, interfaces, listen } = configuration.gateway;
  const capOf = (device: string) => interfaces.find(({ name }) => name === device)?.mtu;
  const mtuCap = (device: string) => {
    const cap = capOf(device);
    return typeof cap === "number" ? cap : undefined;
  };
  const children = routedChildren(configuration, createPathTable(listen), mtuCap, () => []);
  return planRoutes({
    ...routing,
    ports: [ports.ike, ports.nat],
    onExit,
    interfaces: interfaces.map(({ name }) => name),
    inner: interfaces.flatMap(({ name, addresses = [] }) =>
      addresses.map((one) => ({ ...one, interface: name })),
    ),
    children,
    policies: configuration.policies,
    ownAddresses: addresses,
  });
}

function ownAddresses(): IpAddress[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return all
    .filter(({ internal }) => !internal)
    .map(({ address }) => parseIpAddress(address))
    .filter((address) => address !== undefined);
}
