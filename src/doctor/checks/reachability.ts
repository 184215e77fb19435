/** Whether peers answer on the ports of IKE and of NAT traversal, and what ICMP says where they do not. */
import { formatIpAddress, type IpAddress } from "../../base/ip-address.ts";
import { isAnswer, type Outcome } from "../../ike/probe/reach.ts";
import { whoseWord } from "../../ike/unreachable.ts";
import { unreachableText } from "../../observe/unreachable-words.ts";
import type { AskedPeer, Facts } from "../facts.ts";
import { type Finding, given, notChecked, ok, problem } from "../finding.ts";

export function checkReachability({
  asked,
  peersLeftOut,
}: Pick<Facts, "asked" | "peersLeftOut">): readonly Finding[] {
  return given(asked, (peers) => {
    if (peers.length === 0)
      return [notChecked("no peer has an address to ask; those who call us are seen by tungate status")];
    const rest = peersLeftOut === 0 ? [] : [notChecked(`${peersLeftOut} more peers were not asked`)];
    return [...peers.flatMap(peerFindings), ...rest];
  });
}

function peerFindings({ connection, remote, reach }: AskedPeer): readonly Finding[] {
  const who = `${connection}: ${formatIpAddress(remote.address)}`;
  if ("unknown" in reach)
    return [
      problem(
        `${who} cannot be asked: ${reach.unknown}`,
        "see the checks of routes and of the packet filter",
      ),
    ];
  const { ike, nat, local } = reach.value;
  if (isAnswer(ike) && isAnswer(nat)) return [ok(`${who} answers on UDP ports ${remote.port} and 4500`)];
  if (isAnswer(ike))
    return [
      problem(
        `${who} answers on UDP port ${remote.port}, but not on 4500${hint(nat, local.address)}`,
        "open UDP port 4500 there and on the way, in both directions: NAT traversal and ESP in UDP use it",
      ),
    ];
  if (isAnswer(nat))
    return [
      problem(
        `${who} answers on UDP port 4500, but not on ${remote.port}${hint(ike, local.address)}`,
        `open UDP port ${remote.port} there and on the way, or write remote.port: 4500`,
      ),
    ];
  return [
    problem(
      `${who} does not answer on UDP ports ${remote.port} and 4500${hint(ike, local.address)}`,
      "is the address right, does IKEv2 run there, and does every firewall on the way let UDP 500 and 4500 pass both ways? docs/troubleshooting.md, nobody answers",
    ),
  ];
}

function hint(outcome: Outcome, local: IpAddress): string {
  const said = outcome?.kind === "silent" ? outcome.unreachable : undefined;
  return said === undefined
    ? ""
    : `; ${unreachableText(whoseWord(said, local))} (a hint, for such messages are easily forged)`;
}
