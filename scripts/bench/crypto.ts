/**
 * Nanoseconds per packet to seal and to open, by suite: OpenSSL, all that libipsec-mb has, and our own AES-GCM,
 * taking turns in one run, the best of each; in brackets how many times faster than OpenSSL. `tsx scripts/bench/crypto.ts [part of a suite's name] [octets]`
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { FrameBatch } from "../../src/base/frame-batch.ts";
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

function engineBy(provider: CryptoProviderHandle | undefined, usesVaes = false): NativeEspEngine {
  loadAddon().useProvider(provider, usesVaes);
  return createNativeEspEngine(sa, keys);
}

/** Nanoseconds per packet: [seal, open]. Frames are used again and again, as a lane's are. */
function turn(engine: NativeEspEngine, suite: EngineSuite, frames: FrameBatch): [number, number] {
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

const NAMES = ["OpenSSL", "libipsec-mb", ...(loadAddon().hasVaes() ? ["VAES"] : [])];

for (const suite of SUITES.filter(({ name }) => name.includes(part))) {
  const engines = [engineBy(undefined), engineBy(completeProvider)];
  if (loadAddon().hasVaes() && suite.name.startsWith("AES-GCM")) engines.push(engineBy(undefined, true));
  installPair({ table: sa.table, keys }, suite, { limit: 0xffffffffn });
  const size = Math.floor(Number(octets) / suite.blockSize) * suite.blockSize - 2;
  const frames = plaintexts(new Array(PACKETS).fill(size));
  const best = engines.map(() => [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY] as [number, number]);
  for (let i = 0; i < TURNS; i++)
    for (const [which, engine] of engines.entries()) {
      const [seal, open] = turn(engine, suite, frames);
      best[which] = [Math.min(best[which]![0], seal), Math.min(best[which]![1], open)];
    }
  const words = best.map((pair, which) => {
    const [seal, open] = pair.map((ns) => Math.round(ns).toString().padStart(6)) as [string, string];
    const [sealTimes, openTimes] = pair.map((ns, k) => (best[0]![k]! / ns).toFixed(1)) as [string, string];
    return `${NAMES[which]} ${seal} ${open} (${sealTimes}x ${openTimes}x)`;
  });
  process.stdout.write(`${suite.name.padEnd(32)} ${words.join("   ")}\n`);
  for (const engine of engines) engine.close();
}
