/** SAs of AH, which have sockets of their own. */
import type { Configuration } from "../config/configuration.ts";
import type { ConfigurationPlace } from "../policy/connection.ts";

/** Whether some SA of a configuration may be of AH. */
export function hasAh(configuration: Configuration): boolean {
  return placeOfAh(configuration) !== undefined;
}

/** Where a configuration has its first child with AH. */
export function placeOfAh({ connections, manual }: Configuration): ConfigurationPlace | undefined {
  const children = connections.flatMap(({ connection }) => connection.children);
  return (
    manual.find(({ inbound }) => inbound.suite.protocol === "ah")?.place ??
    children.find(({ proposals }) => proposals.some(({ protocol }) => protocol === "ah"))?.place
  );
}
