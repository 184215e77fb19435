/** Whether the packet filter lets IKE and ESP of the peers in, and ours out. */
import { formatIpAddress } from "../../base/ip-address.ts";
import type { Facts, PeerWay } from "../facts.ts";
import { type Finding, given, notChecked, orOk } from "../finding.ts";
import { type Fate, type FilteredPacket, fatesOf } from "../firewall/evaluate.ts";
import { type Hook, RECEIVED, type Ruleset, SENT } from "../firewall/ruleset.ts";
import { whereOf } from "../firewall/where.ts";

export function checkFilterInput({
  ruleset,
  routing,
  configuration,
}: Pick<Facts, "ruleset" | "routing" | "configuration">): readonly Finding[] {
  if (configuration === undefined) return [notChecked("the configuration cannot be used")];
  const { ports, routing: ours } = configuration.gateway;
  const mark = ours.mark.value;
  const callers = new Set(
    configuration.connections
      .filter(({ connection }) => connection.keep === "respond")
      .map(({ connection }) => connection.name),
  );
  return given(ruleset, (rules) =>
    given(routing, ({ peers }) => {
      const usable = peers.filter(
        ({ source, marked }) => source !== undefined && marked.device !== undefined,
      );
      if (usable.length === 0)
        return [notChecked("no peer has an address yet that rules could be tried with")];
      const findings = usable
        .slice(0, PEERS_MAX)
        .flatMap((peer) => peerFindings(rules, { ...peer, mark }, [ports.ike, ports.nat], callers));
      const left = usable.length - PEERS_MAX;
      const rest = left <= 0 ? [] : [notChecked(`rules were not tried with ${left} more peers`)];
      return [...orOk(distinct(findings), "the packet filter lets IKE and ESP in and out"), ...rest];
    }),
  );
}

/** Peers that rules are tried with: large sets and thousands of peers would take minutes. */
const PEERS_MAX = 64;

/** With the mark of our outer packets. */
type MarkedWay = PeerWay & { readonly mark: number };
type Judgement = Pick<Finding, "result"> & { readonly where: string; readonly kind: Fate["kind"] };

/** One finding for the ports that share a fate. */
function peerFindings(
  rules: Ruleset,
  peer: MarkedWay,
  ports: readonly number[],
  callers: ReadonlySet<string>,
): readonly Finding[] {
  const fates = new Map<
    string,
    { readonly judgement: Judgement & { isOut: boolean }; readonly ports: number[] }
  >();
  for (const port of ports) {
    const judgement = judge(rules, peer, port, callers);
    if (judgement === undefined) continue;
    const key = `${judgement.result} ${judgement.isOut} ${judgement.where}`;
    fates.set(key, { judgement, ports: [...(fates.get(key)?.ports ?? []), port] });
  }
  return [...fates.values()].map(({ judgement, ports: shared }) => wordsFor(judgement, peer, shared));
}

function judge(
  rules: Ruleset,
  peer: MarkedWay,
  port: number,
  callers: ReadonlySet<string>,
): (Judgement & { isOut: boolean }) | undefined {
  const out = lossOf(rules, SENT, { ...outbound(peer, port), state: "new" });
  const fate = (state: "new" | "established") => lossOf(rules, RECEIVED, { ...inbound(peer, port), state });
  const [answers, calls] = [fate("established"), fate("new")];
  const say = (result: Finding["result"], by: Fate, isOut = false) => ({
    ...{ result, isOut, kind: by.kind },
    where: whereOf(by),
  });
  if (out?.isSure === true) return say("problem", out, true);
  if (answers?.isSure === true) return say("problem", answers);
  if (calls?.isSure === true) return say(callers.has(peer.connection) ? "problem" : "warning", calls);
  const unsure = out ?? answers ?? calls;
  return unsure === undefined ? undefined : say("notChecked", unsure, unsure === out);
}

function wordsFor(
  { result, where, isOut, kind }: Judgement & { isOut: boolean },
  { address }: PeerWay,
  ports: readonly number[],
): Finding {
  const list = `UDP port${ports.length === 1 ? "" : "s"} ${ports.join(" and ")}`;
  const who = formatIpAddress(address);
  if (result === "notChecked")
    return notChecked(
      `whether ${list} of ${who} passes depends on a condition that doctor does not read, in ${where}`,
    );
  const what = isOut
    ? `${where} lets nothing out to ${list} of ${who}`
    : `${where} ${kind === "drop" ? "drops" : "leads elsewhere"} what comes to ${list} from ${who}`;
  const only =
    result === "warning"
      ? ", unless we have called: the peer cannot call, and does not reach us when the filter has forgotten our call"
      : "";
  const advice = `accept udp dport { ${ports.join(", ")} } and protocol esp in that chain`;
  return { result, text: `${what}${only}`, advice };
}

function inbound({ address, source, marked }: PeerWay, port: number) {
  return {
    source: address,
    destination: source!,
    protocol: "udp" as const,
    sourcePort: port,
    destinationPort: port,
    iif: marked.device!,
  };
}

function outbound({ address, source, marked, mark }: MarkedWay, port: number) {
  return {
    mark,
    source: source!,
    destination: address,
    protocol: "udp" as const,
    sourcePort: port,
    destinationPort: port,
    oif: marked.device!,
  };
}

function lossOf(rules: Ruleset, hooks: readonly Hook[], packet: FilteredPacket): Fate | undefined {
  const fates = hooks
    .flatMap((hook) => fatesOf(rules, hook, packet))
    .filter(({ kind }) => kind === "drop" || kind === "translateDestination");
  return fates.find(({ isSure }) => isSure) ?? fates[0];
}

function distinct(findings: readonly Finding[]): readonly Finding[] {
  return [...new Map(findings.map((one) => [one.text, one])).values()];
}
