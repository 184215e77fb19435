/** One turn of the machine: its memory, the moment, and the actions that add up. */
import { isSingle } from "../base/address-range.ts";
import { compare, toHex } from "../base/bytes.ts";
import { after, type Instant } from "../base/instant.ts";
import type { IpAddress } from "../base/ip-address.ts";
import type { RandomSource } from "../base/random.ts";
import { IkeSpi, type Spi, ZERO_IKE_SPI } from "../base/spi.ts";
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import { hmacSha256 } from "../crypto/hash.ts";
import type { CallerIndex } from "../policy/caller-index.ts";
import {
  type ChildConfiguration,
  type Connection,
  type Identification,
  policyOf,
} from "../policy/connection.ts";
import type { DataPlaneCommand, DataPlaneQuery, PolicyName, SpiAllocator } from "../policy/data-plane.ts";
import { isPattern } from "../policy/pad.ts";
import type { IkeSaName } from "./connection-state.ts";
import { childKeeper, type Keeper, newKeeper } from "./keep-state.ts";
import { addKnown, dropKnown, type KnownPeers } from "./known-peers.ts";
import { DROP_NOTICE_INTERVAL, JOB_DEADLINE, PEER_KEY_OCTETS_MAX, PEERS_REMEMBERED_MAX } from "./limits.ts";
import type { IkeAction, JobId, Work, WorkResult } from "./machine.ts";
import { childProtocolId } from "./negotiation/child-protocol.ts";
import type { CookieJar } from "./negotiation/cookie.ts";
import type { Concerning, DropReason, FailureNotice, IkeNotice } from "./notice.ts";
import type { Continuation, EstablishedIkeSa, HalfOpenIkeSa, IkeSa, Job } from "./sa/ike-sa.ts";
import type { IkeSaId } from "./sa/ike-sa-id.ts";
import type { RetransmissionPlan } from "./sa/retransmission.ts";

/** Outer addresses of this host. */
export interface OwnAddresses {
  /** Absent: not known. */
  readonly present?: readonly IpAddress[];
  /** Those that peers may be told of as further ones (RFC 4555 section 3.4). */
  readonly offered: readonly IpAddress[];
}

/** What the machine is given once. */
interface Environment {
  readonly random: RandomSource;
  readonly spis: SpiAllocator;
  readonly usage: DataPlaneQuery;
  /** Lanes that child SAs may be bound to (RFC 9611); 1: none are. */
  readonly lanes: number;
  /** Our UDP ports: for IKE, and for IKE and ESP together. */
  readonly ports: { readonly ike: number; readonly nat: number };
  /** Our outer address on the way to `remote`; `undefined` when there is no way. */
  readonly localAddressFor: (remote: IpAddress) => IpAddress | undefined;
  readonly ownAddresses: () => OwnAddresses;
  readonly connectPlan: RetransmissionPlan;
  readonly establishedPlan: RetransmissionPlan;
}

/** Answers without state are counted apart: cookies, refusals of configured addresses, refusals of anybody else. */
export type ReplyBucket = "cookies" | "peers" | "strangers";

/** Everything the machine knows; plain data except for the environment. */
export interface Machine extends Environment {
  connections: Map<string, Connection>;
  /** The same by who may call. */
  callers: CallerIndex;
  readonly keepers: Map<string, Keeper>;
  readonly sas: Map<IkeSaId, IkeSa>;
  /** Those of one connection, half-open ones excepted, in the order in which they came. */
  readonly byConnection: Map<string, Set<IkeSaId>>;
  /** Established ones with one peer of a connection that serves many, by `NAME#N`. */
  readonly byPeer: Map<string, Set<IkeSaId>>;
  readonly knownPeers: KnownPeers;
  /** What happened to something in this turn: these are looked at before it ends. */
  readonly touched: { readonly sas: Set<IkeSaId>; readonly connections: Set<string> };
  /** By our own SPI. */
  readonly bySpi: Map<IkeSpi, IkeSaId>;
  /** Established ones by the inbound SPIs of their children. */
  readonly carriers: Map<Spi, IkeSaId>;
  /** Half-open ones by the digest of the request that made them [MID-06]. */
  readonly byRequest: Map<string, IkeSaId>;
  readonly jobs: Map<JobId, IkeSaId>;
  /** Half-open IKE SAs by where they are counted. */
  readonly halfOpen: Map<string, number>;
  halfOpenStrangers: number;
  readonly cookies: CookieJar;
  areCookiesOn: boolean;
  /** How many answers without state may still be given, and when that was reckoned. */
  readonly replies: Readonly<Record<ReplyBucket, { allowance: number; since: Instant }>>;
  readonly drops: Map<DropReason, { total: number; noticedAt: Instant | undefined }>;
  /** Secrets in the actions of the turn before: carried out by now, so wiped when the next turn begins. */
  spentSecrets: Uint8Array[];
  nextIkeSaId: number;
  nextJobId: number;
  isShutDown: boolean;
}

export interface Turn {
  readonly machine: Machine;
  readonly now: Instant;
  readonly actions: IkeAction[];
}

export function notice(turn: Turn, what: IkeNotice): void {
  turn.actions.push({ kind: "notice", notice: what });
}

/** Says why a peer's request was refused, and keeps it for `status`; it does not put off a try of our own. */
export function noticeRefusal(turn: Turn, connection: string | undefined, failure: FailureNotice): void {
  notice(turn, failure);
  if (connection === undefined) return;
  const keeper = keeperOf(turn.machine, connection);
  const concerned = failure.child === undefined ? keeper : childKeeper(keeper, failure.child);
  concerned.lastFailure = failure;
}

/**
 * Says why somebody was refused who had not proved who he is, and counts it. It is what `status` says of a connection that
 * is down only where nothing of our own doing has failed.
 */
export function noticeStranger(turn: Turn, failure: FailureNotice): void {
  notice(turn, failure);
  const { connection } = failure;
  if (connection === undefined) return;
  const { machine } = turn;
  const keeper = keeperOf(machine, connection);
  const isOwn = keeper.lastFailure !== undefined && keeper.lastFailure !== keeper.lastRefused?.failure;
  keeper.lastRefused = { count: (keeper.lastRefused?.count ?? 0) + 1, failure };
  if (!isOwn && establishedOf(machine, connection).length === 0) keeper.lastFailure = failure;
}

/**
 * @param repeats - how often it was sent before. Over IPv6 every second time goes in fragments: nothing says whether a path
 *   takes the message whole, nor whether it takes fragments (RFC 7872)
 */
export function send(
  turn: Turn,
  local: UdpEndpoint,
  remote: UdpEndpoint,
  bytes: Uint8Array,
  repeats = 0,
): void {
  const inFragments = remote.address.length === 16 && repeats % 2 === 1;
  turn.actions.push({ kind: "send", local, remote, bytes, ...(inFragments ? { inFragments } : {}) });
}

/** As {@link send}, but nobody on the way may fragment it. */
export function sendWhole(turn: Turn, local: UdpEndpoint, remote: UdpEndpoint, bytes: Uint8Array): void {
  turn.actions.push({ kind: "send", local, remote, bytes, dontFragment: true });
}

export function command(turn: Turn, what: DataPlaneCommand): void {
  turn.actions.push({ kind: "dataPlane", command: what });
}

/** Whom a notice about an IKE SA or one of its children concerns. */
export function about(
  sa: { readonly connection: string; readonly instance?: number; readonly remote?: UdpEndpoint },
  child?: string,
): Concerning {
  return {
    connection: displayName(sa.connection, sa.instance ?? 0),
    ...(child === undefined ? {} : { child }),
    ...(sa.remote === undefined ? {} : { remote: sa.remote }),
  };
}

/** `NAME#N` for one of many peers; `NAME#N.M` where the N-th of `remote.ids` stands for many itself. */
export function displayName(connection: string, instance: number): string {
  if (instance === 0) return connection;
  return `${connection}${connection.includes("#") ? "." : "#"}${instance}`;
}

/**
 * The connections that a name means: that one, all peers of `remote.ids` there, or one of many peers.
 * @returns `instance` is the number that {@link displayName} was given, 0 for all peers
 */
export function ofDisplayName(
  { connections }: Machine,
  name: string,
): { readonly connections: readonly Connection[]; readonly instance: number } {
  const itself = connections.get(name);
  if (itself !== undefined) return { connections: [itself], instance: 0 };
  const [, plain, numbered, number] = /^(?:([^#]+)#|([^#]+#\d+)\.)(\d+)$/.exec(name) ?? [];
  const ofPeer = connections.get(plain ?? numbered ?? "");
  if (ofPeer !== undefined) return { connections: [ofPeer], instance: Number(number) };
  return {
    connections: [...connections.values()].filter(({ oneOf }) => oneOf?.connection === name),
    instance: 0,
  };
}

/** By what a peer is known that may be any of these: their name, or that of the connection whose `remote.ids` names them. */
export function callerName({ connections }: Machine, candidates: readonly string[]): string | undefined {
  const [first] = candidates;
  if (first === undefined || candidates.length === 1) return first;
  return connections.get(first)?.oneOf?.connection ?? first;
}

export function nameOfIkeSa({ initiatorSpi, responderSpi }: IkeSaName): IkeSaName {
  return { initiatorSpi, responderSpi };
}

/**
 * Counts a drop; says so at most once in a while for each reason.
 * @returns whether it was said this time
 */
export function drop(turn: Turn, reason: DropReason, remote?: UdpEndpoint, connection?: string): boolean {
  const count = turn.machine.drops.get(reason) ?? { total: 0, noticedAt: undefined };
  count.total++;
  turn.machine.drops.set(reason, count);
  if (count.noticedAt !== undefined && turn.now < after(count.noticedAt, DROP_NOTICE_INTERVAL)) return false;
  count.noticedAt = turn.now;
  notice(turn, {
    code: "droppedMessage",
    reason,
    total: count.total,
    ...(connection === undefined ? {} : { connection }),
    ...(remote === undefined ? {} : { remote }),
  });
  return true;
}

/** Asks for a computation on behalf of an IKE SA. */
export function startJob(turn: Turn, id: IkeSaId, work: Work, continuation?: Continuation): Job {
  const { machine } = turn;
  const job = machine.nextJobId++ as JobId;
  machine.jobs.set(job, id);
  turn.actions.push({ kind: "compute", job, work });
  // What is remembered of the work: the key exchange method.
  const method = work.kind === "sign" || work.kind === "verifyPeer" ? 0 : work.method;
  return { id: job, deadline: after(turn.now, JOB_DEADLINE), method, continuation };
}

/** Why a computation gave no key, in words. */
export function failureReason(result: WorkResult): string {
  return "reason" in result ? result.reason : "the computation gave something else";
}

export function dropJob(machine: Machine, job: Job | undefined): void {
  if (job !== undefined) machine.jobs.delete(job.id);
}

/** A random SPI that is not zero and not in use [HDR-06]. */
export function freshIkeSpi({ random, bySpi }: Machine): IkeSpi {
  for (;;) {
    const spi = IkeSpi(random.publicBytes(8));
    if (spi !== ZERO_IKE_SPI && !bySpi.has(spi)) return spi;
  }
}

/** Our SPI of an IKE SA. */
export function ownSpi(sa: IkeSa): IkeSpi {
  return sa.isOriginalInitiator ? sa.initiatorSpi : sa.responderSpi;
}

/** Stores an IKE SA, new or in another state than before. */
export function addIkeSa(machine: Machine, sa: IkeSa): void {
  dropPeer(machine, machine.sas.get(sa.id));
  machine.sas.set(sa.id, sa);
  machine.bySpi.set(ownSpi(sa), sa.id);
  machine.touched.sas.add(sa.id);
  if (sa.state === "halfOpen") return;
  if (sa.state === "established") {
    addKnown(machine.knownPeers, sa);
    for (const { inboundSpi } of sa.children) machine.carriers.set(inboundSpi, sa.id);
  }
  const known = machine.byConnection.get(sa.connection);
  if (known === undefined) machine.byConnection.set(sa.connection, new Set([sa.id]));
  else known.add(sa.id);
  if (sa.state === "established" && sa.instance > 0) {
    const name = displayName(sa.connection, sa.instance);
    machine.byPeer.set(name, (machine.byPeer.get(name) ?? new Set()).add(sa.id));
  }
  machine.touched.connections.add(sa.connection);
}

/** A peer has an established IKE SA less; the others with one of many peers are looked at. */
function dropPeer(machine: Machine, sa: IkeSa | undefined): void {
  if (sa?.state !== "established") return;
  dropKnown(machine.knownPeers, sa);
  if (sa.instance === 0) return;
  const name = displayName(sa.connection, sa.instance);
  const known = machine.byPeer.get(name);
  known?.delete(sa.id);
  if (known?.size === 0) machine.byPeer.delete(name);
  for (const id of known ?? []) machine.touched.sas.add(id);
}

/**
 * IKE SAs that are looked at when something happens to this one: those with the same peer. A connection that serves many has
 * too many others for that.
 */
export function besideOf({ byConnection, byPeer, keepers }: Machine, sa: IkeSa): Iterable<IkeSaId> {
  if (sa.state === "halfOpen") return [];
  const servesMany = (keepers.get(sa.connection)?.instances.size ?? 0) > 0;
  const hasNumber = sa.state !== "established" || sa.instance > 0;
  if (!servesMany || !hasNumber) return byConnection.get(sa.connection) ?? [];
  return (sa.state === "established" && byPeer.get(displayName(sa.connection, sa.instance))) || [];
}

/** Something happened to an IKE SA: it and its connection are looked at before the turn ends. */
export function touch({ touched }: Machine, sa: IkeSa): void {
  touched.sas.add(sa.id);
  if (sa.state !== "halfOpen") touched.connections.add(sa.connection);
}

/** Something happened to a connection: it and all its IKE SAs are looked at before the turn ends. */
export function touchConnection({ byConnection, touched }: Machine, name: string): void {
  touched.connections.add(name);
  for (const id of byConnection.get(name) ?? []) touched.sas.add(id);
}

export function removeIkeSa(machine: Machine, sa: IkeSa): void {
  dropPeer(machine, machine.sas.get(sa.id));
  for (const id of besideOf(machine, sa)) machine.touched.sas.add(id);
  machine.sas.delete(sa.id);
  if (machine.bySpi.get(ownSpi(sa)) === sa.id) machine.bySpi.delete(ownSpi(sa));
  machine.touched.sas.add(sa.id);
  if (sa.state === "halfOpen") return;
  const known = machine.byConnection.get(sa.connection);
  known?.delete(sa.id);
  if (known?.size === 0) machine.byConnection.delete(sa.connection);
  machine.touched.connections.add(sa.connection);
}

/** The IKE SAs of a connection in any state but half-open, the oldest first; a copy, so that they may change meanwhile. */
export function ikeSasOf(machine: Machine, connection: string): readonly Exclude<IkeSa, HalfOpenIkeSa>[] {
  const found: Exclude<IkeSa, HalfOpenIkeSa>[] = [];
  for (const id of machine.byConnection.get(connection) ?? []) {
    const sa = machine.sas.get(id);
    if (sa !== undefined && sa.state !== "halfOpen") found.push(sa);
  }
  return found;
}

/** The IKE SA that has this child. */
export function carrierOf(machine: Machine, inboundSpi: Spi): EstablishedIkeSa | undefined {
  const id = machine.carriers.get(inboundSpi);
  const sa = id === undefined ? undefined : machine.sas.get(id);
  return sa?.state === "established" ? sa : undefined;
}

export function keeperOf(machine: Machine, connection: string): Keeper {
  const known = machine.keepers.get(connection);
  if (known !== undefined) return known;
  const fresh = newKeeper();
  machine.keepers.set(connection, fresh);
  return fresh;
}

/** The policy of a child, by the names of both. */
export function policyOfChild({ connections }: Machine, name: string, child: string): PolicyName {
  return policyOf(connections.get(name) ?? { name }, child);
}

export function childConfiguration(
  machine: Machine,
  connection: string,
  child: string,
): ChildConfiguration | undefined {
  return machine.connections.get(connection)?.children.find(({ name }) => name === child);
}

/** ESP or AH, as the child is configured. */
export function protocolOfChild(
  { machine }: Turn,
  { connection }: Pick<EstablishedIkeSa, "connection">,
  child: string,
): number {
  return childProtocolId(childConfiguration(machine, connection, child)?.proposals[0] ?? {});
}

/** Established IKE SAs beside this one that carry its peer's children, itself among them, the newest last. */
export function establishedBeside(machine: Machine, sa: EstablishedIkeSa): readonly EstablishedIkeSa[] {
  const found: EstablishedIkeSa[] = [];
  for (const id of besideOf(machine, sa)) {
    const other = machine.sas.get(id);
    if (other?.state === "established" && other.heldFor === undefined) found.push(other);
  }
  return found;
}

/** Established IKE SAs of a connection that carry its children, the newest last. */
export function establishedOf(machine: Machine, connection: string): readonly EstablishedIkeSa[] {
  const found: EstablishedIkeSa[] = [];
  for (const sa of ikeSasOf(machine, connection))
    if (sa.state === "established" && sa.heldFor === undefined) found.push(sa);
  return found;
}

/** Number of a peer among those of a connection that serves many, in the order in which they came; 0 when it serves one. */
export function instanceOf(machine: Machine, connection: Connection, peer: Identification): number {
  if (servesOnePeer(connection)) return 0;
  const { instances } = keeperOf(machine, connection.name);
  const key = peerKey(peer);
  const number = instances.get(key) ?? freeInstance(machine, connection.name, instances);
  // The map's order is that of use.
  instances.delete(key);
  instances.set(key, number);
  return number;
}

/** The next number; or, where enough peers are remembered, that of the one without IKE SA that was here longest ago. */
function freeInstance(machine: Machine, connection: string, instances: Map<string, number>): number {
  for (const [key, number] of instances.size < PEERS_REMEMBERED_MAX ? [] : instances) {
    if (machine.byPeer.has(displayName(connection, number))) continue;
    instances.delete(key);
    return number;
  }
  // Not their count: those that were taken up from another process may leave gaps.
  let highest = 0;
  for (const number of instances.values()) highest = Math.max(highest, number);
  return highest + 1;
}

/** An identity as a map key; peers choose how long it is, so a digest stands for a long one. */
export function peerKey({ idType, data }: Identification): string {
  if (data.length <= PEER_KEY_OCTETS_MAX) return `${idType}:${toHex(data)}`;
  return `${idType}:#${toHex(hmacSha256(DIGEST_KEY, data))}`;
}

const DIGEST_KEY = new Uint8Array(32);

/** Whether a connection has one peer only: every address of it is a single one, or `remote.ids` names it by itself. */
export function servesOnePeer({ remote, oneOf }: Connection): boolean {
  if (oneOf !== undefined && typeof remote.id === "object") return !isPattern(remote.id);
  if (remote.names !== undefined) return remote.addresses.every(isSingle);
  return remote.addresses.length > 0 && remote.addresses.every(isSingle);
}

/** The lower of two nonces, as unsigned numbers of equal weight (RFC 7296 section 2.8.1). */
export function lowerNonce(a: Uint8Array, b: Uint8Array): Uint8Array {
  return compare(a, b) <= 0 ? a : b;
}
