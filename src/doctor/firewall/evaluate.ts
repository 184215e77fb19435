/** What a ruleset does with a packet: what it surely does, and what it might do where a condition is not understood. */
import { contains } from "../../base/address-range.ts";
import { familyOf, type IpAddress } from "../../base/ip-address.ts";
import type { Chain, Condition, Hook, Rule, Ruleset, Value } from "./ruleset.ts";

/** The first packet of a flow, or one of a flow that the host knows. */
export interface FilteredPacket {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly protocol: "tcp" | "udp" | "esp";
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly iif?: string;
  readonly oif?: string;
  readonly state: "new" | "established";
  readonly mark?: number;
}

export interface Fate {
  readonly kind: "drop" | "translateSource" | "translateDestination" | "flow";
  /** False: it depends on what is not understood. */
  readonly isSure: boolean;
  readonly chain: string;
  /** Absent: the chain's policy. */
  readonly rule?: string;
}

/** Jumps that are followed; the kernel allows 16. */
const DEPTH_MAX = 16;
/** Rules that one packet is held against: chains that jump to the same ones again and again would take for ever. */
const STEPS_MAX = 200_000;

/** Everything but acceptance that happens to a packet on a hook, in order. Ends with what surely drops it. */
export function fatesOf(ruleset: Ruleset, hook: Hook, packet: FilteredPacket): readonly Fate[] {
  const fates: Fate[] = [];
  const knowsMarks = [...ruleset.chains.values()].every(({ setsMarks }) => setsMarks !== true);
  for (const chain of hooked(ruleset, hook, packet)) {
    const walk: Walk = { ruleset, packet, knowsMarks, fates: [], mayBeOver: false, steps: 0 };
    const isSure = knowsDevices(chain);
    const end = walkChain(walk, chain, isSure, 0);
    const drops = end !== "ended" && chain.policy === "drop";
    if (drops) walk.fates.push({ kind: "drop", isSure: isSure && !walk.mayBeOver, chain: chain.name });
    fates.push(...walk.fates);
    if (walk.fates.some(({ kind, isSure }) => kind === "drop" && isSure)) break;
  }
  return fates;
}

/** Chains of ingress and egress are of single devices. */
function knowsDevices({ hook }: Chain): boolean {
  return (hook?.hook !== "ingress" && hook?.hook !== "egress") || hook.devices !== undefined;
}

function hooked({ chains }: Ruleset, hook: Hook, packet: FilteredPacket): readonly Chain[] {
  const { source, state, iif, oif } = packet;
  const families = ["inet", "netdev", familyOf(source) === 4 ? "ip" : "ip6"];
  const device = (hook === "ingress" ? iif : oif) ?? "";
  return (
    [...chains.values()]
      .filter((chain) => chain.hook?.hook === hook && families.includes(chain.family))
      .filter((chain) => chain.hook?.devices?.includes(device) ?? true)
      // Only the first packet of a flow sees chains of NAT.
      .filter((chain) => chain.hook?.type !== "nat" || state === "new")
      .sort((a, b) => a.hook!.priority - b.hook!.priority)
  );
}

interface Walk {
  readonly ruleset: Ruleset;
  readonly packet: FilteredPacket;
  readonly knowsMarks: boolean;
  readonly fates: Fate[];
  /** Some acceptance before may have ended it. */
  mayBeOver: boolean;
  steps: number;
}

/** `ended`: a verdict surely fell; `returned`: the caller goes on. */
function walkChain(walk: Walk, chain: Chain, isSure: boolean, depth: number): "ended" | "returned" {
  for (const rule of chain.rules) {
    if (++walk.steps > STEPS_MAX) {
      doubt(walk, chain, rule);
      return "returned";
    }
    const matches = matchesRule(rule, walk);
    if (matches === false || rule.verdict === undefined) continue;
    const isCertain = isSure && matches === true;
    const step = follow(walk, chain, rule, isCertain, depth);
    if (matches === true && step !== "on") return step;
  }
  return "returned";
}

/** From here on anything may have happened. */
function doubt(walk: Walk, chain: Chain, rule: Rule): "on" {
  if (!walk.mayBeOver) walk.fates.push({ kind: "drop", isSure: false, chain: chain.name, rule: rule.text });
  walk.mayBeOver = true;
  return "on";
}

function follow(walk: Walk, chain: Chain, rule: Rule, isCertain: boolean, depth: number) {
  const verdict = rule.verdict!;
  const note = (kind: Fate["kind"]) =>
    walk.fates.push({ kind, isSure: isCertain && !walk.mayBeOver, chain: chain.name, rule: rule.text });
  switch (verdict.kind) {
    case "accept":
      if (!isCertain) walk.mayBeOver = true;
      return "ended";
    case "drop":
    case "translateSource":
    case "translateDestination":
      note(verdict.kind);
      // A drop that may have fallen before makes a later one no less sure.
      if (!isCertain && verdict.kind !== "drop") walk.mayBeOver = true;
      return "ended";
    case "flow":
      note("flow");
      return "on";
    case "return":
      return "returned";
    case "unknown":
      return doubt(walk, chain, rule);
    case "jump":
    case "goto": {
      const target = walk.ruleset.chains.get(verdict.chain);
      if (target === undefined) return doubt(walk, chain, rule);
      if (depth === DEPTH_MAX) return "on";
      const end = walkChain(walk, target, isCertain, depth + 1);
      if (end === "ended") return "ended";
      return verdict.kind === "goto" ? "returned" : "on";
    }
    default:
      return verdict satisfies never;
  }
}

/** `undefined`: it depends on what is not understood. */
function matchesRule({ conditions }: Rule, walk: Walk): boolean | undefined {
  const results = conditions.map((condition) => matchesCondition(condition, walk));
  if (results.includes(false)) return false;
  return results.includes(undefined) ? undefined : true;
}

function matchesCondition(condition: Condition, { packet, knowsMarks }: Walk): boolean | undefined {
  const found = condition.field === "mark" && !knowsMarks ? undefined : isIn(condition, packet);
  return found === undefined ? undefined : found !== condition.isNegated;
}

function isIn({ field, values, mask }: Condition, packet: FilteredPacket): boolean | undefined {
  switch (field) {
    case "family":
      return named(values, familyOf(packet.source) === 4 ? "ip" : "ip6");
    case "iif":
      return packet.iif === undefined ? named(values, "") : named(values, packet.iif);
    case "oif":
      return packet.oif === undefined ? named(values, "") : named(values, packet.oif);
    case "source":
      return within(values, packet.source);
    case "destination":
      return within(values, packet.destination);
    case "protocol":
      return named(values, packet.protocol);
    case "sourcePort":
      return numbered(values, packet.sourcePort);
    case "destinationPort":
      return numbered(values, packet.destinationPort);
    case "state":
      return named(values, packet.state);
    case "mark":
      return numbered(values, ((packet.mark ?? 0) & (mask ?? 0xffffffff)) >>> 0);
    case "rate":
      return true;
    case "unknown":
      return undefined;
    default:
      return field satisfies never;
  }
}

function named(values: readonly Value[], name: string): boolean {
  return values.some((value) => {
    if (value.kind !== "name") return false;
    return value.name.endsWith("*") ? name.startsWith(value.name.slice(0, -1)) : value.name === name;
  });
}

/** A packet without ports matches no port. */
function numbered(values: readonly Value[], number: number | undefined): boolean {
  return values.some(
    (value) => value.kind === "numbers" && number !== undefined && number >= value.from && number <= value.to,
  );
}

function within(values: readonly Value[], address: IpAddress): boolean {
  return values.some(
    (value) =>
      value.kind === "addresses" &&
      value.range.start.length === address.length &&
      contains(value.range, address),
  );
}
