/** The TypeScript engine keeps the contract and opens what others sealed. */

import { createTwinEspEngine, createTwinKeyStore } from "../../../src/esp/twin-engine.ts";
import { formatSaTable, saTableRegions } from "../../../src/policy/sa-table.ts";
import { seededRandom } from "../crypto/seeded-random.ts";
import { engineContract } from "./engine-contract.ts";
import { engineFramesContract } from "./engine-frames-contract.ts";
import type { EngineUnderTest } from "./engine-suites.ts";
import { engineVectors } from "./engine-vectors.ts";

const SIZE = { slots: 8, endpoints: 4, policies: 4, lanes: 1 };

function makeTwin(): EngineUnderTest {
  const table = formatSaTable(new ArrayBuffer(saTableRegions(SIZE).total), SIZE);
  const keys = createTwinKeyStore(table);
  return { table, keys, engine: createTwinEspEngine(table, keys, seededRandom("twin")) };
}

engineContract(makeTwin);
engineFramesContract(makeTwin);
engineVectors(makeTwin);
