/** Whether the packet filter forwards between LANs and tunnels, and keeps its hands off the flows. */
import type { Facts } from "../facts.ts";
import { type Finding, given, notChecked, ok, orOk, problem, warning } from "../finding.ts";
import { type Fate, type FilteredPacket, fatesOf } from "../firewall/evaluate.ts";
import { FIRST_FLOWS, type ProtectedFlow, protectedFlows } from "../firewall/flows.ts";
import { FORWARDED, type Ruleset } from "../firewall/ruleset.ts";
import { whereOf } from "../firewall/where.ts";

/** Chains that are named. */
const UNREAD_MAX = 8;

export function checkFilterForward({
  ruleset,
  configuration,
  network,
}: Pick<Facts, "ruleset" | "configuration" | "network">): readonly Finding[] {
  if (configuration === undefined) return [notChecked("the configuration cannot be used")];
  return given(network, (host) =>
    given(ruleset, (rules) => {
      const { flows, isAll } = protectedFlows(configuration, host);
      const forwarded = flows.filter(({ lan }) => lan !== undefined);
      if (forwarded.length === 0) return [ok("no LAN of a tunnel lies behind this host")];
      const unread =
        rules.unread.length === 0
          ? []
          : [
              notChecked(
                `rules of bridges and ARP are not read: ${rules.unread.slice(0, UNREAD_MAX).join(", ")}`,
              ),
            ];
      return [
        ...orOk(
          forwarded.flatMap((flow) => flowFindings(rules, flow)),
          `the packet filter forwards between LANs and tunnels${isAll ? "" : FIRST_FLOWS}`,
        ),
        ...unread,
      ];
    }),
  );
}

function flowFindings(rules: Ruleset, flow: ProtectedFlow): readonly Finding[] {
  const { policy, device, lan } = flow;
  const there = { ...packetOf(flow), iif: lan!, oif: device };
  const back = {
    ...packetOf({ ...flow, local: flow.remote, remote: flow.local }),
    iif: device,
    oif: lan!,
  };
  const loss = (packet: FilteredPacket) => dropOf(FORWARDED.flatMap((hook) => fatesOf(rules, hook, packet)));
  const [out, inward] = [loss({ ...there, state: "new" }), loss({ ...back, state: "new" })];
  const [sent, answers] = [loss({ ...there, state: "established" }), loss({ ...back, state: "established" })];
  const advice = `accept iifname "${lan}" oifname "${device}" and the other way round in that chain`;
  const isDead = out?.isSure === true && (inward?.isSure === true || answers?.isSure === true);
  if (isDead) return [problem(`${policy}: ${whereOf(out)} forwards nothing into the tunnel`, advice)];
  if (answers?.isSure === true)
    return [problem(`${policy}: ${whereOf(answers)} drops what comes out of the tunnel`, advice)];
  if (sent?.isSure === true)
    return [problem(`${policy}: ${whereOf(sent)} drops what goes into the tunnel`, advice)];
  const unsure = [out, inward].find((fate) => fate !== undefined && !fate.isSure);
  const flowtable = fatesOf(rules, "forward", { ...there, state: "established" }).find(
    ({ kind }) => kind === "flow",
  );
  return [
    ...(unsure === undefined
      ? []
      : [
          notChecked(
            `${policy}: whether it is forwarded depends on a condition that doctor does not read, in ${whereOf(unsure)}`,
          ),
        ]),
    ...(flowtable === undefined
      ? []
      : [
          warning(
            `${policy}: ${whereOf(flowtable)} hands its flows to a flowtable, which passes by the packet filter and, in hardware, by the tunnel`,
            `leave them out: add oifname != "${device}" iifname != "${device}" to that rule`,
          ),
        ]),
  ];
}

function packetOf({ local, remote }: ProtectedFlow) {
  return {
    source: local,
    destination: remote,
    protocol: "tcp" as const,
    sourcePort: 40_000,
    destinationPort: 443,
  };
}

function dropOf(fates: readonly Fate[]): Fate | undefined {
  const drops = fates.filter(({ kind }) => kind === "drop");
  return drops.find(({ isSure }) => isSure) ?? drops[0];
}
