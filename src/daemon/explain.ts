/** Takes the snapshot that `explain` decides over: policy, the kernel's routes, forwarding, SAs, and what was dropped. */
import { contains, prefixRange } from "../base/address-range.ts";
import { equal } from "../base/bytes.ts";
import type { Instant } from "../base/instant.ts";
import { familyOf, type IpAddress, parseIpAddress } from "../base/ip-address.ts";
import type { Spi } from "../base/spi.ts";
import type { ExplainAnswer, ExplainQuery } from "../control/explain-schema.ts";
import type { SaPairState } from "../dataplane/data-plane.ts";
import type { DropTrace } from "../dataplane/drop-record.ts";
import {
  type AskedPacket,
  type Explanation,
  explain,
  type ManualFact,
  type Orientation,
  orient,
  type RouteFact,
  type Way,
} from "../gateway/explain.ts";
import type { InterfaceSpd } from "../gateway/interface-spd.ts";
import type { ConnectionState } from "../ike/connection-state.ts";
import type { HostLink, HostNetwork, NetworkWatch, PacketRoute } from "../io/netlink.ts";
import { explainStepWords, fateWords, nextStepLines } from "../observe/explain-words.ts";
import { failureWords } from "../observe/failure-words.ts";
import { packetText } from "../observe/packet-words.ts";
import { parseProtocol } from "../policy/selector-text.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import { type SwitchBoard, sysctlName } from "./forwarding.ts";
import { innerMtu } from "./inner-mtu.ts";

/** What a running gateway knows. */
export interface ExplainSource {
  readonly now: Instant;
  readonly spds: readonly InterfaceSpd[];
  readonly states: readonly ConnectionState[];
  readonly pairs: readonly SaPairState[];
  readonly manual: readonly ManualFact[];
  readonly drops: readonly DropTrace[];
  readonly tuns: readonly string[];
  readonly watch: Pick<NetworkWatch, "snapshot" | "follow">;
  readonly switches: Pick<SwitchBoard, "read">;
}

export async function explainPacket(query: ExplainQuery, source: ExplainSource): Promise<ExplainAnswer> {
  const orientation = orient(askedPacket(query), source.spds);
  const { local, remote } = orientation.packet;
  const network = await source.watch.snapshot();
  const own = (address: IpAddress) => network.addresses.some((one) => equal(one.address, address));
  const isLocalOwn = own(local);
  const behind = isLocalOwn ? undefined : await linkTowards(local, network, source);
  const routeOut = await routeFact({ source: local, destination: remote }, behind, network, source);
  const device = network.links.find(({ name }) => name === orientation.device);
  const routeIn =
    device === undefined || orientation.entry?.action !== "protect"
      ? undefined
      : await routeFact({ source: remote, destination: local }, device, network, source);
  const explanation = explain({
    orientation,
    spds: source.spds,
    isLocalOwn,
    routeOut,
    ...(routeIn === undefined ? {} : { routeIn }),
    forwardingOff: isLocalOwn ? [] : forwardingOff(local, [behind?.name, device?.name], source.switches),
    states: source.states,
    manual: source.manual,
    innerMtu: (spi) => mtuOf(spi, source.pairs),
    drops: source.drops,
    now: source.now,
  });
  return answerOf(explanation, source.now);
}

function askedPacket({ source, destination, protocol, sourcePort, port }: ExplainQuery): AskedPacket {
  const number = protocol === undefined ? undefined : parseProtocol(protocol);
  const isIcmp = number === IpProtocol.ICMP || number === IpProtocol.ICMPV6;
  // ICMP's type and code stand for both ports (RFC 4301 section 4.4.1.1).
  const own = isIcmp && port !== undefined ? port * 256 : sourcePort;
  const other = isIcmp && port !== undefined ? port * 256 : port;
  return {
    source: parseIpAddress(source)!,
    destination: parseIpAddress(destination)!,
    ...(number === undefined ? {} : { protocol: number }),
    ...(own === undefined ? {} : { sourcePort: own }),
    ...(other === undefined ? {} : { destinationPort: other }),
  };
}

/** The link that packets of an address behind us arrive on: the one whose network it lies in, else where it is routed to. */
async function linkTowards(
  address: IpAddress,
  { addresses, links }: HostNetwork,
  { watch }: ExplainSource,
): Promise<HostLink | undefined> {
  const near = addresses.find((one) => contains(prefixRange(one), address));
  if (near !== undefined) return links.find(({ index }) => index === near.link);
  const self = addresses.find((one) => familyOf(one.address) === familyOf(address) && one.isUsable);
  if (self === undefined) return undefined;
  const route = await watch.follow({ source: self.address, destination: address });
  return route.kind === "link" ? links.find(({ index }) => index === route.link) : undefined;
}

async function routeFact(
  packet: { readonly source: IpAddress; readonly destination: IpAddress },
  arrivesOn: HostLink | undefined,
  { links }: HostNetwork,
  { watch, tuns, switches }: ExplainSource,
): Promise<RouteFact> {
  const route: PacketRoute = await watch.follow({
    ...packet,
    ...(arrivesOn === undefined ? {} : { arrivesOn: arrivesOn.index }),
  });
  if (route.kind === "refused" && arrivesOn !== undefined && tuns.includes(arrivesOn.name))
    return { kind: "refused", code: reversePathCode(route.code, arrivesOn.name, switches) };
  if (route.kind !== "link") return route;
  const name = links.find(({ index }) => index === route.link)?.name ?? `link ${route.link}`;
  const { gateway } = route;
  return { kind: "link", name, isTunnel: tuns.includes(name), ...(gateway === undefined ? {} : { gateway }) };
}

/** Kernels say EXDEV or EINVAL where the reverse path filter refuses; the latter has other reasons too. */
function reversePathCode(code: string, link: string, { read }: Pick<SwitchBoard, "read">): string {
  const isOn = [link, "all"].some((name) => read(`/proc/sys/net/ipv4/conf/${name}/rp_filter`) === true);
  return code === "EINVAL" && isOn ? "EXDEV" : code;
}

/** IPv6 is forwarded on no interface while the switch for all is off. */
function forwardingOff(
  local: IpAddress,
  links: readonly (string | undefined)[],
  { read }: Pick<SwitchBoard, "read">,
): readonly string[] {
  const names =
    familyOf(local) === 6
      ? ["net/ipv6/conf/all/forwarding"]
      : links.filter((name) => name !== undefined).map((name) => `net/ipv4/conf/${name}/forwarding`);
  return names.filter((name) => read(`/proc/sys/${name}`) === false).map(sysctlName);
}

function mtuOf(spi: Spi, pairs: readonly SaPairState[]): number | undefined {
  const pair = pairs.find(({ inboundSpi }) => inboundSpi === spi);
  return pair === undefined || pair.flow.aggfrag !== "off" ? undefined : innerMtu(pair).inner;
}

function answerOf({ orientation, out, in: back, next }: Explanation, now: Instant): ExplainAnswer {
  const ways = [
    wayOf("out", out, orientation, now),
    ...(back === undefined ? [] : [wayOf("in", back, orientation, now)]),
  ];
  return {
    ways: orientation.direction === "out" ? ways : ways.toReversed(),
    ...(next === undefined ? {} : { next: { code: next.kind, lines: [...nextStepLines(next)] } }),
  };
}

function wayOf(way: "out" | "in", { steps, fate }: Way, { packet }: Orientation, now: Instant) {
  return {
    way,
    packet: packetText(wayPacket(way, packet)),
    steps: steps.map((one) => {
      const { label, lines } = explainStepWords(one, now, failureWords);
      return { step: one.step, label, lines: [...lines] };
    }),
    fate,
    fateText: fateWords(fate),
  };
}

function wayPacket(way: "out" | "in", packet: Orientation["packet"]) {
  const { local, remote, protocol, localPort, remotePort } = packet;
  const [source, destination, sourcePort, destinationPort] =
    way === "out" ? [local, remote, localPort, remotePort] : [remote, local, remotePort, localPort];
  return {
    source,
    destination,
    ...(protocol === undefined ? {} : { protocol }),
    ...(sourcePort === undefined ? {} : { sourcePort }),
    ...(destinationPort === undefined ? {} : { destinationPort }),
  };
}
