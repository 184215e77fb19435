/**
 * Remembers what the SPD and the SAD decided for recent flows. An answer holds until the SPD changes, or the chain of SAs of
 * the policy that it came from: what happens to other policies leaves it alone.
 */
import { Policy, type SaTable } from "../policy/sa-table.ts";
import { Key, type PacketKey } from "../policy/selector-record.ts";
import { NO_POLICY } from "../policy/spd.ts";

/** Flows that are remembered at most; a flow beyond costs a lookup per packet. */
const FLOW_CACHE_ENTRIES = 4096;
const WAYS = 4;
const SETS = FLOW_CACHE_ENTRIES / WAYS;
/** Words of an entry: those of the key up to its addresses, with the family's also holding the device and the DSCP value. */
const TAG = Key.FAMILY;
const KEY_WORDS = Key.REMOTE_ADDRESS + 4;
const ANSWER = KEY_WORDS;
/** How often everything had been forgotten by then. */
const STAMP = KEY_WORDS + 1;
const POLICY = KEY_WORDS + 2;
const POLICY_GENERATION = KEY_WORDS + 3;
const STRIDE = KEY_WORDS + 4;

/** Answers below zero are the caller's own; this one means that nothing is remembered. */
export const FLOW_UNKNOWN = -0x80000000;

export class FlowCache {
  readonly #words = new Uint32Array(FLOW_CACHE_ENTRIES * STRIDE);
  readonly #table: SaTable;
  #stamp = 1;
  #turn = 0;

  constructor(table: SaTable) {
    this.#table = table;
  }

  /** Forgets every answer. */
  clear(): void {
    this.#stamp = (this.#stamp + 1) >>> 0;
    if (this.#stamp !== 0) return;
    this.#words.fill(0);
    this.#stamp = 1;
  }

  /** The answer for a packet of a device (at most 16 bits), or {@link FLOW_UNKNOWN}. */
  find(key: PacketKey, device: number): number {
    const words = this.#words;
    const tag = tagOf(key, device);
    const first = hash(key, tag) * WAYS * STRIDE;
    for (let at = first; at < first + WAYS * STRIDE; at += STRIDE)
      if (words[at + STAMP] === this.#stamp && words[at + TAG] === tag && isSame(words, at, key))
        return this.#isCurrent(at) ? words[at + ANSWER]! | 0 : FLOW_UNKNOWN;
    return FLOW_UNKNOWN;
  }

  #isCurrent(at: number): boolean {
    const policy = this.#words[at + POLICY]!;
    return policy === NO_POLICY || this.#words[at + POLICY_GENERATION] === this.generationOf(policy);
  }

  /** Ask before looking at the policy's SAs: what changes while they are looked at then makes the answer void. */
  generationOf(policy: number): number {
    const { u32, regions } = this.#table;
    return Atomics.load(u32, (regions.policies + policy * Policy.STRIDE + Policy.GENERATION) >> 2);
  }

  /**
   * @param policy - whose SAs the answer was taken from, or NO_POLICY
   * @param generation - of the policy, by {@link generationOf}
   */
  store(key: PacketKey, device: number, answer: number, policy = NO_POLICY, generation = 0): void {
    const words = this.#words;
    const tag = tagOf(key, device);
    const first = hash(key, tag) * WAYS * STRIDE;
    let victim = -1;
    for (let at = first; at < first + WAYS * STRIDE && victim < 0; at += STRIDE) {
      // Whether an answer still holds is not asked: with many policies that costs more than losing one.
      if (words[at + STAMP] !== this.#stamp || (words[at + TAG] === tag && isSame(words, at, key)))
        victim = at;
    }
    if (victim < 0) {
      this.#turn = (this.#turn + 1) % WAYS;
      victim = first + this.#turn * STRIDE;
    }
    for (let word = 0; word < KEY_WORDS; word++) words[victim + word] = key[word]!;
    words[victim + TAG] = tag;
    words[victim + ANSWER] = answer;
    words[victim + STAMP] = this.#stamp;
    words[victim + POLICY] = policy;
    words[victim + POLICY_GENERATION] = generation;
  }
}

function tagOf(key: PacketKey, device: number): number {
  return (key[Key.FAMILY]! | (device << 4) | (key[Key.DSCP]! << 24)) >>> 0;
}

/** All words but the tag and those that are zero in every IPv4 key. */
function isSame(words: Uint32Array, at: number, key: PacketKey): boolean {
  if (
    words[at + Key.LOCAL_ADDRESS] !== key[Key.LOCAL_ADDRESS] ||
    words[at + Key.REMOTE_ADDRESS] !== key[Key.REMOTE_ADDRESS] ||
    words[at + Key.LOCAL_PORT] !== key[Key.LOCAL_PORT] ||
    words[at + Key.REMOTE_PORT] !== key[Key.REMOTE_PORT] ||
    words[at + Key.PROTOCOL] !== key[Key.PROTOCOL]
  )
    return false;
  if (key[Key.FAMILY] === 4) return true;
  for (let word = 1; word < 4; word++)
    if (
      words[at + Key.LOCAL_ADDRESS + word] !== key[Key.LOCAL_ADDRESS + word] ||
      words[at + Key.REMOTE_ADDRESS + word] !== key[Key.REMOTE_ADDRESS + word]
    )
      return false;
  return true;
}

const MULTIPLIER = 0x9e3779b1;

function hash(key: PacketKey, tag: number): number {
  let mixed = tag ^ (key[Key.PROTOCOL]! << 8);
  mixed = Math.imul(mixed ^ key[Key.LOCAL_PORT]!, MULTIPLIER);
  mixed = Math.imul(mixed ^ key[Key.REMOTE_PORT]!, MULTIPLIER);
  // IPv4 addresses fill their first word only.
  const words = key[Key.FAMILY] === 4 ? 1 : 4;
  for (let word = 0; word < words; word++) {
    mixed = Math.imul(mixed ^ key[Key.LOCAL_ADDRESS + word]!, MULTIPLIER) ^ (mixed >>> 15);
    mixed = Math.imul(mixed ^ key[Key.REMOTE_ADDRESS + word]!, MULTIPLIER) ^ (mixed >>> 13);
  }
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed, 0x85ebca6b);
  return (mixed >>> 8) & (SETS - 1);
}
