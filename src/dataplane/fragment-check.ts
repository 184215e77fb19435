/** Stateful fragment checking (RFC 4301 section 7.3): a later fragment goes by the ports of its first, where ports matter. */
import { Slot } from "../policy/sa-table.ts";
import { outboundFor, saMatches, slotOffset } from "../policy/sad.ts";
import {
  createPacketKey,
  KEY_PORT_ANY,
  KEY_PORT_OPAQUE,
  KEY_PROTOCOL_ANY,
  Key,
  type PacketKey,
} from "../policy/selector-record.ts";
import { firstPossibleEntry, lookupSpd, NO_POLICY, SPD_PROTECT } from "../policy/spd.ts";
import type { PacketFields } from "../wire/ip/ip-packet.ts";
import { isExtensionHeader } from "../wire/ip/ipv6.ts";
import { FlowCache } from "./flow-cache.ts";
import { FRAGMENT_FOLLOWS, FragmentTable } from "./fragment-table.ts";
import { type LaneContext, NO_DEVICE } from "./lane-context.ts";

/**
 * One direction's check. Where no selector that a packet could meet names ports, its fragments pass on their own, each
 * held against addresses and protocol [SPD-13].
 */
export class FragmentCheck {
  readonly #context: LaneContext;
  /** As a later fragment shows itself, and as a fragment that could have any ports. */
  readonly #opaque = createPacketKey();
  readonly #any = createPacketKey();
  /** Made for the first fragment that needs them. */
  #table: FragmentTable | undefined;
  #dependence: FlowCache | undefined;

  constructor(context: LaneContext) {
    this.#context = context;
  }

  /** Policies or SAs have changed. */
  clear(): void {
    this.#dependence?.clear();
  }

  /**
   * For a fragment out of a device; its key gets the ports of the first fragment.
   * @returns {@link FRAGMENT_FOLLOWS} or the reason to drop it
   */
  outbound(fields: PacketFields, key: PacketKey, device: number, now: number): number {
    this.#fillScratch(fields, key);
    if (!this.#dependsOutbound(device)) return FRAGMENT_FOLLOWS;
    this.#table ??= new FragmentTable();
    return this.#table.follow(fields, key, device, now);
  }

  /** For a fragment that {@link outbound} let pass and that was held since; false when too long. */
  outboundAgain(fields: PacketFields, key: PacketKey, device: number, now: number): boolean {
    if (fields.fragmentOffset === 0) return true;
    this.#fillScratch(fields, key);
    if (!this.#dependsOutbound(device)) return true;
    return this.#table?.recall(fields, key, device, now) ?? false;
  }

  /** Whether a fragment that {@link outbound} or {@link inbound} found too early would follow now; `scope` as there. */
  canFollow(fields: PacketFields, key: PacketKey, scope: number, now: number): boolean {
    return this.#table?.hasFirst(fields, key, scope, now) ?? false;
  }

  /** For a fragment that came through an SA; later ones go by a first one that came under the same policy. */
  inbound(fields: PacketFields, key: PacketKey, slot: number, now: number): number {
    this.#fillScratch(fields, key);
    if (!this.#dependsInbound(slot)) return FRAGMENT_FOLLOWS;
    this.#table ??= new FragmentTable();
    return this.#table.follow(fields, key, this.policyOf(slot), now);
  }

  /** For a fragment that {@link outbound} was asked about last: the policy that comes first of those it may be under, or NO_POLICY. */
  possiblePolicy(device: number): number {
    const spd = this.#context.spds[device];
    const entry = spd === undefined ? -1 : firstPossibleEntry(spd, this.#any);
    return spd === undefined || entry < 0 ? NO_POLICY : spd.policy[entry]!;
  }

  policyOf(slot: number): number {
    const { table } = this.#context;
    return table.u32[(slotOffset(table, slot) + Slot.POLICY) >> 2]!;
  }

  #fillScratch(fields: PacketFields, key: PacketKey): void {
    this.#opaque.set(key);
    this.#any.set(key);
    const isHidden = fields.family === 6 && isExtensionHeader(fields.fragmentProtocol);
    this.#opaque[Key.PROTOCOL] = fields.fragmentProtocol;
    this.#any[Key.PROTOCOL] = isHidden ? KEY_PROTOCOL_ANY : fields.fragmentProtocol;
    for (const port of PORTS) {
      this.#opaque[port] = KEY_PORT_OPAQUE;
      this.#any[port] = KEY_PORT_ANY;
    }
  }

  #dependsOutbound(device: number): boolean {
    this.#dependence ??= new FlowCache(this.#context.table);
    const known = this.#dependence.find(this.#any, device);
    if (known === 0 || known === 1) return known === 1;
    const depends = this.#spdDepends(device) || this.#outboundSaDepends(device);
    this.#dependence.store(this.#any, device, depends ? 1 : 0);
    return depends;
  }

  #dependsInbound(slot: number): boolean {
    this.#dependence ??= new FlowCache(this.#context.table);
    const known = this.#dependence.find(this.#any, slot);
    if (known === 0 || known === 1) return known === 1;
    const { table, memory, deviceOfPolicy } = this.#context;
    const device = deviceOfPolicy[table.u32[(slotOffset(table, slot) + Slot.POLICY) >> 2]!]!;
    const depends =
      saMatches(table, memory, slot, this.#any) !== saMatches(table, memory, slot, this.#opaque) ||
      (device !== NO_DEVICE && this.#spdDepends(device));
    this.#dependence.store(this.#any, slot, depends ? 1 : 0);
    return depends;
  }

  /** Whether ports could make another entry of the SPD the first match. */
  #spdDepends(device: number): boolean {
    const spd = this.#context.spds[device];
    return spd !== undefined && firstPossibleEntry(spd, this.#any) !== lookupSpd(spd, this.#opaque);
  }

  /** Whether ports could choose among the SAs of a policy, which peers may have narrowed. */
  #outboundSaDepends(device: number): boolean {
    const { spds, table, memory, index } = this.#context;
    const spd = spds[device];
    const entry = spd === undefined ? -1 : firstPossibleEntry(spd, this.#any);
    if (spd === undefined || entry < 0 || spd.action[entry] !== SPD_PROTECT) return false;
    const policy = spd.policy[entry]!;
    const ofAny = outboundFor(table, memory, policy, this.#any, index);
    return ofAny !== outboundFor(table, memory, policy, this.#opaque, index);
  }
}

const PORTS = [Key.LOCAL_PORT, Key.REMOTE_PORT] as const;
