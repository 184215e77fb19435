/** Reads what iptables-legacy-save prints (iptables(8), iptables-extensions(8)). What is not understood becomes an unknown condition. */
import { parsePrefix, prefixRange } from "../../base/address-range.ts";
import { parseIpAddress } from "../../base/ip-address.ts";
import type { Chain, Condition, Field, Hook, Rule, Value, Verdict } from "./ruleset.ts";

const HOOKS: Readonly<Record<string, Hook>> = {
  PREROUTING: "prerouting",
  INPUT: "input",
  FORWARD: "forward",
  OUTPUT: "output",
  POSTROUTING: "postrouting",
};
/** NF_IP_PRI_*: the order of tables on a hook. */
const PRIORITIES: Readonly<Record<string, number>> = { raw: -300, mangle: -150, filter: 0, security: 50 };

/** @param program - in front of the names of chains, which a host with both kinds of iptables has twice */
export function readIptablesSave(
  text: string,
  family: "ip" | "ip6",
  program: string = family === "ip" ? "iptables" : "ip6tables",
): readonly Chain[] {
  const chains = new Map<string, Chain & { readonly rules: Rule[]; setsMarks?: true }>();
  let table = "";
  for (const line of text.split("\n")) {
    if (line.startsWith("*")) table = line.slice(1).trim();
    const [, chain, policy] = /^:(\S+) (\S+)/.exec(line) ?? [];
    if (chain !== undefined) {
      const name = `${program} ${table} ${chain}`;
      chains.set(name, {
        ...hookOf(table, chain),
        name,
        family,
        policy: policy === "DROP" ? "drop" : "accept",
        rules: [],
      });
    }
    const words = /^-A /.test(line) ? wordsOf(line) : [];
    const target = chains.get(`${program} ${table} ${words[1]}`);
    if (words.length < 2 || target === undefined) continue;
    target.rules.push(readRule(words.slice(2), `${program} ${table}`, line));
    if (words.some((word, at) => words[at - 1] === "-j" && MARKING_TARGETS.has(word)))
      target.setsMarks = true;
  }
  return [...chains.values()];
}

function hookOf(table: string, chain: string): Pick<Chain, "hook"> {
  const hook = HOOKS[chain];
  if (hook === undefined) return {};
  const priority = PRIORITIES[table] ?? (hook === "prerouting" || hook === "output" ? -100 : 100);
  return { hook: { hook, type: table === "nat" ? "nat" : "filter", priority } };
}

function wordsOf(line: string): string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");
}

/** Targets that watch or change a packet, which then goes on (iptables-extensions(8)). */
export const PASSIVE_TARGETS: ReadonlySet<string> = new Set(
  (
    "AUDIT CHECKSUM CLASSIFY CONNMARK CONNSECMARK CT DSCP ECN HL HMARK IDLETIMER LED LOG MARK NFLOG NOTRACK RATEEST " +
    "SECMARK SET TCPMSS TCPOPTSTRIP TEE TOS TRACE TTL ULOG"
  ).split(" "),
);
/** Of these, what changes the packet's mark. */
export const MARKING_TARGETS: ReadonlySet<string> = new Set(["CONNMARK", "HMARK", "MARK"]);

function verdictOf(target: string, table: string): Verdict | undefined {
  switch (target) {
    case "ACCEPT":
      return { kind: "accept" };
    case "DROP":
    case "REJECT":
      return { kind: "drop" };
    case "RETURN":
      return { kind: "return" };
    case "MASQUERADE":
    case "SNAT":
    case "NETMAP":
      return { kind: "translateSource" };
    case "DNAT":
    case "REDIRECT":
      return { kind: "translateDestination" };
    case "FLOWOFFLOAD":
      return { kind: "flow", table: "FLOWOFFLOAD" };
    default:
      return PASSIVE_TARGETS.has(target) ? undefined : { kind: "jump", chain: `${table} ${target}` };
  }
}

const UNKNOWN: Condition = { field: "unknown", isNegated: false, values: [] };

/** Options that say nothing about packets. */
const IGNORED: readonly string[] = [
  "--comment",
  "--log-prefix",
  "--log-level",
  "--reject-with",
  "--to-source",
  "--to-destination",
  "--to-ports",
  "--set-xmark",
  "--set-mark",
  "--clamp-mss-to-pmtu",
  "--limit-burst",
];

function readRule(words: readonly string[], table: string, line: string): Rule {
  const conditions: Condition[] = [];
  let verdict: Verdict | undefined;
  let match = "";
  for (let at = 0; at < words.length; ) {
    const isNegated = words[at] === "!";
    if (isNegated) at++;
    const option = words[at++] ?? "";
    const value = /^-./.test(words[at] ?? "-j") || words[at] === "!" ? "" : words[at]!;
    while (at < words.length && !/^(-.|!$)/.test(words[at]!)) at++;
    if (option === "-j" || option === "-g") {
      const target = verdictOf(value, table);
      verdict = option === "-g" && target?.kind === "jump" ? { ...target, kind: "goto" } : target;
    } else if (option === "-m") {
      match = value;
    } else if (option === "--mark" && match !== "mark") {
      // Of a connection, not of the packet.
      conditions.push(UNKNOWN);
    } else if (!IGNORED.includes(option)) {
      conditions.push(conditionOf(option, value, isNegated));
    }
  }
  return { conditions, ...(verdict === undefined ? {} : { verdict }), text: line.trim() };
}

const FIELDS: Readonly<Record<string, Field>> = {
  "-i": "iif",
  "-o": "oif",
  "-s": "source",
  "-d": "destination",
  "-p": "protocol",
  "--sport": "sourcePort",
  "--sports": "sourcePort",
  "--dport": "destinationPort",
  "--dports": "destinationPort",
  "--ctstate": "state",
  "--state": "state",
  "--mark": "mark",
  "--limit": "rate",
};

function conditionOf(option: string, text: string, isNegated: boolean): Condition {
  const field = FIELDS[option];
  if (field === undefined) return UNKNOWN;
  if (field === "rate") return { field, isNegated, values: [] };
  const [plain = "", mask] = field === "mark" ? text.split("/") : [text];
  const values = plain.split(",").map((one) => valueFrom(field, one));
  if (values.includes(undefined)) return UNKNOWN;
  return {
    field,
    isNegated,
    values: values as Value[],
    ...(mask === undefined ? {} : { mask: Number(mask) }),
  };
}

function valueFrom(field: Field, text: string): Value | undefined {
  switch (field) {
    case "source":
    case "destination": {
      const address = parseIpAddress(text);
      if (address !== undefined) return { kind: "addresses", range: { start: address, end: address } };
      const prefix = parsePrefix(text);
      return prefix === undefined ? undefined : { kind: "addresses", range: prefixRange(prefix) };
    }
    case "sourcePort":
    case "destinationPort":
    case "mark": {
      const [from = "", to = from] = text.split(":");
      const numbers = { kind: "numbers", from: Number(from), to: Number(to) } as const;
      return Number.isNaN(numbers.from + numbers.to) ? undefined : numbers;
    }
    case "iif":
    case "oif":
      return { kind: "name", name: text.replace(/\+$/, "*") };
    case "protocol":
      return { kind: "name", name: PROTOCOLS[text] ?? text };
    default:
      return { kind: "name", name: text.toLowerCase() };
  }
}

const PROTOCOLS: Readonly<Record<string, string>> = {
  "6": "tcp",
  "17": "udp",
  "50": "esp",
  "51": "ah",
  all: "all",
};
