/** Reads `nft -j list ruleset` (libnftables-json(5)). What is not understood becomes an unknown condition, never a wrong one. */
import { type AddressRange, prefixRange } from "../../base/address-range.ts";
import { parseIpAddress } from "../../base/ip-address.ts";
import { MARKING_TARGETS, PASSIVE_TARGETS } from "./iptables-save.ts";
import {
  type Chain,
  type Condition,
  type Field,
  FORWARDED,
  type Hook,
  RECEIVED,
  type Rule,
  type Ruleset,
  SENT,
  type Value,
  type Verdict,
} from "./ruleset.ts";

type Json = Readonly<Record<string, unknown>>;

const HOOKS: readonly string[] = [...FORWARDED, ...RECEIVED, ...SENT];
const FAMILIES: readonly string[] = ["ip", "ip6", "inet", "netdev"];

/**
 * @param ownTable - our own inbound filter, which is no obstacle: only its counter is read
 * @returns `undefined` when it is no such document
 */
export function readNftRuleset(text: string, ownTable: string): Ruleset | undefined {
  const objects = objectsOf(text);
  if (objects === undefined) return undefined;
  const of = (kind: string) =>
    objects
      .map((one) => one[kind])
      .filter(isObject)
      .filter(({ family, table, name }) => FAMILIES.includes(String(family)) && (table ?? name) !== ownTable);
  const sets = new Map(
    [...of("set"), ...of("map")].map((set) => [`${keyOf(set)} ${set["name"]}`, listOf(set["elem"])]),
  );
  const rules = new Map<string, Rule[]>();
  const marking = new Set<string>();
  for (const rule of of("rule")) {
    const chain = `${keyOf(rule)} ${rule["chain"]}`;
    const list = rules.get(chain) ?? [];
    rules.set(chain, list);
    for (const one of readRules(rule, (name) => sets.get(`${keyOf(rule)} ${name}`))) list.push(one);
    if (listOf(rule["expr"]).filter(isObject).some(setsMark)) marking.add(chain);
  }
  const chains = of("chain").map((chain) => readChain(chain, rules, marking));
  return {
    chains: new Map(chains.map((chain) => [chain.name, chain])),
    unread: objects
      .map((one) => one["chain"])
      .filter(isObject)
      .filter(({ family, hook }) => !FAMILIES.includes(String(family)) && hook !== undefined)
      .map((chain) => `${keyOf(chain)} ${chain["name"]}`),
    clearPackets: clearPackets(objects, ownTable),
  };
}

/** Tables, `ip filter`, that iptables made with matches which this document names without saying what they match. */
export function iptablesTables(text: string): readonly string[] {
  const rules = (objectsOf(text) ?? []).map((one) => one["rule"]).filter(isObject);
  const made = rules.filter(({ expr }) => listOf(expr).some((one) => isObject(one) && "xt" in one));
  return [...new Set(made.map(keyOf))];
}

function objectsOf(text: string): readonly Json[] | undefined {
  try {
    const document: unknown = JSON.parse(text);
    const list = isObject(document) ? document["nftables"] : undefined;
    return Array.isArray(list) ? list.filter(isObject) : undefined;
  } catch {
    return undefined;
  }
}

function clearPackets(objects: readonly Json[], ownTable: string): number {
  const counter = objects
    .map((one) => one["counter"])
    .filter(isObject)
    .find(({ table, name }) => table === ownTable && name === "clear");
  return typeof counter?.["packets"] === "number" ? counter["packets"] : 0;
}

function keyOf({ family, table }: Json): string {
  return `${family} ${table}`;
}

function readChain(
  chain: Json,
  rules: ReadonlyMap<string, readonly Rule[]>,
  marking: ReadonlySet<string>,
): Chain {
  const name = `${keyOf(chain)} ${chain["name"]}`;
  const { hook, type, prio, policy, family, dev } = chain;
  return {
    name,
    family: family as Chain["family"],
    ...(HOOKS.includes(String(hook))
      ? {
          hook: {
            hook: hook as Hook,
            type: type === "nat" || type === "route" ? type : "filter",
            priority: Number(prio ?? 0),
            ...(dev === undefined ? {} : { devices: (Array.isArray(dev) ? dev : [dev]).map(String) }),
          },
        }
      : {}),
    policy: policy === "drop" ? "drop" : "accept",
    rules: rules.get(name) ?? [],
    ...(marking.has(name) ? { setsMarks: true } : {}),
  };
}

function setsMark({ mangle, xt }: Json): boolean {
  const key = isObject(mangle) ? mangle["key"] : undefined;
  const meta = isObject(key) ? key["meta"] : undefined;
  return (
    (isObject(meta) && meta["key"] === "mark") || (isObject(xt) && MARKING_TARGETS.has(String(xt["name"])))
  );
}

type Sets = (name: string) => readonly unknown[] | undefined;

/** A rule with a verdict map is one rule per element. */
function readRules(rule: Json, sets: Sets): readonly Rule[] {
  const conditions: Condition[] = [];
  const read: Rule[] = [];
  const text = textOf(rule);
  for (const statement of listOf(rule["expr"]).filter(isObject)) {
    const [kind = ""] = Object.keys(statement);
    const body = statement[kind];
    const verdict = verdictOf(kind, body, rule);
    if (verdict !== undefined) read.push({ conditions: [...conditions], verdict, text });
    else if (kind === "vmap" && isObject(body))
      for (const one of mappedRules(body, conditions, rule, sets)) read.push({ ...one, text });
    else conditions.push(...conditionsOf(kind, body, sets));
  }
  return read;
}

/** Of rules that iptables made (iptables-nft) and that nft cannot put into words of its own. */
const XT_TARGETS: Readonly<Record<string, Verdict>> = {
  REJECT: { kind: "drop" },
  MASQUERADE: { kind: "translateSource" },
  SNAT: { kind: "translateSource" },
  NETMAP: { kind: "translateSource" },
  DNAT: { kind: "translateDestination" },
  REDIRECT: { kind: "translateDestination" },
};

function verdictOf(kind: string, body: unknown, rule: Json): Verdict | undefined {
  switch (kind) {
    case "xt":
      return isObject(body) && body["type"] === "target" ? xtVerdict(String(body["name"])) : undefined;
    case "queue":
    case "synproxy":
    case "tproxy":
      return { kind: "unknown" };
    case "accept":
    case "drop":
    case "return":
      return { kind };
    case "reject":
      return { kind: "drop" };
    case "masquerade":
    case "snat":
      return { kind: "translateSource" };
    case "dnat":
    case "redirect":
      return { kind: "translateDestination" };
    case "jump":
    case "goto":
      return { kind, chain: `${keyOf(rule)} ${isObject(body) ? body["target"] : ""}` };
    case "flow":
      return { kind, table: isObject(body) ? String(body["flowtable"] ?? "").replace(/^@/, "") : "" };
    default:
      return undefined;
  }
}

function xtVerdict(name: string): Verdict | undefined {
  return XT_TARGETS[name] ?? (PASSIVE_TARGETS.has(name) ? undefined : { kind: "unknown" });
}

/** The elements stand in the rule, or in a map that it names. */
function mappedRules(
  body: Json,
  conditions: readonly Condition[],
  rule: Json,
  sets: Sets,
): readonly Pick<Rule, "conditions" | "verdict">[] {
  const { data } = body;
  const named = typeof data === "string" ? sets(data.replace(/^@/, "")) : undefined;
  if (!isObject(data) && named === undefined) return [{ conditions, verdict: { kind: "unknown" } }];
  const elements = isObject(data) ? listOf(data["set"]) : named!;
  return elements.flatMap((element) => {
    const [key, target] = Array.isArray(element) ? element : [];
    if (!isObject(target) || "continue" in target) return [];
    const [kind = ""] = Object.keys(target);
    const verdict = verdictOf(kind, target[kind], rule) ?? ({ kind: "unknown" } as const);
    const value = isObject(key) && isObject(key["elem"]) ? key["elem"]["val"] : key;
    return [{ conditions: [...conditions, conditionOf(body["key"], "==", value)], verdict }];
  });
}

/** Statements that only watch or change the packet without deciding. */
const PASSIVE: readonly string[] = ["counter", "log", "comment", "mangle", "notrack", "ct helper"];

function conditionsOf(kind: string, body: unknown, sets: Sets): readonly Condition[] {
  if (PASSIVE.includes(kind)) return [];
  if (kind === "xt" && isObject(body) && (body["type"] === "target" || body["name"] === "comment")) return [];
  // A quota that is not used up, too; those with names stand elsewhere.
  if ((kind === "limit" || kind === "quota") && isObject(body))
    return [{ field: "rate", isNegated: body["inv"] === true, values: [] }];
  if (kind !== "match" || !isObject(body)) return [UNKNOWN];
  const { left, op, right } = body;
  const named = typeof right === "string" && right.startsWith("@") ? sets(right.slice(1)) : undefined;
  const implied = familyOfPayload(left);
  return [
    ...(implied === undefined ? [] : [implied]),
    conditionOf(left, String(op), named === undefined ? right : { set: named }),
  ];
}

const UNKNOWN: Condition = { field: "unknown", isNegated: false, values: [] };

/** `ip saddr` is of IPv4 alone, `udp dport` of UDP. */
function familyOfPayload(left: unknown): Condition | undefined {
  const payload = isObject(left) && isObject(left["payload"]) ? left["payload"]["protocol"] : undefined;
  if (payload === "ip" || payload === "ip6")
    return { field: "family", isNegated: false, values: [{ kind: "name", name: payload }] };
  if (payload === "udp" || payload === "tcp")
    return { field: "protocol", isNegated: false, values: [{ kind: "name", name: payload }] };
  return undefined;
}

function conditionOf(left: unknown, op: string, right: unknown): Condition {
  const { field, mask } = fieldOf(left);
  const values = field === undefined ? undefined : valuesOf(field, right);
  if (field === undefined || values === undefined || !["==", "!=", "in"].includes(op)) return UNKNOWN;
  const isPrefixOfBits = field === "mark" && isObject(right) && isObject(right["prefix"]);
  if (isPrefixOfBits) return markPrefix(right["prefix"] as Json, op);
  return { field, isNegated: op === "!=", values, ...(mask === undefined ? {} : { mask }) };
}

/** `meta mark & 0xff000000 == 0x54000000` is shown as a prefix. */
function markPrefix({ addr, len }: Json, op: string): Condition {
  const mask = (0xffffffff << (32 - Number(len))) >>> 0;
  const value: Value = { kind: "numbers", from: Number(addr), to: Number(addr) };
  return { field: "mark", isNegated: op === "!=", values: [value], mask };
}

const META_FIELDS: Readonly<Record<string, Field>> = {
  iif: "iif",
  iifname: "iif",
  oif: "oif",
  oifname: "oif",
  l4proto: "protocol",
  mark: "mark",
  nfproto: "family",
  protocol: "family",
};
const PAYLOAD_FIELDS: Readonly<Record<string, Field>> = {
  "ip saddr": "source",
  "ip daddr": "destination",
  "ip protocol": "protocol",
  "ip6 saddr": "source",
  "ip6 daddr": "destination",
  "ip6 nexthdr": "protocol",
  "udp sport": "sourcePort",
  "udp dport": "destinationPort",
  "tcp sport": "sourcePort",
  "tcp dport": "destinationPort",
  "th sport": "sourcePort",
  "th dport": "destinationPort",
};

function fieldOf(left: unknown): { readonly field?: Field; readonly mask?: number } {
  if (!isObject(left)) return {};
  const { meta, payload, ct } = left;
  if (isObject(meta)) return known(META_FIELDS[String(meta["key"])]);
  if (isObject(payload)) return known(PAYLOAD_FIELDS[`${payload["protocol"]} ${payload["field"]}`]);
  if (isObject(ct) && ct["key"] === "state") return { field: "state" };
  const masked = left["&"];
  if (Array.isArray(masked) && typeof masked[1] === "number") {
    const inner = fieldOf(masked[0]);
    return inner.field === "mark" ? { field: "mark", mask: masked[1] >>> 0 } : {};
  }
  return {};
}

function known(field: Field | undefined): { readonly field?: Field } {
  return field === undefined ? {} : { field };
}

/** `undefined` where one of them is not understood. */
function valuesOf(field: Field, right: unknown): readonly Value[] | undefined {
  const set = isObject(right) ? right["set"] : undefined;
  const list = Array.isArray(set) ? set : Array.isArray(right) ? right : [right];
  const values = list.map((one) =>
    valueFrom(field, isObject(one) && isObject(one["elem"]) ? one["elem"]["val"] : one),
  );
  return values.includes(undefined) ? undefined : (values as Value[]);
}

/** As nft shows them where it knows no name. */
const PROTOCOL_NAMES: ReadonlyMap<number, string> = new Map([
  [6, "tcp"],
  [17, "udp"],
  [50, "esp"],
  [51, "ah"],
]);
const FAMILY_NAMES: Readonly<Record<string, string>> = { ipv4: "ip", ipv6: "ip6" };

function valueFrom(field: Field, value: unknown): Value | undefined {
  if (field === "source" || field === "destination") {
    const range = rangeOf(value);
    return range === undefined ? undefined : { kind: "addresses", range };
  }
  if (field === "protocol" && typeof value === "number")
    return { kind: "name", name: PROTOCOL_NAMES.get(value) ?? String(value) };
  if (typeof value === "string") return { kind: "name", name: FAMILY_NAMES[value] ?? value };
  if (typeof value === "number") return { kind: "numbers", from: value, to: value };
  const [from, to] = isObject(value) ? listOf(value["range"]) : [];
  if (typeof from === "number" && typeof to === "number") return { kind: "numbers", from, to };
  return isObject(value) && isObject(value["prefix"]) && field === "mark"
    ? { kind: "numbers", from: 0, to: 0 }
    : undefined;
}

function rangeOf(value: unknown): AddressRange | undefined {
  if (typeof value === "string") {
    const address = parseIpAddress(value);
    return address === undefined ? undefined : { start: address, end: address };
  }
  if (!isObject(value)) return undefined;
  if (isObject(value["prefix"])) {
    const address = parseIpAddress(String(value["prefix"]["addr"]));
    return address === undefined ? undefined : prefixRange({ address, bits: Number(value["prefix"]["len"]) });
  }
  const [from, to] = listOf(value["range"]).map((one) => parseIpAddress(String(one)));
  return from === undefined || to === undefined ? undefined : { start: from, end: to };
}

/** The rule as far as words go; its handle finds it with `nft -a list ruleset`. */
function textOf(rule: Json): string {
  const comment = typeof rule["comment"] === "string" ? ` "${rule["comment"]}"` : "";
  return `rule ${rule["handle"]}${comment}`;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
