/** The IKEv2 machine without I/O: events in, actions out, in order (RFC 7296). */
import { wipe } from "../base/bytes.ts";
import type { Instant } from "../base/instant.ts";
import type { IpAddress } from "../base/ip-address.ts";
import type { RandomSource } from "../base/random.ts";
import type { Spi } from "../base/spi.ts";
import { indexCallers } from "../policy/caller-index.ts";
import type { Connection } from "../policy/connection.ts";
import type { DataPlaneQuery, SpiAllocator } from "../policy/data-plane.ts";
import { advance, timeoutOf } from "./advance.ts";
import { Agenda } from "./agenda.ts";
import { handleCommand, handleDataPlaneEvent } from "./command.ts";
import { handleComputed, NOT_IN_TIME } from "./computed.ts";
import type { ConnectionState } from "./connection-state.ts";
import { describeMachine } from "./describe.ts";
import { handleDatagram } from "./endpoint.ts";
import { reviewPath } from "./exchange/mobike.ts";
import { requestProbe } from "./exchange/path-probe.ts";
import { openAssembled } from "./exchange/receive.ts";
import { watchCookies } from "./half-open.ts";
import { connectAt, isServed, reconcile } from "./keep.ts";
import { type ExportedIkeKeys, exportIkeKeys } from "./key-export.ts";
import { COOKIE_REPLIES_PER_SECOND, STATELESS_REPLIES_PER_SECOND } from "./limits.ts";
import type { IkeAction, IkeEvent, IkeMachine, Timeout, WorkResult } from "./machine.ts";
import { newCookieJar } from "./negotiation/cookie.ts";
import type { DropReason } from "./notice.ts";
import { claims, isOutdated, type Predecessor, resume, takeOver } from "./predecessor.ts";
import { hasMovedAway, replaceConnections } from "./reload.ts";
import type { EstablishedIkeSa, IkeSa } from "./sa/ike-sa.ts";
import type { IkeSaId } from "./sa/ike-sa-id.ts";
import { CONNECT_PLAN, ESTABLISHED_PLAN, type RetransmissionPlan } from "./sa/retransmission.ts";
import { encodeIkeSa, resumeIkeSa } from "./sa/state-codec.ts";
import { exportTakenDown } from "./taken-down.ts";
import { besideOf, type Machine, type OwnAddresses, type Turn, touch, touchConnection } from "./turn.ts";
import { noteUnreachable } from "./unreachable.ts";

export interface IkeMachineOptions {
  readonly connections: readonly Connection[];
  readonly random: RandomSource;
  readonly spis: SpiAllocator;
  readonly usage: DataPlaneQuery;
  /** Lanes that child SAs may be bound to (RFC 9611); 1 unless told: none are. */
  readonly lanes?: number;
  /** Our UDP ports: for IKE, and for IKE and ESP together. */
  readonly ports: { readonly ike: number; readonly nat: number };
  /** Our outer address on the way to `remote`; `undefined` when there is no way. */
  readonly localAddressFor: (remote: IpAddress) => IpAddress | undefined;
  /** Absent: nothing is known of them, and none are offered. */
  readonly ownAddresses?: () => OwnAddresses;
  /** The moment of creation: whatever is to be kept up is due at once. */
  readonly now: Instant;
  /** Established IKE SAs of another process, as its `exportState` gave them; their child SAs are in the data plane. */
  readonly resume?: readonly Uint8Array[];
  /** Repetition of IKE_SA_INIT and IKE_AUTH. */
  readonly connectPlan?: RetransmissionPlan;
  /** Repetition in established IKE SAs [MID-07]. */
  readonly establishedPlan?: RetransmissionPlan;
}

export interface DescribedIkeMachine extends IkeMachine {
  /** @param only - the connection to describe; absent: all of them */
  describe(now: Instant, only?: string): readonly ConnectionState[];
  /**
   * Takes another configuration; unchanged connections go on.
   * @param before - given with the first one when another process has left something
   */
  setConnections(
    connections: readonly Connection[],
    now: Instant,
    before?: Predecessor,
  ): readonly IkeAction[];
  /** Names of those connections whose IKE SAs would end with {@link setConnections}, since their peers are where it no longer looks. */
  movedAway(connections: readonly Connection[]): ReadonlySet<string>;
  /** Whether an IKE SA of the connection was authenticated under settings that are no longer in force. */
  isOutdated(connection: string): boolean;
  /** Whether one of the IKE SAs has this child SA. */
  claims(inboundSpi: Spi): boolean;
  /** Messages dropped since the start, by reason. */
  drops(): ReadonlyMap<DropReason, number>;
  /** Keys of the IKE SAs, for whoever may decrypt a capture. */
  exportKeys(): readonly ExportedIkeKeys[];
  /** IKE SAs in any state: zero after a shutdown that all peers have answered. */
  ikeSaCount(): number;
  /** The same by state. */
  ikeSaCounts(): Readonly<Record<IkeSa["state"], number>>;
  /**
   * The established IKE SAs that another process can take up by `resume`, and what an operator has taken down; they hold keys, and this
   * machine must not be used any more.
   */
  exportState(): readonly Uint8Array[];
}

export function createIkeMachine(options: IkeMachineOptions): DescribedIkeMachine {
  const machine = newMachine(options);
  for (const bytes of options.resume ?? []) resume(machine, bytes, () => true);
  const sasDue = new Agenda<IkeSaId>();
  const connectionsDue = new Agenda<string>();
  for (const name of machine.connections.keys())
    connectionsDue.set(name, { at: options.now, reason: "start" });

  const take = (now: Instant, work: (turn: Turn) => void): readonly IkeAction[] => {
    wipe(...machine.spentSecrets.splice(0));
    const turn: Turn = { machine, now, actions: [] };
    work(turn);
    settle(turn, sasDue, connectionsDue);
    return turn.actions;
  };

  return {
    handle: (event, now) => take(now, (turn) => handleEvent(turn, event)),
    nextTimeout: () => sooner(sasDue.first(), connectionsDue.first()),
    describe: (now, only) => describeMachine(machine, now, only),
    setConnections: (connections, now, before) =>
      take(now, (turn) => {
        for (const name of machine.connections.keys()) touchConnection(machine, name);
        replaceConnections(turn, connections);
        if (before !== undefined) takeOver(turn, before);
        for (const name of machine.connections.keys()) touchConnection(machine, name);
      }),
    isOutdated: (connection) => isOutdated(machine, connection),
    claims: (inboundSpi) => claims(machine, inboundSpi),
    movedAway: (connections) =>
      new Set(connections.filter((one) => hasMovedAway(machine, one)).map(({ name }) => name)),
    drops: () => new Map([...machine.drops].map(([reason, { total }]) => [reason, total])),
    exportState: () => {
      const down = exportTakenDown(machine);
      const sas = [...machine.sas.values()].filter((sa) => resumeIkeSa(sa) !== undefined);
      return [...sas.map(encodeIkeSa), ...(down === undefined ? [] : [down])];
    },
    exportKeys: () => exportIkeKeys(machine),
    ikeSaCount: () => machine.sas.size,
    ikeSaCounts: () => countByState(machine),
  };
}

function countByState({ sas }: Machine): Record<IkeSa["state"], number> {
  const counts = { halfOpen: 0, initiating: 0, authenticating: 0, established: 0, leaving: 0 };
  for (const { state } of sas.values()) counts[state]++;
  return counts;
}

/** Looks at everything that something happened to, or that is due, until nothing more comes of it. */
function settle(turn: Turn, sasDue: Agenda<IkeSaId>, connectionsDue: Agenda<string>): void {
  const { machine, now } = turn;
  const { touched } = machine;
  for (const id of sasDue.takeDue(now)) touched.sas.add(id);
  for (const name of connectionsDue.takeDue(now)) touched.connections.add(name);
  const seen = { sas: new Set<IkeSaId>(), connections: new Set<string>() };
  while (touched.sas.size > 0 || touched.connections.size > 0) {
    const names = [...touched.connections];
    touched.connections.clear();
    const ids = [...touched.sas];
    touched.sas.clear();
    for (const id of ids) {
      seen.sas.add(id);
      look(turn, id);
      const sa = machine.sas.get(id);
      if (sa === undefined || sa.state === "halfOpen") continue;
      // Its connection may have to be called anew, or beside it.
      if (!seen.connections.has(sa.connection)) touched.connections.add(sa.connection);
      for (const other of besideOf(machine, sa)) if (!seen.sas.has(other)) touched.sas.add(other);
    }
    for (const name of names) {
      seen.connections.add(name);
      const connection = machine.connections.get(name);
      if (connection !== undefined) reconcile(turn, connection);
    }
  }
  watchCookies(turn);
  for (const id of seen.sas) {
    const sa = machine.sas.get(id);
    sasDue.set(id, sa === undefined ? undefined : timeoutOf(machine, sa, now));
  }
  for (const name of seen.connections) connectionsDue.set(name, nextTry(machine, name, now));
}

function look(turn: Turn, id: IkeSaId): void {
  const { sas } = turn.machine;
  const sa = sas.get(id);
  if (sa !== undefined) expireJob(turn, sa);
  const current = sas.get(id);
  if (current !== undefined) advance(turn, current);
}

function nextTry(machine: Machine, name: string, now: Instant): Timeout | undefined {
  const connection = machine.connections.get(name);
  if (connection === undefined || isServed(machine, name, now)) return undefined;
  const at = connectAt(machine, connection);
  return at === undefined ? undefined : { at, reason: `next try of ${name}` };
}

function sooner(a: Timeout | undefined, b: Timeout | undefined): Timeout | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return b.at < a.at ? b : a;
}

function handleEvent(turn: Turn, event: IkeEvent): void {
  switch (event.kind) {
    case "datagram":
      handleDatagram(turn, event);
      return;
    case "timeout":
      return;
    case "computed":
      takeResult(turn, event.job, event.result);
      return;
    case "dataPlane":
      handleDataPlaneEvent(turn, event.event);
      return;
    case "command":
      handleCommand(turn, event.command);
      return;
    case "probePath":
      requestProbe(turn, event.probe);
      return;
    case "unreachable":
      noteUnreachable(turn, event.report);
      return;
    case "pathsChanged":
      reviewPaths(turn);
      return;
    default:
      event satisfies never;
  }
}

function reviewPaths(turn: Turn): void {
  for (const sa of [...turn.machine.sas.values()]) {
    if (sa.state !== "established") continue;
    reviewPath(turn, sa);
    touch(turn.machine, sa);
  }
}

/** A result that nobody waits for any more is wiped and forgotten. */
function takeResult(
  turn: Turn,
  job: Extract<IkeEvent, { kind: "computed" }>["job"],
  result: WorkResult,
): void {
  const { machine } = turn;
  const id = machine.jobs.get(job);
  const sa = id === undefined ? undefined : machine.sas.get(id);
  machine.jobs.delete(job);
  if (sa === undefined || !("job" in sa) || sa.job?.id !== job) {
    if (result.kind === "keyExchange") wipe(result.privateValue);
    if (result.kind === "sharedSecret" || result.kind === "keyExchangeAnswer") wipe(result.secret);
    return;
  }
  touch(machine, sa);
  handleComputed(turn, sa, sa.job, result);
  emptyInbox(turn, sa.id);
}

/** What waited for the computation. */
function emptyInbox(turn: Turn, id: IkeSaId): void {
  for (;;) {
    const sa = turn.machine.sas.get(id);
    if (sa?.state !== "established" || sa.job !== undefined) return;
    const message = sa.inbox.shift();
    if (message === undefined) {
      openWaiting(turn, sa);
      return;
    }
    handleDatagram(turn, { kind: "datagram", ...message });
  }
}

/** Messages that came in fragments wait as what they were put together to. */
function openWaiting(turn: Turn, sa: EstablishedIkeSa): void {
  for (const slot of ["partialResponse", "partialRequest"] as const) {
    const current = turn.machine.sas.get(sa.id);
    if (current?.state === "established") openAssembled(turn, current, slot);
  }
}

function expireJob(turn: Turn, sa: IkeSa): void {
  if (!("job" in sa) || sa.job === undefined || turn.now < sa.job.deadline) return;
  const { job } = sa;
  turn.machine.jobs.delete(job.id);
  handleComputed(turn, sa, job, NOT_IN_TIME);
  emptyInbox(turn, sa.id);
}

function newMachine(options: IkeMachineOptions): Machine {
  const { connections, random, spis, usage, ports, localAddressFor } = options;
  return {
    random,
    spis,
    usage,
    lanes: options.lanes ?? 1,
    ports,
    localAddressFor,
    ownAddresses: options.ownAddresses ?? (() => ({ offered: [] })),
    connectPlan: options.connectPlan ?? CONNECT_PLAN,
    establishedPlan: options.establishedPlan ?? ESTABLISHED_PLAN,
    connections: new Map(connections.map((connection) => [connection.name, connection])),
    callers: indexCallers(connections),
    keepers: new Map(),
    sas: new Map(),
    byConnection: new Map(),
    byPeer: new Map(),
    knownPeers: new Map(),
    touched: { sas: new Set(), connections: new Set() },
    bySpi: new Map(),
    carriers: new Map(),
    byRequest: new Map(),
    jobs: new Map(),
    halfOpen: new Map(),
    halfOpenStrangers: 0,
    cookies: newCookieJar(),
    areCookiesOn: false,
    replies: {
      peers: { allowance: STATELESS_REPLIES_PER_SECOND, since: options.now },
      strangers: { allowance: STATELESS_REPLIES_PER_SECOND, since: options.now },
      cookies: { allowance: COOKIE_REPLIES_PER_SECOND, since: options.now },
    },
    drops: new Map(),
    spentSecrets: [],
    nextIkeSaId: 1,
    nextJobId: 1,
    isShutDown: false,
  };
}
