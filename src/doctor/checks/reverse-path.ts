/** rp_filter: packets whose sender is routed elsewhere than they come from are dropped without a word (RFC 3704). */
import { familyOf, formatIpAddress } from "../../base/ip-address.ts";
import type { Facts } from "../facts.ts";
import { type Finding, given, notChecked, ok, orOk, problem } from "../finding.ts";

const STRICT = 1;

export function checkReversePath({
  machine,
  routing,
  daemon,
}: Pick<Facts, "machine" | "routing" | "daemon">): readonly Finding[] {
  if (machine.reversePaths.length === 0)
    return [notChecked("no device of a tunnel or towards a peer has a reverse path filter that can be read")];
  const strict = new Set(
    machine.reversePaths.filter(({ mode }) => mode === STRICT).map(({ device }) => device),
  );
  if (strict.size === 0) return [ok("no device of ours or towards a peer checks reverse paths strictly")];
  return given(routing, ({ prefixes, peers }) => {
    // Routes into tunnels are there while the gateway runs.
    const tunnels = (daemon.kind === "notRunning" ? [] : prefixes)
      .filter(({ device, found }) => strict.has(device) && familyOf(found.address) === 4)
      .filter(({ device, found }) => found.device !== device)
      .map(({ device, found }) =>
        finding(device, `packets from ${formatIpAddress(found.address)} that come out of the tunnel`),
      );
    const outer = peers
      .filter(({ address }) => familyOf(address) === 4)
      .filter(({ marked, unmarked }) => strict.has(marked.device ?? "") && unmarked.device !== marked.device)
      .map(({ address, marked }) =>
        finding(
          marked.device!,
          `packets of the peer ${formatIpAddress(address)}, whose address is routed elsewhere without our mark,`,
        ),
      );
    return orOk(
      [...tunnels, ...outer],
      `reverse paths are checked strictly on ${[...strict].join(", ")}, and packets come from where their senders are routed`,
    );
  });
}

function finding(device: string, what: string): Finding {
  return problem(
    `rp_filter on ${device} drops ${what}`,
    `sysctl -w net.ipv4.conf.${device.replaceAll(".", "/")}.rp_filter=2`,
  );
}
