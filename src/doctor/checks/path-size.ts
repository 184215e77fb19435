/** Which sizes of packets reach the peers: whole ones as large as the first link carries, and fragments. */
import { formatIpAddress } from "../../base/ip-address.ts";
import { isAnswer } from "../../ike/probe/reach.ts";
import type { AskedPeer, Facts } from "../facts.ts";
import { type Finding, given, notChecked, ok, warning } from "../finding.ts";

export function checkPathSize({ asked }: Pick<Facts, "asked">): readonly Finding[] {
  return given(asked, (peers) => {
    const answering = peers.filter(({ reach }) => "value" in reach && reach.value.whole !== undefined);
    if (answering.length === 0) return [notChecked("no peer answers, so no size can be tried")];
    return answering.flatMap(peerFindings);
  });
}

function peerFindings({ connection, remote, reach }: AskedPeer): readonly Finding[] {
  if (!("value" in reach)) return [];
  const { whole, fragments } = reach.value;
  if (whole === undefined || fragments === undefined) return [];
  const who = `${connection}: ${formatIpAddress(remote.address)}`;
  const isWhole = isAnswer(whole.reply);
  const isCut = isAnswer(fragments.reply);
  if (isWhole && isCut)
    return [ok(`${who} gets packets of ${whole.packetOctets} octets, and fragments of longer ones`)];
  if (isCut)
    return [
      ok(
        `${who} gets fragments, and no whole packet of ${whole.packetOctets} octets: the path is narrower than our link, which the gateway finds out by itself`,
      ),
    ];
  const narrow = isWhole ? "" : `, nor whole packets of ${whole.packetOctets} octets`;
  return [
    warning(
      `${who} does not get fragments (a message of ${fragments.packetOctets} octets is not answered)${narrow}`,
      "firewalls on the way drop them; the gateway sends IKE messages in small pieces (RFC 7383) and finds the path's size, so leave ike.fragmentation on and df at auto",
    ),
  ];
}
