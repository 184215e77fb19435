/** NAT rules that rewrite what belongs into a tunnel, or lead IKE elsewhere. */
import { formatIpAddress } from "../../base/ip-address.ts";
import type { Configuration } from "../../config/configuration.ts";
import type { HostNetwork } from "../../io/netlink.ts";
import type { Facts } from "../facts.ts";
import { type Finding, given, notChecked, orOk, problem, warning } from "../finding.ts";
import { fatesOf } from "../firewall/evaluate.ts";
import { FIRST_FLOWS, protectedFlows } from "../firewall/flows.ts";
import type { Ruleset } from "../firewall/ruleset.ts";
import { whereOf } from "../firewall/where.ts";

export function checkTranslation({
  ruleset,
  configuration,
  network,
}: Pick<Facts, "ruleset" | "configuration" | "network">): readonly Finding[] {
  if (configuration === undefined) return [notChecked("the configuration cannot be used")];
  return given(network, (host) => given(ruleset, (rules) => translations(rules, configuration, host)));
}

function translations(rules: Ruleset, configuration: Configuration, host: HostNetwork): readonly Finding[] {
  const { flows, isAll } = protectedFlows(configuration, host);
  const findings = flows.flatMap(({ policy, device, local, remote, lan }): Finding[] => {
    const packet = {
      source: local,
      destination: remote,
      protocol: "tcp",
      sourcePort: 40_000,
      destinationPort: 443,
      ...(lan === undefined ? {} : { iif: lan }),
      oif: device,
      state: "new",
    } as const;
    const fate = fatesOf(rules, "postrouting", packet).find(({ kind }) => kind === "translateSource");
    if (fate === undefined) return [];
    const flow = `${formatIpAddress(local)} to ${formatIpAddress(remote)}`;
    const advice = `leave the tunnel out: oifname != "${device}" in that rule (iptables: ! -o ${device}), or accept it before`;
    return fate.isSure
      ? [
          problem(
            `${policy}: ${whereOf(fate)} gives packets from ${flow} another source before the tunnel, which its selectors then do not cover`,
            advice,
          ),
        ]
      : [
          warning(
            `${policy}: ${whereOf(fate)} may give packets from ${flow} another source before the tunnel`,
            advice,
          ),
        ];
  });
  return orOk(findings, `no NAT rule rewrites what belongs into a tunnel${isAll ? "" : FIRST_FLOWS}`);
}
