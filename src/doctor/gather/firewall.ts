/** The packet filter's rules: nftables, and the older tables of iptables beside it. */
import { existsSync, readFileSync } from "node:fs";
import { type Known, known, unknown } from "../finding.ts";
import { readIptablesSave } from "../firewall/iptables-save.ts";
import { iptablesTables, readNftRuleset } from "../firewall/nft-json.ts";
import type { Chain, Ruleset } from "../firewall/ruleset.ts";
import { look } from "./run.ts";

/** @param ownTable - of our inbound filter */
export async function gatherRuleset(ownTable: string): Promise<Known<Ruleset>> {
  const [nft, ...legacy] = await Promise.all([
    look("nft", ["-j", "list", "ruleset"]),
    legacyChains("ip"),
    legacyChains("ip6"),
  ]);
  const missing = legacy.find((one) => "unknown" in one);
  if (missing !== undefined && "unknown" in missing) return missing;
  const older = legacy.flatMap((one) => ("value" in one ? one.value : []));
  if ("unknown" in nft) return unknown(`the rules of nftables cannot be read: ${nft.unknown}`);
  const ruleset = readNftRuleset(nft.value, ownTable);
  if (ruleset === undefined) return unknown("nft -j prints no JSON; this version is too old");
  const chains = new Map([...ruleset.chains, ...older.map((chain) => [chain.name, chain] as const)]);
  for (const table of iptablesTables(nft.value)) await retell(chains, table);
  return known({ ...ruleset, chains });
}

/** iptables-nft-save says what its own rules match, where nft does not; without it those conditions stay unknown. */
async function retell(chains: Map<string, Chain>, table: string): Promise<void> {
  const [family, name] = table.split(" ");
  if (family !== "ip" && family !== "ip6") return;
  const program = family === "ip" ? "iptables-nft-save" : "ip6tables-nft-save";
  const saved = await look(program, ["-t", name ?? ""]);
  if ("unknown" in saved) return;
  for (const key of [...chains.keys()]) if (key.startsWith(`${table} `)) chains.delete(key);
  for (const chain of readIptablesSave(saved.value, family)) chains.set(chain.name, chain);
}

async function legacyChains(family: "ip" | "ip6") {
  const names = `/proc/net/${family}_tables_names`;
  // The file is there and holds names only where somebody uses the older tables.
  if (!existsSync(names)) return known([]);
  try {
    if (readFileSync(names, "latin1").trim() === "") return known([]);
  } catch {
    return unknown(`${names} cannot be read; run doctor as root`);
  }
  const program = family === "ip" ? "iptables-legacy" : "ip6tables-legacy";
  const saved = await look(`${program}-save`, []);
  return "value" in saved
    ? known(readIptablesSave(saved.value, family, program))
    : unknown(`there are rules of the older iptables, and ${saved.unknown}`);
}
