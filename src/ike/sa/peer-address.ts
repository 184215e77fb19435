/** Following a peer whose NAT gave it another address or port (RFC 7296 section 2.23). */
import { sameEndpoint } from "../../base/udp-endpoint.ts";
import { connectionsFor } from "../../policy/pad.ts";
import type { Move } from "../connection-state.ts";
import { addKnown, dropKnown } from "../known-peers.ts";
import { about, command, notice, type Turn } from "../turn.ts";
import { encapsulationOf } from "./child-lifecycle.ts";
import type { EstablishedIkeSa } from "./ike-sa.ts";
import { disposeExchange } from "./message-exchange.ts";
import type { Ends } from "./mobike.ts";

/**
 * Moves an IKE SA and its children to where an authentic, fresh packet came from. Only the side that is not behind a NAT
 * does so, and only for a peer that may be behind one [NAT-07].
 */
export function follow(turn: Turn, sa: EstablishedIkeSa, ends: Ends): void {
  if (!mayFollow(turn, sa, ends)) return;
  const from = endsOf(sa);
  speakOver(turn, sa, ends);
  moveSas(turn, sa);
  notePeerMove(turn, sa, from);
}

export function endsOf({ local, remote }: Ends): Ends {
  return { local, remote };
}

/** What changed of the way between two ends: one thing, ours before the peer's. */
export function moveOf(from: Ends, to: Ends): Move {
  if (!sameEndpoint(from.local, to.local)) return { what: "own", from: from.local, to: to.local };
  if (!sameEndpoint(from.remote, to.remote)) return { what: "peer", from: from.remote, to: to.remote };
  return { what: "mapping", from: to.local, to: to.local };
}

/** Remembers for `status` where an IKE SA was before. */
export function noteMove({ now }: Turn, sa: EstablishedIkeSa, from: Ends): void {
  sa.moved = { ...moveOf(from, sa), at: now };
}

export function notePeerMove(turn: Turn, sa: EstablishedIkeSa, from: Ends): void {
  noteMove(turn, sa, { ...from, local: sa.local });
  notice(turn, { code: "peerMoved", ...about(sa), from: from.remote, to: sa.remote });
}

export function mayFollow(turn: Turn, sa: EstablishedIkeSa, { local, remote }: Ends): boolean {
  const { nat } = sa;
  if (!nat.isSupported || nat.weAreBehind || !nat.peerIsBehind) return false;
  if (local.port !== turn.machine.ports.nat || local.address.length !== remote.address.length) return false;
  // Whoever hands on packets of the peer from an address of his own is not to have ours.
  return mayMoveTo(turn, sa, { local, remote });
}

/** The IKE SA is spoken with over these addresses from here on. What is known of the way before says nothing about this one. */
export function speakOver(turn: Turn, sa: EstablishedIkeSa, { local, remote }: Ends): void {
  if (sameEndpoint(sa.local, local) && sameEndpoint(sa.remote, remote)) return;
  const { outstanding } = sa.window;
  if (outstanding?.exchange.kind === "pathProbe") {
    disposeExchange(turn, outstanding.exchange);
    outstanding.exchange = { kind: "liveness" };
  }
  const waiting = sa.pathProbe;
  sa.pathProbe = undefined;
  if (waiting !== undefined) turn.actions.push({ kind: "pathProbed", probe: waiting, outcome: "unknown" });
  delete sa.roundTrip;
  const { knownPeers } = turn.machine;
  dropKnown(knownPeers, sa);
  sa.local = local;
  sa.remote = remote;
  addKnown(knownPeers, sa);
}

/** Whether the peer might as well have called from and to these addresses: those of its connection hold for moves too. */
export function mayMoveTo({ machine }: Turn, sa: EstablishedIkeSa, { local, remote }: Ends): boolean {
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
