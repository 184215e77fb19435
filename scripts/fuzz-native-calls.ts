/**
 * Calls every function that the addon exports with arguments of every kind: right ones, extreme ones, wrong ones, handles
 * and descriptors that are closed. A call may throw TypeError or RangeError, or give a result; anything else ends the run.
 */
import { parseArgs } from "node:util";
import { createFrameBatch, FRAME_OCTETS_MAX } from "../src/base/frame-batch.ts";
import { createArenaBatch } from "../src/base/packet-batch.ts";
import { loadAddon } from "../src/io/native.ts";
import { createNativeKeyStore, createNativeSaTable } from "../src/io/native-memory.ts";
import { encodeNetlinkMessage } from "../src/wire/netlink/netlink-message.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "30" },
    seed: { type: "string", default: String(Date.now() % 0x7fffffff) },
  },
});
const seed = Number(values.seed);
let state = seed >>> 0 || 1;
/** A whole number below `bound` from the seeded generator (xorshift32). */
function below(bound: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state = (state ^ (state << 5)) >>> 0;
  return Math.floor((state / 0x100000000) * bound);
}
const oneIn = (count: number) => below(count) === 0;
const anyOf = <Value>(choices: readonly Value[]) => choices[below(choices.length)]!;

type AnyFunction = (...words: unknown[]) => unknown;
const addon = loadAddon() as unknown as Readonly<Record<string, AnyFunction>>;

/** What calls have made and other calls may be given. */
const POOLS = ["fd", "memory", "store", "engine", "io", "batch", "waiter", "readiness"] as const;
type Pool = (typeof POOLS)[number];
const POOL_MAX = 12;
const pools = Object.fromEntries(POOLS.map((name) => [name, [] as number[]])) as Record<Pool, number[]>;

const NUMBERS = [0, 1, 2, 7, 16, 255, 256, 1500, 65_535, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
const ODD_NUMBERS = [-1, -(2 ** 31), 0.5, 2 ** 32, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, -0];
const WRONG = [undefined, null, true, "text", {}, [], Symbol("s"), 7n, () => 7, new Date(0)] as const;

const octets = (most: number) => new Uint8Array(below(most)).map(() => below(256));
const octetsOf = (...lengths: number[]) => new Uint8Array(anyOf(lengths)).map(() => below(256));
const wordsOf = (most: number) => new Uint32Array(below(most)).map(() => below(2 ** 32));
const text = () => anyOf(["", "x", "a name with spaces", "a\0b", "\ud800", "lo", "/", "n".repeat(300)]);
const LOOPBACK_4 = Uint8Array.of(127, 0, 0, 1);
const LOOPBACK_6 = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

function batchLike(): object {
  const made: Record<string, unknown> = {
    ...(oneIn(2)
      ? createArenaBatch(1 + below(20), 100 + below(4000))
      : createFrameBatch(1 + below(4), FRAME_OCTETS_MAX)),
  };
  if (oneIn(2)) return made;
  const key = anyOf(Object.keys(made));
  made[key] = anyOf([
    ...WRONG,
    new Uint8Array(0),
    new Uint32Array(1),
    new Uint8Array(new SharedArrayBuffer(8)),
    3,
    -1,
    2 ** 31,
  ]);
  if (oneIn(3)) delete made[anyOf(Object.keys(made))];
  return made;
}

/** Makes one argument of a kind. Descriptors are ours or none: others belong to Node. */
const KINDS = {
  number: () => anyOf(NUMBERS),
  flag: () => oneIn(2),
  text,
  /** No name of a device that could be made, so that the machine stays as it is. */
  deviceName: () => anyOf(["lo", "a/b", ".", "..", "a name", "n".repeat(16), "n".repeat(300)]),
  octets: () => octets(200),
  // Lengths of ML-KEM-768 most often, so that they fit together; of small octets come coefficients below the modulus.
  kemSeed: () => octetsOf(64, 64, 64, 63),
  kemPublic: () => octetsOf(1184, 1184, 800, 1568, 1183).map((octet) => (oneIn(2000) ? octet : octet % 13)),
  kemPrivate: () => octetsOf(2400, 2400, 1632, 3168, 2401).map((octet) => (oneIn(4000) ? octet : octet % 13)),
  kemCiphertext: () => octetsOf(1088, 1088, 768, 1568, 0),
  kemSecret: () => octetsOf(32, 32, 32, 31),
  /** As long as a value of a curve, mostly. */
  curveOctets: () => new Uint8Array(anyOf([32, 32, 32, 32, 56, 31])).map(() => below(256)),
  hash: () => anyOf([0, 0, 0, 1, 2, 3, 4]),
  hashOctets: () => new Uint8Array(anyOf([20, 20, 20, 32, 48, 64, 0, 19])),
  parts: () =>
    Array.from({ length: below(oneIn(20) ? 40 : 5) }, () => (oneIn(40) ? anyOf(WRONG) : octets(200))),
  gcmKey: () => octetsOf(16, 24, 32, 15),
  gcmNonce: () => octetsOf(12, 12, 12, 11),
  gcmOctets: () => octetsOf(0, 32, 32, 100),
  gcmSealed: () => octetsOf(48, 48, 40, 16, 116, 7),
  program: () => wordsOf(40),
  doubles: () => new Float64Array(below(40)),
  address: () => anyOf([LOOPBACK_4, LOOPBACK_6, octets(20)]),
  family: () => anyOf([4, 6, 6, 4, 5]),
  fds: () => Int32Array.from({ length: below(6) }, () => descriptor()),
  memorySize: () => anyOf([0, 1, 4096, 100_000, 1 << 20, 2 ** 40, 2 ** 53, -1]),
  batchObject: batchLike,
  /** Asks for links, addresses or routes, or for nothing: the machine stays as it is. */
  netlinkDump: () =>
    encodeNetlinkMessage({ type: anyOf([18, 22, 26]), flags: 0x301, sequence: below(9), body: octets(20) }),
  callback: () => () => undefined,
  provider: () => anyOf([undefined, {}, null, 1]),
} as const;
type Kind = Pool | keyof typeof KINDS;

function descriptor(): number {
  return oneIn(6) || pools.fd.length === 0 ? anyOf([-1, 100_000, 2 ** 31 - 1]) : anyOf(pools.fd);
}

function argument(kind: Kind): unknown {
  if (kind === "fd") return descriptor();
  if ((POOLS as readonly string[]).includes(kind)) {
    const pool = pools[kind as Pool];
    return oneIn(8) || pool.length === 0 ? anyOf(NUMBERS) : anyOf(pool);
  }
  return KINDS[kind as keyof typeof KINDS]();
}

interface Recipe {
  readonly takes: readonly Kind[];
  /** Where a non-negative result goes. */
  readonly makes?: Pool;
  /** The first argument is gone after a call that succeeds. */
  readonly ends?: Pool;
}
const SEND = ["io", "fd", "family", "flag", "number", "batch", "number"] as const;

/** How each exported function is called: a function without a line here fails the run. */
const RECIPES: Readonly<Record<string, Recipe>> = {
  createMemory: { takes: ["text", "memorySize"], makes: "fd" },
  mapMemory: { takes: ["fd"], makes: "memory" },
  memoryBuffer: { takes: ["memory"] },
  unmapMemory: { takes: ["memory"], ends: "memory" },
  createKeyStore: { takes: ["number"], makes: "fd" },
  openKeyStore: { takes: ["fd"], makes: "store" },
  closeKeyStore: { takes: ["store"], ends: "store" },
  installKeys: { takes: ["store", "memory", "number", "octets", "octets"] },
  wipeKeys: { takes: ["store", "number"] },
  holdsKeys: { takes: ["store", "number"] },
  registerBatch: { takes: ["batchObject"], makes: "batch" },
  releaseBatch: { takes: ["batch"], ends: "batch" },
  useProvider: { takes: ["provider", "flag"] },
  hasVaes: { takes: [] },
  createEngine: { takes: ["memory", "store"], makes: "engine" },
  closeEngine: { takes: ["engine"], ends: "engine" },
  seal: { takes: ["engine", "batch", "number", "batch"] },
  open: { takes: ["engine", "batch", "number"] },
  authenticate: { takes: ["engine", "batch", "number"] },
  releaseStaleContexts: { takes: ["engine"] },
  openTun: { takes: ["deviceName", "number", "number"] },
  describeTun: { takes: ["fd"] },
  adoptTun: { takes: ["fd", "number"] },
  openUdp: { takes: ["family", "address", "number", "number", "number", "number", "number"], makes: "fd" },
  openRaw: { takes: ["family", "address", "number", "number", "number", "number", "number"], makes: "fd" },
  localPort: { takes: ["fd"] },
  udpOffloads: { takes: ["fd"] },
  sendDatagram: { takes: ["fd", "family", "octets", "address", "number", "address", "number", "flag"] },
  drainErrorQueue: { takes: ["fd", "octets"] },
  attachProgram: { takes: ["fd", "program", "flag"] },
  openNetlink: { takes: ["number"], makes: "fd" },
  sendNetlink: { takes: ["fd", "netlinkDump"] },
  receiveNetlink: { takes: ["fd", "octets"] },
  drainNetlink: { takes: ["fd"] },
  closeFd: { takes: ["fd"], ends: "fd" },
  setCloseOnExec: { takes: ["fd"] },
  createPacketIo: { takes: ["memory", "flag", "flag"], makes: "io" },
  closePacketIo: { takes: ["io"], ends: "io" },
  readTun: { takes: ["io", "fd", "batch"] },
  writeTun: { takes: ["io", "fd", "batch", "number", "number", "number"] },
  receive: { takes: ["io", "fd", "family", "flag", "number", "batch"] },
  send: { takes: SEND },
  sendFragmentable: { takes: SEND },
  packetIoCounters: { takes: ["io", "doubles"] },
  copyOctets: { takes: ["octets", "number", "number", "octets", "number"] },
  digest: { takes: ["hash", "parts", "hashOctets"] },
  hmac: { takes: ["hash", "octets", "parts", "hashOctets"] },
  sealGcm: { takes: ["gcmKey", "gcmNonce", "octets", "gcmOctets", "gcmSealed"] },
  openGcm: { takes: ["gcmKey", "gcmNonce", "octets", "gcmSealed", "gcmOctets"] },
  montgomeryPublicValue: { takes: ["curveOctets", "curveOctets"] },
  montgomerySharedSecret: { takes: ["curveOctets", "curveOctets", "curveOctets"] },
  mlKemKeyPair: { takes: ["kemSeed", "kemPublic", "kemPrivate"] },
  mlKemEncapsulate: { takes: ["kemPublic", "kemSecret", "kemCiphertext", "kemSecret"] },
  mlKemDecapsulate: { takes: ["kemPrivate", "kemCiphertext", "kemSecret"] },
  createWake: { takes: [], makes: "fd" },
  wake: { takes: ["fd"] },
  createWaiter: { takes: ["fds", "fd"], makes: "waiter" },
  closeWaiter: { takes: ["waiter"], ends: "waiter" },
  wait: { takes: ["waiter"] },
  createReadiness: { takes: ["fd", "callback"], makes: "readiness" },
  armReadiness: { takes: ["readiness"] },
  closeReadiness: { takes: ["readiness"], ends: "readiness" },
  notify: { takes: ["text", "text", "fds"] },
  notifyBarrier: { takes: ["text", "number"] },
  bootTime: { takes: [] },
  forbidDumps: { takes: [] },
  lockFile: { takes: ["fd"] },
  peerCredentials: { takes: ["fd"] },
};

const exported = Object.keys(addon).filter((name) => typeof addon[name] === "function");
const unknown = exported.filter((name) => RECIPES[name] === undefined);
const gone = Object.keys(RECIPES).filter((name) => !exported.includes(name));
if (unknown.length > 0) throw new Error(`no recipe for ${unknown.join(", ")}: nothing would call them`);
if (gone.length > 0) throw new Error(`the addon exports no ${gone.join(", ")}`);

/** Wrong values where they can do no harm: what names a descriptor or a time stays one. */
function spoiled(kind: Kind, value: unknown): unknown {
  if (!oneIn(10)) return value;
  if (kind === "fd" || kind === "fds" || kind === "deviceName") return anyOf(WRONG);
  return oneIn(2) ? anyOf(WRONG) : anyOf(ODD_NUMBERS);
}

const outcomes = new Map(exported.map((name) => [name, { returned: 0, threw: 0 }]));

function callOne(name: string): void {
  const { takes, makes, ends } = RECIPES[name]!;
  const words = takes.map((kind) => spoiled(kind, argument(kind)));
  if (oneIn(30)) words.length = below(words.length + 1);
  const outcome = outcomes.get(name)!;
  let result: unknown;
  try {
    result = addon[name]!(...words);
    outcome.returned += 1;
  } catch (error) {
    if (!(error instanceof TypeError) && !(error instanceof RangeError)) throw error;
    outcome.threw += 1;
    return;
  }
  const given = typeof result === "object" ? (result as { handle?: number } | null)?.handle : result;
  if (makes !== undefined && typeof given === "number" && given >= 0) pools[makes].push(given);
  const isEnded = typeof result !== "number" || result >= 0;
  if (ends !== undefined && isEnded && (ends === "fd" || !oneIn(3)))
    pools[ends] = pools[ends].filter((one) => one !== words[0]);
}

/** What is left of pools that only grow goes, by the function that ends it. */
const ENDS = Object.entries(RECIPES).filter(([, { ends }]) => ends !== undefined);
function trim(): void {
  for (const [name, { ends }] of ENDS)
    while (pools[ends!].length > POOL_MAX) addon[name]!(pools[ends!].shift());
}

/** Sound things in the pools, so that calls get behind their first check; the calls themselves spoil them again. */
function stock(): void {
  const table = createNativeSaTable({ slots: 8, endpoints: 4, policies: 2, lanes: 1 });
  const keys = createNativeKeyStore(table);
  pools.memory.push(table.handle);
  pools.store.push(keys.handle);
  pools.fd.push(table.fd, keys.fd);
  const make = (pool: Pool, handle: unknown) => {
    if (typeof handle === "number" && handle >= 0) pools[pool].push(handle);
  };
  make("engine", addon["createEngine"]!(table.handle, keys.handle));
  make("io", addon["createPacketIo"]!(table.handle, oneIn(2), oneIn(2)));
  make("batch", addon["registerBatch"]!(createArenaBatch(4, 4000)));
  make("batch", addon["registerBatch"]!(createFrameBatch(2, FRAME_OCTETS_MAX)));
  make("fd", addon["openUdp"]!(4, LOOPBACK_4, 0, 0, 0, 1, 0));
}

/** What gave nothing but exceptions. */
const untried = () => [...outcomes].filter(([, { returned }]) => returned === 0).map(([name]) => name);
/** A slow machine makes few calls in the time that it has. */
const CALLS_AT_LEAST = 40_000;

const end = Date.now() + Number(values.seconds) * 1000;
console.log(`seed ${seed}`);
let calls = 0;
while (Date.now() < end || (untried().length > 0 && calls < CALLS_AT_LEAST)) {
  stock();
  for (let i = 0; i < 200; i++, calls++) callOne(anyOf(exported));
  trim();
  // What waits for the event loop gets its turn.
  await new Promise(setImmediate);
}
const idle = untried();
// A function that never got behind the checks of its arguments was not tried.
if (idle.length > 0) throw new Error(`only exceptions from ${idle.join(", ")}: do the recipes fit?`);
console.log(`${calls} calls of ${exported.length} functions`);
// With all that is open, some of which keeps the event loop alive.
process.exit();
