/** Where the kernel would send packets: into the tunnels, to the peers; and the rules that decide it. */
import { contains, type Prefix, parsePrefix, prefixRange } from "../../base/address-range.ts";
import { type IpAddress, nextIpAddress } from "../../base/ip-address.ts";
import type { Configuration } from "../../config/configuration.ts";
import { plannedRoutes } from "../../daemon/planned-routes.ts";
import type { HostNetwork, HostRoute, NetworkWatch } from "../../io/netlink.ts";
import type { IpRule, PeerWay, ProtectedPrefix, RoutingFacts } from "../facts.ts";
import { type Known, known, unknown } from "../finding.ts";
import { look } from "./run.ts";

/** Prefixes that are looked up; thousands would take seconds, and share their fate. */
const PREFIXES_MAX = 64;
/** Of `protocol` in routes and rules of scripts/tungate-routes. */
const OUR_PROTOCOL = "71";

export interface PeerAddress {
  readonly connection: string;
  readonly address: IpAddress;
}

export async function gatherRouting(
  configuration: Configuration,
  network: HostNetwork,
  watch: NetworkWatch,
  peers: readonly PeerAddress[],
): Promise<RoutingFacts> {
  const own = network.addresses.filter(({ isUsable }) => isUsable).map(({ address }) => address);
  const { lines } = plannedRoutes(configuration, own);
  const open = lines.flatMap((line) => parsePrefix(/^throw (\S+)/.exec(line)?.[1] ?? "") ?? []);
  const { value: mark } = configuration.gateway.routing.mark;
  const nameOf = (route: HostRoute | undefined) =>
    network.links.find(({ index }) => index === route?.link)?.name;
  const look = async (address: IpAddress, mark: number) => {
    const device = nameOf(await watch.routeTo(address, mark));
    return device === undefined ? { address } : { address, device };
  };
  const prefixes: ProtectedPrefix[] = [];
  let prefixesLeftOut = 0;
  for (const line of lines) {
    const [, text = "", device = ""] = /^protect (\S+) dev (\S+)/.exec(line) ?? [];
    const prefix = parsePrefix(text);
    const sample = prefix === undefined ? undefined : sampleOf(prefix, open, own);
    if (prefix === undefined || sample === undefined) continue;
    if (prefixes.length === PREFIXES_MAX) prefixesLeftOut++;
    else prefixes.push({ prefix, device, found: await look(sample, 0) });
  }
  const ways: PeerWay[] = [];
  for (const { connection, address } of peers) {
    const source = (await watch.routeTo(address, mark))?.source;
    ways.push({
      connection,
      address,
      marked: await look(address, mark),
      unmarked: await look(address, 0),
      ...(source === undefined ? {} : { source }),
    });
  }
  return { prefixes, prefixesLeftOut, peers: ways, rules: await gatherRules() };
}

/** An address in the prefix that is neither ours nor in a prefix that is left out of it. */
function sampleOf(prefix: Prefix, open: readonly Prefix[], own: readonly IpAddress[]): IpAddress | undefined {
  const { start, end } = prefixRange(prefix);
  const isInside = (address: IpAddress) => contains({ start, end }, address);
  // A shorter prefix that is left out holds this one, and says nothing of it.
  const cutOut = open.filter(({ bits, address }) => bits > prefix.bits && isInside(address)).map(prefixRange);
  const isFree = (address: IpAddress) =>
    !cutOut.some((range) => contains(range, address)) &&
    !own.some((one) => one.length === address.length && one.every((octet, i) => octet === address[i]));
  const candidates = [nextIpAddress(start), start, end].filter((one) => one !== undefined);
  return candidates.find((address) => isInside(address) && isFree(address));
}

async function gatherRules(): Promise<Known<readonly IpRule[]>> {
  const rules: IpRule[] = [];
  for (const family of [4, 6] as const) {
    const shown = await look("ip", [`-${family}`, "-j", "-N", "rule", "show"]);
    if ("unknown" in shown) {
      // A host without IPv6 has none of it.
      if (family === 6) continue;
      return unknown(shown.unknown);
    }
    const read = readRules(shown.value, family);
    if (read === undefined) return unknown("ip -j rule prints no JSON; this version of iproute2 is too old");
    rules.push(...read);
  }
  return known(rules);
}

type Json = Readonly<Record<string, unknown>>;

/** @returns `undefined` when it is no such document */
export function readRules(text: string, family: 4 | 6): readonly IpRule[] | undefined {
  try {
    const list: unknown = JSON.parse(text);
    if (!Array.isArray(list)) return undefined;
    return list.map((rule: Json) => ({
      family,
      priority: Number(rule["priority"]),
      text: ruleText(rule),
      ...(rule["table"] === undefined ? {} : { table: String(rule["table"]) }),
      isOurs: String(rule["protocol"]) === OUR_PROTOCOL,
    }));
  } catch {
    return undefined;
  }
}

const WORDS: readonly (readonly [key: string, word: string])[] = [
  ["iif", "iif"],
  ["oif", "oif"],
  ["ipproto", "ipproto"],
  ["sport", "sport"],
  ["sport_start", "sport from"],
  ["dport", "dport"],
  ["dport_start", "dport from"],
  ["table", "lookup"],
  ["goto", "goto"],
  ["action", ""],
];

/** As `ip -N` shows what has a name. */
const NUMBERS: ReadonlyMap<string, string> = new Map([
  ["table 253", "default"],
  ["table 254", "main"],
  ["table 255", "local"],
  ["action 6", "blackhole"],
  ["action 7", "unreachable"],
  ["action 8", "prohibit"],
  ["ipproto ipproto-1", "icmp"],
  ["ipproto ipproto-6", "tcp"],
  ["ipproto ipproto-17", "udp"],
  ["ipproto ipproto-50", "esp"],
]);

function ruleText(rule: Json): string {
  const side = (key: "src" | "dst", word: string) => {
    const value = rule[key];
    if (value === undefined || (key === "dst" && value === "all")) return [];
    return [word, rule[`${key}len`] === undefined ? String(value) : `${value}/${rule[`${key}len`]}`];
  };
  const mask = rule["fwmask"] === undefined ? "" : `/${rule["fwmask"]}`;
  return [
    ...("not" in rule ? ["not"] : []),
    ...side("src", "from"),
    ...side("dst", "to"),
    ...(rule["fwmark"] === undefined ? [] : ["fwmark", `${rule["fwmark"]}${mask}`]),
    ...WORDS.flatMap(([key, word]) =>
      rule[key] === undefined ? [] : [word, NUMBERS.get(`${key} ${rule[key]}`) ?? String(rule[key])],
    ),
  ]
    .filter((word) => word !== "")
    .join(" ");
}
