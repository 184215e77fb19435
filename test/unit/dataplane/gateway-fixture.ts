/** A data plane with its lanes in memory, and pairs of them with SAs between. */
import { Instant } from "../../../src/base/instant.ts";
import { IpAddress } from "../../../src/base/ip-address.ts";
import type { RandomSource } from "../../../src/base/random.ts";
import type { Spi } from "../../../src/base/spi.ts";
import type { UdpEndpoint } from "../../../src/base/udp-endpoint.ts";
import { encrAlgorithm } from "../../../src/crypto/encr.ts";
import { integAlgorithm } from "../../../src/crypto/integ.ts";
import { createDataPlane, type DataPlane } from "../../../src/dataplane/data-plane.ts";
import { DROP_REASONS, Drop, type DropReason } from "../../../src/dataplane/drop-reason.ts";
import { DROP_RECORD_OCTETS, type DropTrace, readDropRecord } from "../../../src/dataplane/drop-record.ts";
import {
  type CopyOctets,
  HAND_OVER_COUNTERS,
  HandOver,
  inboxOctets,
} from "../../../src/dataplane/hand-over.ts";
import { createLane, type Lane } from "../../../src/dataplane/lane.ts";
import type { IkeDatagram, LaneUpcall } from "../../../src/dataplane/lane-options.ts";
import type { LaneSocket } from "../../../src/dataplane/packet-io.ts";
import type { EspEngine, EspKeyStore } from "../../../src/esp/engine.ts";
import { createTwinEspEngine, createTwinKeyStore } from "../../../src/esp/twin-engine.ts";
import type {
  Encapsulation,
  EspKeys,
  EspSuite,
  SaHandling,
  SaLifetime,
} from "../../../src/policy/data-plane.ts";
import { formatSaTable, type SaTable, saTableRegions } from "../../../src/policy/sa-table.ts";
import { parseSelector } from "../../../src/policy/selector-text.ts";
import { compileSpd, type SpdEntry } from "../../../src/policy/spd.ts";
import type { SelectorPair } from "../../../src/policy/traffic-selector.ts";
import { Encr, Integ } from "../../../src/wire/ike/registries.ts";
import { MemoryPacketIo } from "./memory-packet-io.ts";
import { address } from "./packets.ts";

/** xorshift32: the same octets for the same seed. */
export function seededRandom(seed: number): RandomSource {
  let state = seed | 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  const octets = (length: number) => Uint8Array.from({ length }, () => next() & 0xff);
  return { publicBytes: octets, secretBytes: octets, fraction: () => next() / 2 ** 32 };
}

export const copyInMemory: CopyOctets = (from, at, length, to, toAt) =>
  to.set(from.subarray(at, at + length), toAt);

/** Of AH. */
export const AH_SUITE = {
  encr: Encr.NULL,
  encrKeyBits: 0,
  integ: Integ.HMAC_SHA2_256_128,
  esn: true,
  protocol: "ah",
} as const;

export const SUITES = {
  aes256gcm16: { encr: Encr.AES_GCM_16, encrKeyBits: 256, integ: 0, esn: false },
  aes256gcm16esn: { encr: Encr.AES_GCM_16, encrKeyBits: 256, integ: 0, esn: true },
  chacha20poly1305: { encr: Encr.CHACHA20_POLY1305, encrKeyBits: 0, integ: 0, esn: false },
  aes128sha256esn: { encr: Encr.AES_CBC, encrKeyBits: 128, integ: Integ.HMAC_SHA2_256_128, esn: true },
} as const satisfies Readonly<Record<string, EspSuite>>;

export const HANDLING: SaHandling = { replayWindow: 4096, dscp: "copy", ecn: "copy", df: "copy" };

export function keysOf(suite: EspSuite, direction: number): EspKeys {
  const encr = encrAlgorithm(suite.encr, suite.encrKeyBits);
  const integ = suite.integ === 0 ? undefined : integAlgorithm(suite.integ);
  return {
    encr: new Uint8Array(encr?.keyLength ?? 0).fill(0x40 + direction),
    integ: new Uint8Array(integ?.keyLength ?? 0).fill(0x60 + direction),
  };
}

export function selectors(local: string, remote: string): SelectorPair {
  const read = (text: string) =>
    text.split(",").map((one) => {
      const selector = parseSelector(one.trim());
      if (selector === undefined) throw new Error(`no selector: ${one}`);
      return selector;
    });
  return { local: read(local), remote: read(remote) };
}

export function endpoint(text: string, port = 4500): UdpEndpoint {
  return { address: IpAddress(address(text)), port };
}

export interface Gateway {
  readonly table: SaTable;
  /** Those of lane 0. */
  readonly io: MemoryPacketIo;
  readonly lane: Lane;
  /** By lane. */
  readonly ios: readonly MemoryPacketIo[];
  readonly lanes: readonly Lane[];
  /** Frames and datagrams that lanes have handed over. */
  readonly handedOver: () => number;
  /** Lanes that were woken, one after the other. */
  readonly woken: number[];
  readonly dataPlane: DataPlane;
  readonly keys: EspKeyStore;
  /** What the lane calls; its methods may be replaced. */
  readonly engine: { -readonly [method in keyof EspEngine]: EspEngine[method] };
  readonly upcalls: LaneUpcall[];
  /** Upcalls beyond are refused. */
  upcallRoom: number;
  readonly ike: IkeDatagram[];
  setSpd(entries: readonly SpdEntry[], device?: number): void;
  /** PROTECT with a policy of this name. */
  protect(name: string, pair: SelectorPair): SpdEntry;
  drops(reason: DropReason): number;
  /** Every reason that was counted. */
  allDrops(): Readonly<Partial<Record<DropReason, number>>>;
  /** What the lanes remember of what they dropped. */
  lastDrops(): readonly DropTrace[];
  /** Turns each lane once; several lanes until none of them has anything to do. */
  turn(at?: number): number;
}

export interface GatewayOptions {
  readonly lanes?: number;
  readonly tunCount?: number;
  readonly sockets?: readonly LaneSocket[];
  readonly seed?: number;
  readonly slots?: number;
  readonly ikeRoom?: number;
  readonly pathMtu?: number;
}

export function makeGateway(options: GatewayOptions = {}): Gateway {
  const slots = options.slots ?? 16;
  const count = options.lanes ?? 1;
  const size = { slots, endpoints: slots, policies: 16, lanes: count };
  const table = formatSaTable(new ArrayBuffer(saTableRegions(size).total), size);
  const random = seededRandom(options.seed ?? 1);
  const keys = createTwinKeyStore(table);
  const ios = Array.from(
    { length: count },
    () => new MemoryPacketIo(table, options.tunCount ?? 1, options.sockets),
  );
  const engines = ios.map(() => createTwinEspEngine(table, keys, random));
  const inboxes = ios.map(() => new ArrayBuffer(inboxOctets(count)));
  const counters = ios.map(() => new Float64Array(HAND_OVER_COUNTERS));
  const dropRecords = ios.map(() => new ArrayBuffer(DROP_RECORD_OCTETS));
  const woken: number[] = [];
  const upcalls: LaneUpcall[] = [];
  const ike: IkeDatagram[] = [];
  const lanes = ios.map((io, index) =>
    createLane({
      index,
      io,
      engine: engines[index]!,
      table,
      dropRecord: dropRecords[index]!,
      ike: (datagram) => ike.length < (options.ikeRoom ?? 1e6) && ike.push(datagram) > 0,
      upcall: (upcall) => upcalls.length < gateway.upcallRoom && upcalls.push(upcall) > 0,
      ...(count > 1 && {
        handOver: new HandOver({
          lanes: count,
          index,
          inboxes,
          copy: copyInMemory,
          wake: (other) => woken.push(other),
          counters: counters[index]!,
        }),
      }),
      frames: 32,
      receiveReads: 4,
    }),
  );
  const pathMtu = options.pathMtu ?? 1500;
  const dataPlane = createDataPlane({ table, keys, random, pathMtu: () => pathMtu });
  const gateway: Gateway = {
    table,
    io: ios[0]!,
    lane: lanes[0]!,
    ios,
    lanes,
    handedOver: () => counters.flatMap((numbers) => [...numbers]).reduce((sum, one) => sum + one, 0),
    woken,
    dataPlane,
    keys,
    engine: engines[0]!,
    upcalls,
    upcallRoom: Number.POSITIVE_INFINITY,
    ike,
    setSpd: (entries, device = 0) => {
      for (const lane of lanes) lane.setSpd(device, compileSpd(entries));
    },
    protect: (name, pair) => ({
      action: "protect",
      selectors: pair,
      policy: { name, index: dataPlane.policyIndex(name) },
    }),
    drops: (reason) => lanes.reduce((sum, { drops }) => sum + drops[Drop[reason]]!, 0),
    allDrops: () =>
      Object.fromEntries(
        DROP_REASONS.map((reason) => [reason, gateway.drops(reason)]).filter(([, drops]) => drops !== 0),
      ),
    lastDrops: () => dropRecords.flatMap(readDropRecord),
    turn: (at = 0) => (count === 1 ? lanes[0]!.turn(Instant(at)) : turnAll(lanes, Instant(at))),
  };
  return gateway;
}

function turnAll(lanes: readonly Lane[], now: Instant): number {
  let all = 0;
  for (let handled = 1; handled > 0; all += handled)
    handled = lanes.reduce((sum, lane) => sum + lane.turn(now), 0);
  return all;
}

export interface PairOptions {
  readonly policy?: string;
  readonly suite?: EspSuite;
  readonly encapsulation?: Encapsulation;
  readonly a?: string;
  readonly b?: string;
  /** As A sees them. */
  readonly selectors?: SelectorPair;
  readonly lifetime?: SaLifetime;
  readonly handling?: Partial<SaHandling>;
  /** Distinguishes the keys of several pairs. */
  readonly firstSequenceNumber?: number;
  readonly lastSequenceNumber?: number;
  /** Called while B has both halves and A none. */
  readonly meanwhile?: (a: Gateway, b: Gateway, aInbound: Spi) => void;
}

export interface InstalledPair {
  readonly aInbound: Spi;
  readonly bInbound: Spi;
}

/** Installs an SA pair between two gateways, each with its inbound half first. */
export function installPair(a: Gateway, b: Gateway, options: PairOptions = {}): InstalledPair {
  const suite = options.suite ?? SUITES.aes256gcm16esn;
  const encapsulation = options.encapsulation ?? "udp";
  const pair = options.selectors ?? selectors("10.1.0.0/16, fd01::/32", "10.2.0.0/16, fd02::/32");
  const aEnd = endpoint(options.a ?? "192.0.2.1");
  const bEnd = endpoint(options.b ?? "198.51.100.2");
  const aInbound = a.dataPlane.reserve();
  const bInbound = b.dataPlane.reserve();
  const shared = {
    policy: options.policy ?? "net/lan",
    suite,
    encapsulation,
    lifetime: options.lifetime ?? {},
    handling: { ...HANDLING, ...options.handling },
  };
  const atA = { ...shared, local: aEnd, remote: bEnd, selectors: pair };
  const atB = {
    ...shared,
    local: bEnd,
    remote: aEnd,
    selectors: { local: pair.remote, remote: pair.local },
  };
  const numbers = {
    ...(options.firstSequenceNumber !== undefined && { firstSequenceNumber: options.firstSequenceNumber }),
    ...(options.lastSequenceNumber !== undefined && { lastSequenceNumber: options.lastSequenceNumber }),
  };
  b.dataPlane.execute({ kind: "addInboundSa", sa: { ...atB, spi: bInbound, keys: keysOf(suite, 0) } });
  b.dataPlane.execute({
    kind: "addOutboundSa",
    sa: { ...atB, ...numbers, spi: aInbound, inboundSpi: bInbound, keys: keysOf(suite, 1) },
  });
  options.meanwhile?.(a, b, aInbound);
  a.dataPlane.execute({ kind: "addInboundSa", sa: { ...atA, spi: aInbound, keys: keysOf(suite, 1) } });
  a.dataPlane.execute({
    kind: "addOutboundSa",
    sa: { ...atA, ...numbers, spi: bInbound, inboundSpi: aInbound, keys: keysOf(suite, 0) },
  });
  return { aInbound, bInbound };
}

/** Two gateways whose SPDs protect 10.1.0.0/16 and fd01::/32 with 10.2.0.0/16 and fd02::/32. */
export function makePair(options: PairOptions & GatewayOptions = {}): {
  a: Gateway;
  b: Gateway;
  spis: InstalledPair;
} {
  const a = makeGateway({ ...options, seed: 11 });
  const b = makeGateway({ ...options, seed: 22 });
  const pair = options.selectors ?? selectors("10.1.0.0/16, fd01::/32", "10.2.0.0/16, fd02::/32");
  a.setSpd([a.protect(options.policy ?? "net/lan", pair)]);
  b.setSpd([b.protect(options.policy ?? "net/lan", { local: pair.remote, remote: pair.local })]);
  return { a, b, spis: installPair(a, b, options) };
}

/** Queues packets that the host sends into the first device. */
export function send(gateway: Gateway, ...packets: readonly Uint8Array[]): void {
  gateway.io.fromHost[0]!.push(...packets);
}

export function acquires(gateway: Gateway): Extract<LaneUpcall, { kind: "acquire" }>[] {
  return gateway.upcalls.filter((upcall) => upcall.kind === "acquire");
}
