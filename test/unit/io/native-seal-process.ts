/** A process that seals one packet with the table and keys behind two descriptors it inherited. */
import { toHex } from "../../../src/base/bytes.ts";
import { createNativeEspEngine } from "../../../src/io/native-esp-engine.ts";
import { openNativeKeyStore, openNativeSaTable } from "../../../src/io/native-memory.ts";
import { packetOf, plaintexts, sealed } from "../esp/engine-suites.ts";

const [tableFd, keysFd] = process.argv.slice(2).map(Number);
const table = openNativeSaTable(tableFd!);
const engine = createNativeEspEngine(table, openNativeKeyStore(keysFd!, table));
process.stdout.write(`${toHex(packetOf(sealed({ engine }, plaintexts([32]))))}\n`);
