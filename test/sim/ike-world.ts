/** A world of IKE machines: a virtual clock, a bad network, NAT, and computations that take their time. */

import { parsePrefix, prefixRange } from "../../src/base/address-range.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { hours, Instant, seconds } from "../../src/base/instant.ts";
import { compareIpAddress, type IpAddress, parseIpAddress } from "../../src/base/ip-address.ts";
import type { UdpEndpoint } from "../../src/base/udp-endpoint.ts";
import { CryptoError } from "../../src/crypto/error.ts";
import { answerKeyExchange, deriveSharedSecret, generateKeyExchange } from "../../src/crypto/key-exchange.ts";
import { createIkeMachine, type DescribedIkeMachine } from "../../src/ike/ike-machine.ts";
import type { IkeAction, IkeCommand, IkeEvent, JobId, Work, WorkResult } from "../../src/ike/machine.ts";
import type { IkeNotice, IkeNoticeCode } from "../../src/ike/notice.ts";
import type { RetransmissionPlan } from "../../src/ike/sa/retransmission.ts";
import type { ChildConfiguration, Connection } from "../../src/policy/connection.ts";
import type { ProposalSuite } from "../../src/policy/proposal-suite.ts";
import { addressSelector } from "../../src/policy/traffic-selector.ts";
import { type EspSim, FakeDataPlane } from "./ike-data-plane.ts";
import { type SeededRandom, seededRandom } from "./ike-random.ts";
import { solveSignature } from "./ike-signatures.ts";

export interface Datagram {
  readonly from: UdpEndpoint;
  readonly to: UdpEndpoint;
  readonly bytes: Uint8Array;
  /** Nobody on the way may fragment it. */
  readonly dontFragment?: true;
  readonly inFragments?: true;
  /** An ESP packet of the simulation instead of octets. */
  readonly esp?: EspSim;
}

/** Decides what becomes of a datagram: nothing, or copies at later times. */
export type Network = (
  datagram: Datagram,
  random: SeededRandom,
) => readonly { readonly datagram: Datagram; readonly delay: number }[];

export const perfectNetwork: Network = (datagram) => [{ datagram, delay: 1 }];

/** Loss, delay with reordering, duplication, and copies with a damaged octet. */
export function badNetwork(loss: number, duplication = 0.1, delayMax = 80, damage = 0): Network {
  return (datagram, random) => {
    const copies = random.chance(loss) ? 0 : random.chance(duplication) ? 2 : 1;
    return Array.from({ length: copies }, () => ({
      datagram: damage > 0 && random.chance(damage) ? damaged(datagram, random) : datagram,
      delay: 1 + random.below(delayMax),
    }));
  };
}

function damaged(datagram: Datagram, random: SeededRandom): Datagram {
  if (datagram.bytes.length === 0) return datagram;
  const bytes = Uint8Array.from(datagram.bytes);
  const at = random.below(bytes.length);
  bytes[at] = bytes[at]! ^ (1 + random.below(255));
  return { ...datagram, bytes };
}

interface Due {
  readonly at: number;
  readonly run: () => void;
}

export class World {
  now: Instant = Instant(1000);
  readonly random: SeededRandom;
  readonly nodes: IkeNode[] = [];
  network: Network = perfectNetwork;
  /** Milliseconds that a computation takes; `undefined` leaves it unanswered. */
  computeDelay: (work: Work) => number | undefined = () => 0;
  /** Every datagram that was sent, before the network had its way. */
  readonly wire: Datagram[] = [];
  #due: Due[] = [];

  constructor(seed = 1) {
    this.random = seededRandom(seed);
  }

  add(name: string, address: string, connections: readonly Connection[], options: NodeOptions = {}): IkeNode {
    const node = new IkeNode(this, name, address, connections, options);
    this.nodes.push(node);
    return node;
  }

  transmit(datagram: Datagram): void {
    this.wire.push(datagram);
    for (const copy of this.network(datagram, this.random))
      this.later(copy.delay, () => this.#arrive(copy.datagram));
  }

  #arrive({ from, to, bytes, esp }: Datagram): void {
    const node = this.nodes.find(
      (one) => one.isUp && one.addresses.some((address) => compareIpAddress(address, to.address) === 0),
    );
    if (node === undefined) return;
    if (esp !== undefined) node.dataPlane.open(esp, this.now);
    else node.feed({ kind: "datagram", local: to, remote: from, bytes });
  }

  later(delay: number, run: () => void): void {
    const at = this.now + delay;
    // Behind all that are due by then; most are due soon.
    let low = 0;
    for (let high = this.#due.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (this.#due[middle]!.at <= at) low = middle + 1;
      else high = middle;
    }
    this.#due.splice(low, 0, { at, run });
  }

  /** Runs until nothing is due before `until`. */
  runUntil(until: number): void {
    for (let steps = 0; ; steps++) {
      if (steps > 2_000_000) throw new Error("the world does not come to rest");
      const timeouts = this.nodes
        .filter(({ isUp }) => isUp)
        .map((node) => ({ node, at: node.machine.nextTimeout()?.at }));
      let soonest: { node: IkeNode; at: number } | undefined;
      for (const { node, at } of timeouts)
        if (at !== undefined && (soonest === undefined || at < soonest.at)) soonest = { node, at };
      const due = this.#due[0];
      if (due !== undefined && due.at <= until && (soonest === undefined || due.at <= soonest.at)) {
        this.#due.shift();
        this.now = Instant(Math.max(this.now, due.at));
        due.run();
      } else if (soonest !== undefined && soonest.at <= until) {
        this.now = Instant(Math.max(this.now, soonest.at));
        soonest.node.feedTimeout();
      } else break;
    }
    this.now = Instant(Math.max(this.now, until));
  }

  run(span: number): void {
    this.runUntil(this.now + span);
  }
}

export interface NodeOptions {
  readonly establishedPlan?: RetransmissionPlan;
  readonly connectPlan?: RetransmissionPlan;
  readonly seed?: number;
  readonly lanes?: number;
}

export class IkeNode {
  readonly world: World;
  readonly name: string;
  /** Where packets leave from. */
  address: IpAddress;
  /** All that packets arrive at. */
  addresses: readonly IpAddress[];
  /** Those that peers are told of. */
  offered: readonly IpAddress[] = [];
  readonly dataPlane: FakeDataPlane;
  readonly random: SeededRandom;
  readonly notices: IkeNotice[] = [];
  /** Everything the machine asked for, in order. */
  readonly actions: IkeAction[] = [];
  machine: DescribedIkeMachine;
  isUp = true;
  #idle = { at: -1, count: 0 };

  constructor(
    world: World,
    name: string,
    address: string,
    connections: readonly Connection[],
    options: NodeOptions,
  ) {
    this.world = world;
    this.name = name;
    this.address = ip(address);
    this.addresses = [this.address];
    this.random = seededRandom(options.seed ?? world.random.below(0x7fff_ffff));
    this.dataPlane = new FakeDataPlane(this.random);
    const { seed: _, ...plans } = options;
    this.machine = createIkeMachine({
      connections,
      random: this.random,
      spis: this.dataPlane,
      usage: this.dataPlane,
      ports: { ike: 500, nat: 4500 },
      localAddressFor: () => this.address,
      ownAddresses: () => ({ present: this.addresses, offered: this.offered }),
      now: world.now,
      ...plans,
    });
  }

  feed(event: IkeEvent): void {
    this.perform(this.machine.handle(event, this.world.now));
  }

  /** A timeout that leaves the machine wanting another one at once, over and over, is a mistake. */
  feedTimeout(): void {
    const { now } = this.world;
    this.#idle = this.#idle.at === now ? { at: now, count: this.#idle.count + 1 } : { at: now, count: 0 };
    if (this.#idle.count > 50)
      throw new Error(`${this.name} spins: ${this.machine.nextTimeout()?.reason} at ${now}`);
    this.feed({ kind: "timeout" });
  }

  /** Other addresses from now on, the first of them in use; what leaves by the old ones is lost. */
  move(...addresses: readonly string[]): void {
    this.addresses = addresses.map(ip);
    this.address = this.addresses[0]!;
    this.feed({ kind: "pathsChanged" });
  }

  command(command: IkeCommand): void {
    this.feed({ kind: "command", command });
  }

  perform(actions: readonly IkeAction[]): void {
    for (const action of actions) {
      this.actions.push(action);
      if (action.kind === "send" && !this.#has(action.local.address)) continue;
      if (action.kind === "send")
        this.world.transmit({
          from: action.local,
          to: action.remote,
          bytes: action.bytes,
          ...(action.dontFragment === true ? { dontFragment: true } : {}),
          ...(action.inFragments === true ? { inFragments: true } : {}),
        });
      else if (action.kind === "dataPlane") this.dataPlane.perform(action.command);
      else if (action.kind === "notice") this.notices.push(action.notice);
      else if (action.kind === "compute") this.#compute(action.job, action.work);
    }
  }

  #has(address: IpAddress): boolean {
    return this.addresses.some((own) => compareIpAddress(own, address) === 0);
  }

  #compute(job: JobId, work: Work): void {
    const delay = this.world.computeDelay(work);
    if (delay === undefined) return;
    const result = solve(work, this.random);
    this.world.later(delay, () => {
      if (this.isUp) this.feed({ kind: "computed", job, result });
    });
  }

  /** Sends a packet of the policy through the newest SA; false when there is none. */
  sendPacket(policy: string, serial: number): boolean {
    const sealed = this.dataPlane.seal(policy, serial, this.world.now);
    if (sealed === undefined) return false;
    const { local, remote } = sealed.sa;
    if (!this.#has(local.address)) return false;
    this.world.transmit({ from: local, to: remote, bytes: new Uint8Array(0), esp: sealed.esp });
    return true;
  }

  count(code: IkeNoticeCode): number {
    return this.notices.filter((notice) => notice.code === code).length;
  }

  find<Code extends IkeNoticeCode>(code: Code): Extract<IkeNotice, { code: Code }> | undefined {
    return this.notices.find((notice) => notice.code === code) as
      | Extract<IkeNotice, { code: Code }>
      | undefined;
  }

  state(connection = "net") {
    const state = this.machine.describe(this.world.now).find((one) => one.connection === connection);
    if (state === undefined) throw new Error(`no connection ${connection}`);
    return state;
  }

  shutDown(): void {
    this.command({ kind: "shutdown" });
  }
}

function solve(work: Work, random: SeededRandom): WorkResult {
  try {
    if (work.kind === "generateKeyExchange") {
      return { kind: "keyExchange", ...generateKeyExchange(work.method, random) };
    }
    if (work.kind === "deriveSharedSecret") {
      const secret = deriveSharedSecret(work.method, work.privateValue, work.peerPublicValue);
      return { kind: "sharedSecret", secret };
    }
    if (work.kind === "answerKeyExchange") {
      const { method, peerPublicValue } = work;
      return { kind: "keyExchangeAnswer", ...answerKeyExchange(method, peerPublicValue, random) };
    }
    return solveSignature(work);
  } catch (error) {
    if (error instanceof CryptoError) return { kind: "refused", reason: error.code };
    throw error;
  }
}

export function ip(text: string): IpAddress {
  const address = parseIpAddress(text);
  if (address === undefined) throw new Error(`${text} is no address`);
  return address;
}

function range(text: string) {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new Error(`${text} is no prefix`);
  return prefixRange(prefix);
}

export const GCM_X25519: ProposalSuite = {
  encr: [{ id: 20, keyBits: 256 }],
  integ: [],
  prf: [6],
  ke: [31, 19],
  esn: [],
};
export const CBC_ECP256: ProposalSuite = {
  encr: [{ id: 12, keyBits: 256 }],
  integ: [12],
  prf: [5],
  ke: [19],
  esn: [],
};
export const ESP_GCM: ProposalSuite = {
  encr: [{ id: 20, keyBits: 256 }],
  integ: [],
  prf: [],
  ke: [31, 0],
  esn: [1, 0],
};
export const ESP_GCM_NO_PFS: ProposalSuite = { ...ESP_GCM, ke: [0] };
export const ESP_CBC: ProposalSuite = {
  encr: [{ id: 12, keyBits: 128 }],
  integ: [12],
  prf: [],
  ke: [0],
  esn: [0],
};

const SHARED_SECRET = { kind: "psk", secret: utf8("a secret for both") } as const;
const PLACE = { file: "sim.yaml", line: 1 };

export function child(
  name: string,
  local: string,
  remote: string,
  changes: Partial<ChildConfiguration> = {},
): ChildConfiguration {
  return {
    name,
    selectors: { local: [addressSelector(range(local))], remote: [addressSelector(range(remote))] },
    proposals: [ESP_GCM],
    keep: "up",
    rekey: { time: hours(1), jitter: 0.2 },
    lifetime: {},
    handling: { replayWindow: 64, dscp: "copy", ecn: "copy", df: "copy" },
    place: PLACE,
    ...changes,
  };
}

export interface ConnectionChanges extends Partial<Omit<Connection, "ike" | "remote" | "local">> {
  readonly ike?: Partial<Connection["ike"]>;
  readonly remote?: Partial<Connection["remote"]>;
  readonly local?: Partial<Connection["local"]>;
}

export function connection(
  remote: string,
  children: readonly ChildConfiguration[],
  changes: ConnectionChanges = {},
): Connection {
  const { ike, remote: remoteChanges, local, ...rest } = changes;
  return {
    name: "net",
    keep: "up",
    encapsulation: "auto",
    place: PLACE,
    children,
    ...rest,
    local: { auth: SHARED_SECRET, ...local },
    remote: { addresses: [range(remote)], port: 500, auth: SHARED_SECRET, ...remoteChanges },
    ike: {
      proposals: [GCM_X25519],
      rekey: { time: hours(4), jitter: 0.2 },
      liveness: seconds(30),
      place: PLACE,
      ...ike,
    },
  };
}

export const LAN_A = child("lan", "10.1.0.0/16", "10.2.0.0/16");
export const LAN_B = child("lan", "10.2.0.0/16", "10.1.0.0/16");

/** Two gateways, A at 192.0.2.1 and B at 192.0.2.2, with one child between 10.1/16 and 10.2/16. */
export function pair(
  world: World,
  changesA: ConnectionChanges = {},
  changesB: ConnectionChanges = { keep: "respond" },
  options: NodeOptions = {},
): [IkeNode, IkeNode] {
  const respond = (keep: Connection["keep"] | undefined, one: ChildConfiguration) => ({
    ...one,
    keep: keep ?? "up",
  });
  const a = connection("192.0.2.2", changesA.children ?? [respond(changesA.keep, LAN_A)], changesA);
  const b = connection("192.0.2.1", changesB.children ?? [respond(changesB.keep, LAN_B)], changesB);
  return [world.add("A", "192.0.2.1", [a], options), world.add("B", "192.0.2.2", [b], options)];
}
