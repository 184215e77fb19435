/** Whether some SA of a configuration may be of AH, which has sockets of its own. */
import type { Configuration } from "../config/configuration.ts";

export function hasAh({ connections, manual }: Configuration): boolean {
  return (
    manual.some(({ inbound }) => inbound.suite.protocol === "ah") ||
    connections.some(({ connection }) =>
      connection.children.some(({ proposals }) => proposals.some(({ protocol }) => protocol === "ah")),
    )
  );
}
