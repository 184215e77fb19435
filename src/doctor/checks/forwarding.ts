/** Forwarding between the LANs and the TUN devices. */
import { settleForwarding } from "../../daemon/forwarding.ts";
import type { Facts } from "../facts.ts";
import { type Finding, given, ok, problem } from "../finding.ts";

export function checkForwarding({ switches }: Pick<Facts, "switches">): readonly Finding[] {
  return given(switches, (list) => {
    if (list.length === 0) return [ok("no LAN lies behind this host, so it need not forward")];
    const states = new Map(list.map(({ one, isOn }) => [one.path, isOn]));
    const board = { read: (path: string) => states.get(path), turnOn: () => false };
    const sentences = settleForwarding(
      "check",
      list.map(({ one }) => one),
      board,
    );
    if (sentences.length === 0) return [ok("LANs and tunnels are forwarded to each other")];
    return sentences.map((sentence) => {
      const at = sentence.indexOf(": ");
      return problem(sentence.slice(0, at), sentence.slice(at + 2));
    });
  });
}
