/** What is known of fragmented packets: the ports of their first fragments, and which octets have passed (RFC 4301 section 7.3). */
import { Key, type PacketKey } from "../policy/selector-record.ts";
import type { PacketFields } from "../wire/ip/ip-packet.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import { Drop } from "./drop-reason.ts";
import { FragmentMaps, isBadFragment } from "./fragment-map.ts";

const SETS = 128;
const WAYS = 4;
/** Packets whose fragments are followed at a time; a further one takes the place of an older one. */
export const FRAGMENTED_PACKETS_MAX = SETS * WAYS;
/** RFC 791 section 3.2: for so long fragments wait for each other. */
export const FRAGMENT_AGE_MS = 15_000;
/** RFC 3128: a first fragment of TCP holds the header up to its checksum, so that no other one can replace flags. */
const TCP_HEADER_SEEN_MIN = 16;

/** The fragment may go on under the ports that its key has now. */
export const FRAGMENT_FOLLOWS = -1;

/** Words of an entry: whose fragments these are, then what is known of them. */
const SCOPE = 0;
const FAMILY_AND_PROTOCOL = 1;
const ID = 2;
const LOCAL_ADDRESS = 3;
const REMOTE_ADDRESS = 7;
const PROTOCOL = 11;
const LOCAL_PORT = 12;
const REMOTE_PORT = 13;
const STRIDE = 14;
const NONE = -1;

export class FragmentTable {
  readonly #words = new Uint32Array(FRAGMENTED_PACKETS_MAX * STRIDE);
  /** When the first fragment came; an entry is empty before it has one. */
  readonly #since = new Float64Array(FRAGMENTED_PACKETS_MAX).fill(Number.NEGATIVE_INFINITY);
  readonly #maps = new FragmentMaps(FRAGMENTED_PACKETS_MAX);

  /**
   * Lets a first fragment leave its ports here, and a later one take them; no octet of a packet passes twice.
   * @param scope - keeps packets apart that are not each other's business: a device, or a policy
   * @param key - of the fragment; protocol and ports are replaced
   * @returns {@link FRAGMENT_FOLLOWS}, or the reason to drop it
   */
  follow(fields: PacketFields, key: PacketKey, scope: number, now: number): number {
    if (isBadFragment(fields)) return Drop.badFragment;
    if (isTiny(fields)) return Drop.tinyFragment;
    let entry = this.#find(fields, key, scope, now);
    if (fields.fragmentOffset === 0) {
      if (entry === NONE) entry = this.#take(fields, key, scope, now);
      else if (this.#maps.isComplete(entry)) this.#start(entry, fields, key, scope, now);
    } else if (entry === NONE) return Drop.fragmentBeforeFirst;
    if (!this.#maps.pass(entry, fields)) return Drop.overlappingFragment;
    this.#fill(entry, key);
    return FRAGMENT_FOLLOWS;
  }

  /** Whether the first fragment of the packet has come. */
  hasFirst(fields: PacketFields, key: PacketKey, scope: number, now: number): boolean {
    return this.#find(fields, key, scope, now) !== NONE;
  }

  /** Gives the key of a fragment that {@link follow} let pass its ports again; false when they are forgotten. */
  recall(fields: PacketFields, key: PacketKey, scope: number, now: number): boolean {
    const entry = this.#find(fields, key, scope, now);
    if (entry !== NONE) this.#fill(entry, key);
    return entry !== NONE;
  }

  #fill(entry: number, key: PacketKey): void {
    const at = entry * STRIDE;
    key[Key.PROTOCOL] = this.#words[at + PROTOCOL]!;
    key[Key.LOCAL_PORT] = this.#words[at + LOCAL_PORT]!;
    key[Key.REMOTE_PORT] = this.#words[at + REMOTE_PORT]!;
  }

  #find(fields: PacketFields, key: PacketKey, scope: number, now: number): number {
    const first = setOf(fields, key, scope) * WAYS;
    for (let entry = first; entry < first + WAYS; entry++)
      if (now - this.#since[entry]! < FRAGMENT_AGE_MS && this.#isOf(entry, fields, key, scope)) return entry;
    return NONE;
  }

  #isOf(entry: number, fields: PacketFields, key: PacketKey, scope: number): boolean {
    const words = this.#words;
    const at = entry * STRIDE;
    if (
      words[at + ID] !== fields.fragmentId ||
      words[at + SCOPE] !== scope ||
      words[at + FAMILY_AND_PROTOCOL] !== familyAndProtocol(fields)
    )
      return false;
    for (let word = 0; word < 4; word++)
      if (
        words[at + LOCAL_ADDRESS + word] !== key[Key.LOCAL_ADDRESS + word] ||
        words[at + REMOTE_ADDRESS + word] !== key[Key.REMOTE_ADDRESS + word]
      )
        return false;
    return true;
  }

  /** The oldest entry of the set, given to this packet. */
  #take(fields: PacketFields, key: PacketKey, scope: number, now: number): number {
    const first = setOf(fields, key, scope) * WAYS;
    let oldest = first;
    for (let entry = first + 1; entry < first + WAYS; entry++)
      if (this.#since[entry]! < this.#since[oldest]!) oldest = entry;
    this.#start(oldest, fields, key, scope, now);
    return oldest;
  }

  #start(entry: number, fields: PacketFields, key: PacketKey, scope: number, now: number): void {
    const words = this.#words;
    const at = entry * STRIDE;
    words[at + SCOPE] = scope;
    words[at + FAMILY_AND_PROTOCOL] = familyAndProtocol(fields);
    words[at + ID] = fields.fragmentId;
    for (let word = 0; word < 4; word++) {
      words[at + LOCAL_ADDRESS + word] = key[Key.LOCAL_ADDRESS + word]!;
      words[at + REMOTE_ADDRESS + word] = key[Key.REMOTE_ADDRESS + word]!;
    }
    words[at + PROTOCOL] = key[Key.PROTOCOL]!;
    words[at + LOCAL_PORT] = key[Key.LOCAL_PORT]!;
    words[at + REMOTE_PORT] = key[Key.REMOTE_PORT]!;
    this.#maps.start(entry);
    this.#since[entry] = now;
  }
}

/** RFC 8200 section 4.5 puts IPv6 together whatever the fragments name, RFC 791 section 3.2 asks for equal protocols. */
function familyAndProtocol(fields: PacketFields): number {
  return fields.family === 4 ? 0x400 | fields.protocol : 0x600;
}

/**
 * A first fragment without the ports that its protocol has, or one whose TCP header a second one could complete or replace
 * (RFC 1858 section 3, RFC 3128).
 */
function isTiny(fields: PacketFields): boolean {
  if (fields.fragmentOffset === 0) {
    if (fields.isOpaque) return true;
    const seen = fields.totalLength - fields.headerLength;
    return fields.protocol === IpProtocol.TCP && seen < TCP_HEADER_SEEN_MIN;
  }
  return fields.fragmentProtocol === IpProtocol.TCP && fields.fragmentOffset < TCP_HEADER_SEEN_MIN;
}

const MULTIPLIER = 0x9e3779b1;

function setOf(fields: PacketFields, key: PacketKey, scope: number): number {
  let mixed = Math.imul(fields.fragmentId ^ (scope << 8), MULTIPLIER) ^ familyAndProtocol(fields);
  for (let word = 0; word < 4; word++) {
    mixed = Math.imul(mixed ^ key[Key.LOCAL_ADDRESS + word]!, MULTIPLIER) ^ (mixed >>> 15);
    mixed = Math.imul(mixed ^ key[Key.REMOTE_ADDRESS + word]!, MULTIPLIER) ^ (mixed >>> 13);
  }
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b);
  return (mixed >>> 8) & (SETS - 1);
}
