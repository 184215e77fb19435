/** `tungate routes`: the routes that the configuration asks for on this host. */
import { networkInterfaces } from "node:os";
import { type IpAddress, parseIpAddress } from "../base/ip-address.ts";
import { createFileReader } from "../config/file-reader.ts";
import { loadConfiguration } from "../config/load.ts";
import { plannedRoutes } from "../daemon/planned-routes.ts";
import type { CommandContext } from "./command-context.ts";

/** @returns the exit status */
export function routes(file: string, context: CommandContext): number {
  const configuration = loadConfiguration(file, createFileReader(context.environment));
  const plan = plannedRoutes(configuration, ownAddresses());
  context.write(`${plan.lines.join("\n")}\n`);
  const names = configuration.connections.flatMap(({ remoteNames }) => remoteNames);
  const unresolved = names.map(
    (name) => `${name} is not looked up here; the running gateway adds routes for its addresses`,
  );
  for (const note of [...plan.notes, ...unresolved]) context.writeError(`tungate: ${note}\n`);
  return 0;
}

function ownAddresses(): IpAddress[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return all
    .filter(({ internal }) => !internal)
    .map(({ address }) => parseIpAddress(address))
    .filter((address) => address !== undefined);
}
