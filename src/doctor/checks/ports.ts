/** Who has the UDP ports of IKE: this gateway, nobody, or another IPsec daemon. */
import type { Facts, PortHolder } from "../facts.ts";
import { type Finding, given, notChecked, ok, orOk, problem, warning } from "../finding.ts";

export function checkPorts({ ports, daemon }: Pick<Facts, "ports" | "daemon">): readonly Finding[] {
  return given(ports, (holders) => {
    if (daemon.kind === "unusable")
      return [notChecked("whose the ports of IKE are can be said once the gateway answers")];
    const own = daemon.kind === "running" && "value" in daemon.process ? daemon.process.value.pid : undefined;
    if (daemon.kind === "running" && own === undefined)
      return [ok("the running gateway could open its ports")];
    // The service manager keeps our sockets besides.
    const isOurs = ({ pids }: PortHolder) => own !== undefined && pids.includes(own);
    const others = holders.filter((one) => !isOurs(one));
    if (own !== undefined && !holders.some(isOurs))
      return [
        notChecked(
          "the running gateway has none of the configured ports here: does it run in another network namespace, or before a change of gateway.ports?",
        ),
      ];
    const byWho = new Map<string, Set<number>>();
    for (const { who = "a process that doctor cannot see", port } of others)
      byWho.set(who, (byWho.get(who) ?? new Set()).add(port));
    const findings = [...byWho].map(([who, taken]): Finding => {
      const list = `UDP port${taken.size === 1 ? "" : "s"} ${[...taken].join(" and ")}`;
      const advice =
        "stop it (often strongSwan or Libreswan: systemctl disable --now strongswan ipsec), or change gateway.ports";
      return own === undefined
        ? problem(`${who} has ${list}, which the gateway needs`, advice)
        : warning(
            `${who} has ${list} too, on another address`,
            "see that gateway.listen and that program share no address",
          );
    });
    return orOk(
      findings,
      own === undefined ? "nobody has the ports of IKE" : "the gateway alone has its ports",
    );
  });
}
