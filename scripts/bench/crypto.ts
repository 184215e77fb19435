/**
 * Nanoseconds per packet to seal and to open, by suite: OpenSSL against all that libipsec-mb has, taking turns in one run,
 * the best of each. `tsx scripts/bench/crypto.ts [part of a suite's name] [octets]`
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createArenaBatch, PACKET_OK } from "../../src/base/packet-batch.ts";
import { cryptoProvider, type IpsecMbAddon } from "../../src/io/crypto-provider.ts";
import { addonPath, type CryptoProviderHandle, loadAddon } from "../../src/io/native.ts";
import { createNativeEspEngine, type NativeEspEngine } from "../../src/io/native-esp-engine.ts";
import { createNativeKeyStore, createNativeSaTable } from "../../src/io/native-memory.ts";
import {
  assign,
  type EngineSuite,
  installPair,
  plaintexts,
  SUITES,
} from "../../test/unit/esp/engine-suites.ts";

const PACKETS = 64;
const TURNS = 40;
const [part = "", octets = "1400"] = process.argv.slice(2);

const { completeProvider } = createRequire(import.meta.url)(
  join(dirname(addonPath()), "tungate_ipsec_mb.node"),
) as IpsecMbAddon;
cryptoProvider();
const packets = createArenaBatch(PACKETS, 1 << 18);
const sa = createNativeSaTable({ slots: 8, endpoints: 4, policies: 4, lanes: 1 });
const keys = createNativeKeyStore(sa);

function engineBy(provider: CryptoProviderHandle | undefined): NativeEspEngine {
  loadAddon().useProvider(provider);
  return createNativeEspEngine(sa, keys);
}

/** Nanoseconds per packet: [seal, open]. */
function turn(engine: NativeEspEngine, suite: EngineSuite): [number, number] {
  const size = Math.floor(Number(octets) / suite.blockSize) * suite.blockSize - 2;
  const frames = plaintexts(new Array(PACKETS).fill(size));
  frames.cursor.fill(0);
  const start = performance.now();
  engine.seal(frames, packets);
  const middle = performance.now();
  assign(packets, 1);
  const opening = performance.now();
  engine.open(packets);
  const end = performance.now();
  if (packets.count !== PACKETS || packets.status.subarray(0, PACKETS).some((status) => status !== PACKET_OK))
    throw new Error(`${suite.name}: packets were not sealed and opened`);
  return [((middle - start) * 1e6) / PACKETS, ((end - opening) * 1e6) / PACKETS];
}

for (const suite of SUITES.filter(({ name }) => name.includes(part))) {
  const engines = [engineBy(undefined), engineBy(completeProvider)];
  installPair({ table: sa.table, keys }, suite, { limit: 0xffffffffn });
  const best = engines.map(() => [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
  for (let i = 0; i < TURNS; i++)
    for (const [which, engine] of engines.entries()) {
      const [seal, open] = turn(engine, suite);
      best[which] = [Math.min(best[which]![0]!, seal), Math.min(best[which]![1]!, open)];
    }
  const [a, b] = best as [number[], number[]];
  const text = (pair: number[]) => pair.map((ns) => Math.round(ns).toString().padStart(6)).join(" ");
  const ratio = a.map((ns, i) => (ns / b[i]!).toFixed(2)).join(" ");
  process.stdout.write(
    `${suite.name.padEnd(32)} OpenSSL ${text(a)}   libipsec-mb ${text(b)}   ratio ${ratio}\n`,
  );
  for (const engine of engines) engine.close();
}
