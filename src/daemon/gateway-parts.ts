/** The gateway's memory, keys and pure parts over them, as production has them. */

import type { GatewaySettings } from "../config/configuration.ts";
import { createDataPlane, type DataPlane } from "../dataplane/data-plane.ts";
import { Gateway } from "../gateway/gateway.ts";
import { createPathTable, type PathTable } from "../gateway/path-table.ts";
import { createIkeMachine } from "../ike/ike-machine.ts";
import type { Clock } from "../io/clock.ts";
import {
  createNativeKeyStore,
  createNativeSaTable,
  type NativeKeyStore,
  type NativeSaTable,
} from "../io/native-memory.ts";
import { closeFd } from "../io/native-socket.ts";
import { createSystemRandom } from "../io/random.ts";
import { DEFAULT_SA_TABLE_SIZE } from "../policy/sa-table.ts";
import { KeptKeys } from "./kept-keys.ts";
import type { TakenOver } from "./take-over.ts";

export interface GatewayParts {
  readonly table: NativeSaTable;
  readonly keys: NativeKeyStore;
  /** Absent: keys may not be given out. */
  readonly keptKeys: KeptKeys | undefined;
  readonly paths: PathTable;
  readonly dataPlane: DataPlane;
  readonly gateway: Gateway;
  close(): void;
}

export function makeGatewayParts(
  { listen, ports, control }: GatewaySettings,
  lanes: number,
  clock: Clock,
  taken?: TakenOver,
): GatewayParts {
  const random = createSystemRandom();
  const table = taken?.table ?? createNativeSaTable({ ...DEFAULT_SA_TABLE_SIZE, lanes });
  const keys = taken?.keys ?? createNativeKeyStore(table);
  const keptKeys = control.allowKeyExport ? new KeptKeys(keys, table.table) : undefined;
  const paths = createPathTable(listen);
  const dataPlane = createDataPlane({
    table: table.table,
    keys: keptKeys ?? keys,
    random,
    pathMtu: (_, remote) => paths.mtuTo(remote.address),
    ...(taken === undefined ? {} : { policies: taken.state.policies }),
  });
  const machine = createIkeMachine({
    connections: [],
    random,
    spis: dataPlane,
    usage: dataPlane,
    lanes,
    ports,
    localAddressFor: (remote) => paths.localAddressFor(remote),
    ownAddresses: () => paths.ownAddresses(),
    now: clock.now(),
  });
  return {
    table,
    keys,
    keptKeys,
    paths,
    dataPlane,
    gateway: new Gateway({ machine, dataPlane, paths, natPort: ports.nat }),
    close() {
      keys.close();
      closeFd(keys.fd);
      closeFd(table.fd);
    },
  };
}
