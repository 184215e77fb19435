/** Feeds damaged and invented octets to every decoder of wire/ for a while; a seed repeats a run. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import fc from "fast-check";
import { toHex } from "../src/base/bytes.ts";
import { encodeMessage, encodePayloadChain } from "../src/wire/ike/message.ts";
import { readCorpus } from "../test/unit/wire/corpus.ts";
import { runAllDecoders } from "../test/unit/wire/decoders.ts";
import { outgoingHeader, payloads } from "../test/unit/wire/ike/arbitrary.ts";

/** No input of a datagram's size may keep a decoder busy for longer; far above what a busy machine adds. */
const SLOW_MS = 250;
/** Inputs that reached something new are kept as material for further ones, up to this many. */
const POOL_MAX = 5000;
const INPUT_LENGTH_MAX = 65_507;
const INTERESTING = [0, 1, 2, 3, 4, 7, 8, 0x20, 0x2e, 0x35, 0x40, 0x45, 0x60, 0x7f, 0x80, 0xff];

const USAGE = `usage: npx tsx scripts/fuzz-wire.ts [--seconds N] [--seed N] [--save FOLDER]
  --seconds N    how long to run (default 30)
  --seed N       repeats the run of that seed (default: from the clock)
  --save FOLDER  writes each input that reached something new to the folder`;

/** A small seeded generator (mulberry32); uniform in [0, 1). */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x100000000;
  };
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "30" },
      seed: { type: "string", default: String(Date.now() % 0x7fffffff) },
      save: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  const seconds = Number(values.seconds);
  const seed = Number(values.seed);
  if (values.help || !(seconds > 0) || !Number.isInteger(seed)) {
    console.log(USAGE);
    process.exit(values.help ? 0 : 2);
  }
  return { seconds, seed, save: values.save };
}

/** Valid messages and chains, and the corpus: what the first inputs are made from. */
function seeds(seed: number): Uint8Array[] {
  const message = fc.tuple(outgoingHeader, payloads).map(([header, list]) => encodeMessage(header, list));
  const chain = payloads.map((list) => encodePayloadChain(list).bytes);
  return [
    ...readCorpus().map(({ bytes }) => bytes),
    ...fc.sample(message, { seed, numRuns: 200 }),
    ...fc.sample(chain, { seed, numRuns: 200 }),
  ];
}

function mutate(pool: readonly Uint8Array[], random: () => number): Uint8Array {
  const below = (count: number) => Math.floor(random() * count);
  let bytes: Uint8Array = Uint8Array.from(pool[below(pool.length)]!);
  for (let count = 1 + below(8); count > 0; count--) {
    const at = below(bytes.length + 1);
    switch (below(8)) {
      case 0:
        if (at < bytes.length) bytes[at]! ^= 1 << below(8);
        break;
      case 1:
        if (at < bytes.length) bytes[at] = INTERESTING[below(INTERESTING.length)]!;
        break;
      case 2:
        bytes = Uint8Array.from([...bytes.subarray(0, at), below(256), ...bytes.subarray(at)]);
        break;
      case 3:
        bytes = Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(at + 1 + below(16))]);
        break;
      case 4:
        bytes = bytes.slice(0, at);
        break;
      case 5: {
        const other = pool[below(pool.length)]!;
        bytes = Uint8Array.from([...bytes.subarray(0, at), ...other.subarray(below(other.length))]);
        break;
      }
      case 6:
        if (at + 1 < bytes.length) new DataView(bytes.buffer).setUint16(at, bytes.length - at + below(5) - 2);
        break;
      default:
        if (bytes.length >= 28) new DataView(bytes.buffer).setUint32(24, bytes.length);
    }
  }
  return bytes.length > INPUT_LENGTH_MAX ? bytes.slice(0, INPUT_LENGTH_MAX) : bytes;
}

function timeOf(bytes: Uint8Array): number {
  const started = performance.now();
  runAllDecoders(bytes);
  return performance.now() - started;
}

function main(): void {
  const { seconds, seed, save } = readOptions();
  const random = generator(seed);
  const pool = seeds(seed);
  const reached = new Set(pool.map(runAllDecoders));
  const end = performance.now() + seconds * 1000;
  let runs = 0;
  let slowest = 0;
  while (performance.now() < end) {
    const bytes = mutate(pool, random);
    const started = performance.now();
    let outcome: string;
    try {
      outcome = runAllDecoders(bytes);
    } catch (error) {
      console.error(`seed ${seed}, input ${runs}: ${String(error)}\n${toHex(bytes)}`);
      process.exit(1);
    }
    let took = performance.now() - started;
    // Another process or the garbage collector may have had the processor: only what repeats is the decoders' doing.
    for (let again = 0; again < 3 && took > SLOW_MS; again++) took = Math.min(took, timeOf(bytes));
    slowest = Math.max(slowest, took);
    if (took > SLOW_MS) {
      console.error(`seed ${seed}, input ${runs}: took ${took.toFixed(0)} ms\n${toHex(bytes)}`);
      process.exit(1);
    }
    runs++;
    if (reached.has(outcome) || pool.length >= POOL_MAX) continue;
    reached.add(outcome);
    pool.push(bytes);
    if (save !== undefined) {
      mkdirSync(save, { recursive: true });
      writeFileSync(join(save, `${String(reached.size).padStart(5, "0")}.hex`), `${toHex(bytes)}\n`);
    }
  }
  console.log(
    `fuzz-wire: ok, seed ${seed}, ${runs} inputs, ${reached.size} outcomes, slowest ${slowest.toFixed(1)} ms`,
  );
}

main();
