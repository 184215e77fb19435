/** Remembers what the SPD and the SAD decided for recent flows; forgets everything when either of them changes. */
import { Key, type PacketKey } from "../policy/selector-record.ts";

/** Flows that are remembered at most; a flow beyond costs a lookup per packet. */
const FLOW_CACHE_ENTRIES = 4096;
const WAYS = 4;
const SETS = FLOW_CACHE_ENTRIES / WAYS;
/** Words of an entry: the key, the device, the answer, the generation that it was given in. */
const DEVICE = Key.LENGTH;
const ANSWER = Key.LENGTH + 1;
const STAMP = Key.LENGTH + 2;
const STRIDE = 16;

/** Answers below zero are the caller's own; this one means that nothing is remembered. */
export const FLOW_UNKNOWN = -0x80000000;

export class FlowCache {
  readonly #words = new Uint32Array(FLOW_CACHE_ENTRIES * STRIDE);
  #stamp = 1;
  #turn = 0;

  /** Forgets every answer. */
  clear(): void {
    this.#stamp = (this.#stamp + 1) >>> 0;
    if (this.#stamp !== 0) return;
    this.#words.fill(0);
    this.#stamp = 1;
  }

  /** The answer for a packet of a device, or {@link FLOW_UNKNOWN}. */
  find(key: PacketKey, device: number): number {
    const words = this.#words;
    const first = hash(key, device) * WAYS * STRIDE;
    for (let at = first; at < first + WAYS * STRIDE; at += STRIDE)
      if (words[at + STAMP] === this.#stamp && words[at + DEVICE] === device && isSame(words, at, key))
        return words[at + ANSWER]! | 0;
    return FLOW_UNKNOWN;
  }

  store(key: PacketKey, device: number, answer: number): void {
    const words = this.#words;
    const first = hash(key, device) * WAYS * STRIDE;
    let victim = -1;
    for (let at = first; at < first + WAYS * STRIDE && victim < 0; at += STRIDE)
      if (words[at + STAMP] !== this.#stamp) victim = at;
    if (victim < 0) {
      this.#turn = (this.#turn + 1) % WAYS;
      victim = first + this.#turn * STRIDE;
    }
    for (let word = 0; word < Key.LENGTH; word++) words[victim + word] = key[word]!;
    words[victim + DEVICE] = device;
    words[victim + ANSWER] = answer;
    words[victim + STAMP] = this.#stamp;
  }
}

/** All words but those that are zero in every IPv4 key. */
function isSame(words: Uint32Array, at: number, key: PacketKey): boolean {
  if (
    words[at + Key.LOCAL_ADDRESS] !== key[Key.LOCAL_ADDRESS] ||
    words[at + Key.REMOTE_ADDRESS] !== key[Key.REMOTE_ADDRESS] ||
    words[at + Key.LOCAL_PORT] !== key[Key.LOCAL_PORT] ||
    words[at + Key.REMOTE_PORT] !== key[Key.REMOTE_PORT] ||
    words[at + Key.PROTOCOL] !== key[Key.PROTOCOL] ||
    words[at + Key.FAMILY] !== key[Key.FAMILY]
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

function hash(key: PacketKey, device: number): number {
  let mixed = device ^ (key[Key.PROTOCOL]! << 8) ^ (key[Key.FAMILY]! << 16);
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
