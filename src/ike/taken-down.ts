/** What an operator has taken down, for a process that comes after this one: a tunnel must not come up because of an upgrade. */
import type { Connection } from "../policy/connection.ts";
import { fingerprint } from "./fingerprint.ts";
import { childKeeper } from "./keep-state.ts";
import { decodePlain, encodePlain, StateError } from "./sa/plain-value.ts";
import { keeperOf, type Machine } from "./turn.ts";

/** Beside the IKE SAs' states, of which it is none. */
const VERSION = 1;

/** @returns `undefined` when nothing is down */
export function exportTakenDown({ connections, keepers }: Machine): Uint8Array | undefined {
  const down = [...connections.values()].flatMap((connection) => {
    const keeper = keepers.get(connection.name);
    if (keeper === undefined) return [];
    const children = [...keeper.children].flatMap(([name, { isDown }]) => (isDown ? [name] : []));
    if (!keeper.isDown && children.length === 0) return [];
    return [{ connection: lastingName(connection), isDown: keeper.isDown, children }];
  });
  return down.length === 0 ? undefined : encodePlain({ takenDown: VERSION, down });
}

/** @param bytes - perhaps what {@link exportTakenDown} gave; whatever else it is, nothing happens */
export function keepDown(machine: Machine, bytes: Uint8Array): void {
  const down = readTakenDown(bytes);
  if (down.size === 0) return;
  for (const connection of machine.connections.values()) {
    const found = down.get(lastingName(connection));
    if (found === undefined) continue;
    const keeper = keeperOf(machine, connection.name);
    keeper.isDown = found.isDown;
    for (const { name } of connection.children)
      if (found.children.includes(name)) childKeeper(keeper, name).isDown = true;
  }
}

/** The numbers of peers that share a connection may be others' in another process. */
function lastingName({ name, oneOf, remote }: Connection): string {
  return oneOf === undefined ? name : `${oneOf.connection} ${fingerprint(remote.id)}`;
}

interface Down {
  readonly connection: string;
  readonly isDown: boolean;
  readonly children: readonly string[];
}

/** That of another version is none. */
function readTakenDown(bytes: Uint8Array): ReadonlyMap<string, Down> {
  try {
    const { takenDown, down } = decodePlain(bytes) as { takenDown?: unknown; down?: readonly Down[] };
    return new Map(takenDown === VERSION ? (down ?? []).map((one) => [one.connection, one]) : []);
  } catch (error) {
    if (error instanceof StateError) return new Map();
    throw error;
  }
}
