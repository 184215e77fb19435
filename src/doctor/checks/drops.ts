/** Counted drops that tell of a mistake somewhere, rather than of the Internet's weather. */
import { dropWords } from "../../observe/drop-words.ts";
import type { Facts } from "../facts.ts";
import { type Finding, notChecked, orOk, problem, warning } from "../finding.ts";

const ADVICE: Readonly<Record<string, string>> = {
  policyBypass:
    "a route leads packets into the tunnel that policies bypass; bypasses are carried out by routes: see tungate routes, and ip rule",
  noPolicy:
    "a route leads more into the tunnel than the children name: see connections.*.routes, and the routes of others to the device",
  malformedPacket: "something else writes to the TUN device",
  sendFailed: "see the checks of routes and of the packet filter (output)",
  tunRefused: "see the checks of forwarding, reverse path and packet filter; is the device up?",
  selectorMismatch:
    "the peer sends networks through the SA that were not agreed on; compare the networks of both ends",
  notOurHosts: "in transport mode the peer sends for other hosts; use mode: tunnel",
};

export function checkDrops({ daemon, ruleset }: Pick<Facts, "daemon" | "ruleset">): readonly Finding[] {
  const clear = "value" in ruleset ? ruleset.value.clearPackets : 0;
  const findings: Finding[] =
    "value" in ruleset
      ? []
      : [
          notChecked(
            `whether packets arrive in clear from protected networks is counted by the packet filter: ${ruleset.unknown}`,
          ),
        ];
  if (clear > 0)
    findings.push(
      warning(
        `${clear} packets arrived in clear from protected networks and were dropped`,
        "does the peer send past its tunnel, does a local network use addresses of a remote one, or does somebody forge senders?",
      ),
    );
  if (daemon.kind !== "running")
    return [...findings, notChecked("drops are counted by a running gateway, and none answers")];
  const { drops } = daemon.status;
  if ((drops["loop"] ?? 0) > 0)
    findings.push(
      problem(
        `${drops["loop"]} packets of our own came back out of the TUN device`,
        "outer packets are routed into the tunnel: another rule changes or ignores our mark; see gateway.routing.mark",
      ),
    );
  for (const [reason, advice] of Object.entries(ADVICE))
    if ((drops[reason] ?? 0) > 0)
      findings.push(warning(`${drops[reason]} packets were dropped: ${dropWords(reason)}`, advice));
  return orOk(findings, "no drops tell of a mistake");
}
