/** Names of peers, and whether peers answer: the only part of doctor that sends anything. */
import { equal } from "../../base/bytes.ts";
import { familyOf, type IpAddress } from "../../base/ip-address.ts";
import type { Configuration } from "../../config/configuration.ts";
import { peersOf } from "../../gateway/routed-children.ts";
import { interviewReach } from "../../ike/probe/reach.ts";
import { createNameResolver } from "../../io/dns.ts";
import { holdInterview } from "../../io/interview-socket.ts";
import type { HostNetwork } from "../../io/netlink.ts";
import type { AskedPeer, NameAnswer, PeerWay } from "../facts.ts";
import { known, unknown } from "../finding.ts";
import type { PeerAddress } from "./routing.ts";

/** Names that are looked up, and peers that are asked, so that doctor ends while somebody waits for it. */
const NAMES_MAX = 32;
const PEERS_MAX = 16;
/** Port of the NAT traversal of peers (RFC 7296 section 2.23). */
const NAT_PORT = 4500;
const ETHERNET_MTU = 1500;

export interface ResolvedPeers {
  readonly names: readonly NameAnswer[];
  readonly namesLeftOut: number;
  readonly addresses: readonly (PeerAddress & { readonly port: number; readonly from?: IpAddress })[];
}

/** Addresses that a connection calls: as numbers, or behind names. */
export async function resolvePeers({ connections }: Configuration): Promise<ResolvedPeers> {
  const resolve = createNameResolver();
  const all = [...new Set(connections.flatMap(({ remoteNames }) => remoteNames))];
  const wanted = all.slice(0, NAMES_MAX);
  const answers = new Map(
    await Promise.all(wanted.map(async (name) => [name, await resolve(name)] as const)),
  );
  const addresses = connections.flatMap(({ connection, remoteNames }) => {
    const behind = remoteNames.flatMap((name) => {
      const answer = answers.get(name);
      return answer?.kind === "addresses" ? answer.addresses : [];
    });
    const from = connection.local.address;
    return [...peersOf(connection), ...behind].map((address) => ({
      connection: connection.name,
      address,
      port: connection.remote.port,
      ...(from === undefined || familyOf(from) !== familyOf(address) ? {} : { from }),
    }));
  });
  return {
    namesLeftOut: all.length - wanted.length,
    names: [...answers].map(([name, answer]) =>
      answer.kind === "failed" ? { name, failure: answer.reason } : { name },
    ),
    addresses,
  };
}

export async function askPeers(
  configuration: Configuration,
  { addresses }: ResolvedPeers,
  network: HostNetwork | undefined,
  ways: readonly PeerWay[],
): Promise<readonly AskedPeer[]> {
  const { listen, routing } = configuration.gateway;
  return Promise.all(
    distinctPeers(addresses)
      .slice(0, PEERS_MAX)
      .map(async (peer) => {
        const { connection, address, port } = peer;
        const from = peer.from ?? listen.find((one) => familyOf(one) === familyOf(address));
        const way = ways.find((one) => equal(one.address, address));
        const linkMtu = mtuBehind(network, from ?? way?.source);
        const remote = { address, port };
        const base = { connection, remote };
        try {
          const held = await holdInterview({
            interview: interviewReach({ linkMtu }),
            remote,
            natPort: NAT_PORT,
            mark: routing.mark.value,
            ...(from === undefined ? {} : { from }),
          });
          return { ...base, reach: known({ ...held.value, local: held.local }) };
        } catch (error) {
          return { ...base, reach: unknown(error instanceof Error ? error.message : String(error)) };
        }
      }),
  );
}

export function peersLeftOut({ addresses }: ResolvedPeers): number {
  return Math.max(0, distinctPeers(addresses).length - PEERS_MAX);
}

function distinctPeers(addresses: ResolvedPeers["addresses"]): ResolvedPeers["addresses"] {
  return [...new Map(addresses.map((one) => [`${one.address.join()} ${one.port}`, one])).values()];
}

/** Of the link that has our address. */
function mtuBehind(network: HostNetwork | undefined, from: IpAddress | undefined): number {
  const own = network?.addresses.find(({ address }) => address.join() === from?.join());
  const link = network?.links.find(({ index }) => index === own?.link);
  return Math.min(link?.mtu ?? ETHERNET_MTU, ETHERNET_MTU);
}
