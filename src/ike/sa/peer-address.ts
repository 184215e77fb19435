/** Following a peer whose NAT gave it another address or port (RFC 7296 section 2.23). */
import type { UdpEndpoint } from "../../base/udp-endpoint.ts";
import { connectionsFor } from "../../policy/pad.ts";
import { about, command, notice, type Turn } from "../turn.ts";
import { encapsulationOf } from "./child-lifecycle.ts";
import type { EstablishedIkeSa } from "./ike-sa.ts";

/**
 * Moves an IKE SA and its children to where an authentic, fresh packet came from. Only the side that is not behind a NAT
 * does so, and only for a peer that may be behind one [NAT-07].
 */
export function follow(turn: Turn, sa: EstablishedIkeSa, local: UdpEndpoint, remote: UdpEndpoint): void {
  const { nat } = sa;
  if (!nat.isSupported || nat.weAreBehind || !nat.peerIsBehind) return;
  if (local.port !== turn.machine.ports.nat || local.address.length !== remote.address.length) return;
  // Whoever hands on packets of the peer from an address of his own is not to have ours.
  if (!mayMoveTo(turn, sa, { local, remote })) return;
  const from = sa.remote;
  sa.local = local;
  sa.remote = remote;
  if (sa.mobike !== undefined) sa.mobike.proven = { local, remote };
  moveSas(turn, sa);
  notice(turn, { code: "peerMoved", ...about(sa), from, to: remote });
}

/** Whether the peer might as well have called from and to these addresses: those of its connection hold for moves too. */
export function mayMoveTo(
  { machine }: Turn,
  sa: EstablishedIkeSa,
  { local, remote }: Pick<EstablishedIkeSa, "local" | "remote">,
): boolean {
  const connection = machine.connections.get(sa.connection);
  return connection !== undefined && connectionsFor([connection], local.address, remote.address).length > 0;
}

/** The child SAs of an IKE SA go to its addresses; keys and sequence numbers stay. */
export function moveSas(turn: Turn, sa: EstablishedIkeSa): void {
  const { local, remote } = sa;
  const encapsulation = encapsulationOf(turn, sa);
  for (const { inboundSpi } of [...sa.children, ...sa.lingering])
    command(turn, { kind: "moveSa", inboundSpi, local, remote, encapsulation });
  for (const child of sa.children) {
    child.encapsulation = encapsulation;
    if (child.deferred !== undefined)
      child.deferred = { ...child.deferred, sa: { ...child.deferred.sa, local, remote, encapsulation } };
  }
}
