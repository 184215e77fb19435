/** The IKEv2 machine without I/O: events in, actions out, in order (RFC 7296). */
import { wipe } from "../base/bytes.ts";
import type { Instant } from "../base/instant.ts";
import type { IpAddress } from "../base/ip-address.ts";
import type { RandomSource } from "../base/random.ts";
import type { Connection } from "../policy/connection.ts";
import type { DataPlaneQuery, SpiAllocator } from "../policy/data-plane.ts";
import { advance, timeoutOf } from "./advance.ts";
import { handleCommand, handleDataPlaneEvent } from "./command.ts";
import { handleComputed, NOT_IN_TIME } from "./computed.ts";
import type { ConnectionState } from "./connection-state.ts";
import { describeMachine } from "./describe.ts";
import { handleDatagram } from "./endpoint.ts";
import { watchCookies } from "./half-open.ts";
import { connectAt, reconcile, servedConnections } from "./keep.ts";
import { COOKIE_REPLIES_PER_SECOND, STATELESS_REPLIES_PER_SECOND } from "./limits.ts";
import type { IkeAction, IkeEvent, IkeMachine, Timeout, WorkResult } from "./machine.ts";
import { newCookieJar } from "./negotiation/cookie.ts";
import type { DropReason } from "./notice.ts";
import { replaceConnections } from "./reload.ts";
import type { IkeSa } from "./sa/ike-sa.ts";
import { IkeSaId } from "./sa/ike-sa-id.ts";
import { CONNECT_PLAN, ESTABLISHED_PLAN, type RetransmissionPlan } from "./sa/retransmission.ts";
import { decodeIkeSa, encodeIkeSa, resumeIkeSa } from "./sa/state-codec.ts";
import { addIkeSa, keeperOf, type Machine, peerKey, type Turn } from "./turn.ts";

export interface IkeMachineOptions {
  readonly connections: readonly Connection[];
  readonly random: RandomSource;
  readonly spis: SpiAllocator;
  readonly usage: DataPlaneQuery;
  /** Our UDP ports: for IKE, and for IKE and ESP together. */
  readonly ports: { readonly ike: number; readonly nat: number };
  /** Our outer address on the way to `remote`; `undefined` when there is no way. */
  readonly localAddressFor: (remote: IpAddress) => IpAddress | undefined;
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
  describe(now: Instant): readonly ConnectionState[];
  /** Takes another configuration; unchanged connections go on. */
  setConnections(connections: readonly Connection[], now: Instant): readonly IkeAction[];
  /** Messages dropped since the start, by reason. */
  drops(): ReadonlyMap<DropReason, number>;
  /** IKE SAs in any state: zero after a shutdown that all peers have answered. */
  ikeSaCount(): number;
}

/** Cached end of an IKE SA's rest, so that a turn looks only at those that something happened to. */
interface Rest {
  readonly sa: IkeSa;
  readonly timeout: Timeout | undefined;
}

export interface ResumableIkeMachine extends DescribedIkeMachine {
  /**
   * The established IKE SAs that another process can take up by `resume`; they hold keys, and this machine must not be used
   * any more.
   */
  exportState(): readonly Uint8Array[];
}

export function createIkeMachine(options: IkeMachineOptions): ResumableIkeMachine {
  const machine = newMachine(options);
  for (const bytes of options.resume ?? []) resume(machine, bytes);
  const rests = new Map<IkeSaId, Rest>();
  let next: Timeout | undefined = { at: options.now, reason: "start" };

  const settle = (turn: Turn, touched: string | undefined, isAll: boolean) => {
    const isTouched = (sa: IkeSa) => isAll || (sa.state !== "halfOpen" && sa.connection === touched);
    for (const sa of [...machine.sas.values()]) {
      const rest = rests.get(sa.id);
      const isResting =
        rest !== undefined && rest.sa === sa && (rest.timeout?.at ?? Number.POSITIVE_INFINITY) > turn.now;
      if (!isResting || isTouched(sa)) expireJob(turn, sa);
      if ((!isResting || isTouched(sa)) && machine.sas.get(sa.id) === sa) advance(turn, sa);
      rests.delete(sa.id);
      if (isResting && !isTouched(sa) && machine.sas.get(sa.id) === sa) rests.set(sa.id, rest);
    }
    reconcile(turn);
    watchCookies(turn);
    next = undefined;
    for (const sa of machine.sas.values()) {
      const rest = rests.get(sa.id) ?? { sa, timeout: timeoutOf(machine, sa, turn.now) };
      rests.set(sa.id, rest);
      next = sooner(next, rest.timeout);
    }
    for (const id of rests.keys()) if (!machine.sas.has(id)) rests.delete(id);
    const served = servedConnections(machine, turn.now);
    for (const connection of machine.connections.values()) {
      const at = served.has(connection.name) ? undefined : connectAt(machine, connection);
      if (at !== undefined) next = sooner(next, { at, reason: `next try of ${connection.name}` });
    }
  };

  const take = (now: Instant, work: (turn: Turn) => string | undefined | "all"): readonly IkeAction[] => {
    wipe(...machine.spentSecrets.splice(0));
    const turn: Turn = { machine, now, actions: [] };
    const touched = work(turn);
    settle(turn, touched, touched === EVERYTHING);
    return turn.actions;
  };

  return {
    handle: (event, now) => take(now, (turn) => handleEvent(turn, event)),
    nextTimeout: () => next,
    describe: (now) => describeMachine(machine, now),
    setConnections: (connections, now) =>
      take(now, (turn) => {
        replaceConnections(turn, connections);
        return EVERYTHING;
      }),
    drops: () => new Map([...machine.drops].map(([reason, { total }]) => [reason, total])),
    exportState: () =>
      [...machine.sas.values()].filter((sa) => resumeIkeSa(sa) !== undefined).map(encodeIkeSa),
    ikeSaCount: () => machine.sas.size,
  };
}

/** Stands for every connection; no connection has an empty name. */
const EVERYTHING = "";

function sooner(a: Timeout | undefined, b: Timeout | undefined): Timeout | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return b.at < a.at ? b : a;
}

/** @returns the connection that something happened to, so that its other IKE SAs are looked at too */
function handleEvent(turn: Turn, event: IkeEvent): string | undefined {
  switch (event.kind) {
    case "datagram":
      return handleDatagram(turn, event);
    case "timeout":
      return undefined;
    case "computed":
      return takeResult(turn, event.job, event.result);
    case "dataPlane":
      return handleDataPlaneEvent(turn, event.event);
    case "command":
      return handleCommand(turn, event.command) ?? EVERYTHING;
    default:
      return event satisfies never;
  }
}

/** A result that nobody waits for any more is wiped and forgotten. */
function takeResult(
  turn: Turn,
  job: Extract<IkeEvent, { kind: "computed" }>["job"],
  result: WorkResult,
): string | undefined {
  const { machine } = turn;
  const id = machine.jobs.get(job);
  const sa = id === undefined ? undefined : machine.sas.get(id);
  machine.jobs.delete(job);
  if (sa === undefined || !("job" in sa) || sa.job?.id !== job) {
    if (result.kind === "keyExchange") wipe(result.privateValue);
    if (result.kind === "sharedSecret") wipe(result.secret);
    return undefined;
  }
  handleComputed(turn, sa, sa.job, result);
  const touched = connectionOf(machine.sas.get(sa.id)) ?? connectionOf(sa);
  emptyInbox(turn, sa.id);
  return touched;
}

function connectionOf(sa: IkeSa | undefined): string | undefined {
  return sa === undefined || sa.state === "halfOpen" ? undefined : sa.connection;
}

/** What waited for the computation. */
function emptyInbox(turn: Turn, id: IkeSaId): void {
  for (;;) {
    const sa = turn.machine.sas.get(id);
    if (sa?.state !== "established" || sa.job !== undefined) return;
    const message = sa.inbox.shift();
    if (message === undefined) return;
    handleDatagram(turn, { kind: "datagram", ...message });
  }
}

function expireJob(turn: Turn, sa: IkeSa): void {
  if (!("job" in sa) || sa.job === undefined || turn.now < sa.job.deadline) return;
  const { job } = sa;
  turn.machine.jobs.delete(job.id);
  handleComputed(turn, sa, job, NOT_IN_TIME);
  emptyInbox(turn, sa.id);
}

/** Takes up what fits the configuration; the rest ends unsaid, and its peer will notice. */
function resume(machine: Machine, bytes: Uint8Array): void {
  const stored = resumeIkeSa(decodeIkeSa(bytes));
  if (stored === undefined || !machine.connections.has(stored.connection)) return;
  const sa = { ...stored, id: IkeSaId(machine.nextIkeSaId++) };
  addIkeSa(machine, sa);
  const { idType, data } = sa.peerIdentity;
  if (sa.instance > 0) keeperOf(machine, sa.connection).instances.set(peerKey({ idType, data }), sa.instance);
}

function newMachine(options: IkeMachineOptions): Machine {
  const { connections, random, spis, usage, ports, localAddressFor } = options;
  return {
    random,
    spis,
    usage,
    ports,
    localAddressFor,
    connectPlan: options.connectPlan ?? CONNECT_PLAN,
    establishedPlan: options.establishedPlan ?? ESTABLISHED_PLAN,
    connections: new Map(connections.map((connection) => [connection.name, connection])),
    keepers: new Map(),
    sas: new Map(),
    bySpi: new Map(),
    byRequest: new Map(),
    jobs: new Map(),
    halfOpen: new Map(),
    halfOpenStrangers: 0,
    cookies: newCookieJar(),
    areCookiesOn: false,
    replies: {
      errors: { allowance: STATELESS_REPLIES_PER_SECOND, since: options.now },
      cookies: { allowance: COOKIE_REPLIES_PER_SECOND, since: options.now },
    },
    drops: new Map(),
    spentSecrets: [],
    nextIkeSaId: 1,
    nextJobId: 1,
    isShutDown: false,
  };
}
