/** What of all that passes belongs to one connection of the configuration. */
import type { Configuration } from "../config/configuration.ts";
import { peersOf } from "../gateway/routed-children.ts";
import type { ConnectionState } from "../ike/connection-state.ts";
import { policyOf } from "../policy/connection.ts";
import type { CaptureScope } from "./captures.ts";

/**
 * @param states - of all connections
 * @returns `undefined` when there is none of that name
 */
export function captureScope(
  { connections, manual }: Pick<Configuration, "connections" | "manual">,
  states: readonly ConnectionState[],
  wanted: string,
): CaptureScope | undefined {
  const named = connections
    .map(({ connection }) => connection)
    .filter(({ name, oneOf }) => name === wanted || oneOf?.connection === wanted);
  const ofHand = manual.filter(({ policy }) => policy.startsWith(`${wanted}/`));
  if (named.length === 0 && ofHand.length === 0) return undefined;
  const names = new Set(named.map(({ name }) => name));
  const policies = named.flatMap((one) => one.children.map((child) => policyOf(one, child.name)));
  const now = states.filter(({ connection }) => names.has(connection));
  return {
    policies: new Set([...policies, ...ofHand.map(({ policy }) => policy)]),
    peers: [
      ...named.flatMap(peersOf),
      ...now.flatMap(({ remote, ikeSa }) => [
        ...(remote === undefined ? [] : [remote.address]),
        ...(ikeSa?.peerAddresses ?? []),
      ]),
      ...ofHand.map(({ remoteAddress }) => remoteAddress),
    ],
  };
}
