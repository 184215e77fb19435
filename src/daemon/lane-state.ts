/**
 * What lanes need besides the SA table and the keys, as plain data in memory: with it a new process has them running before it has
 * read its configuration. And what else only this process knows.
 */
import { IpAddress } from "../base/ip-address.ts";
import type { LaneSocket, SocketRole } from "../dataplane/packet-io.ts";
import type { Fingerprints } from "../ike/predecessor.ts";
import { decodePlain, encodePlain, StateError } from "../ike/sa/plain-value.ts";
import type { LaneOffloads } from "../io/lane-control.ts";
import type { Superpackets } from "../io/native-socket.ts";
import type { PolicyName } from "../policy/data-plane.ts";
import { SelectorRecord } from "../policy/sa-table.ts";
import { selectorMemory } from "../policy/selector-record.ts";
import type { CompiledSpd, SpdSearch } from "../policy/spd.ts";
import type { OuterSocketsOptions } from "./outer-sockets.ts";
import type { GivenAddress } from "./tun-addresses.ts";

/** Goes up whenever the meaning of what is below changes, compiled SPDs included; another version is not read. */
export const LANE_STATE_VERSION = 3;

/** What lanes stand on. Descriptors follow from it, see `kept-names.ts`. */
export interface Ground {
  readonly lanes: number;
  readonly offloads: LaneOffloads;
  /** It ran without capabilities, see `means.ts`. */
  readonly isConfined: boolean;
  readonly devices: readonly KeptDevice[];
  readonly sockets: readonly KeptSocket[];
  /** What the sockets were opened for. */
  readonly asked: OuterSocketsOptions;
}

export interface KeptDevice {
  readonly name: string;
  readonly asked: Superpackets;
}

export interface KeptSocket extends LaneSocket {
  /** Absent: bound to all addresses. */
  readonly address?: IpAddress;
  /** One per lane, or one for all of them. */
  readonly count: number;
}

export interface LaneState {
  /** The higher of two is the one that counts. */
  readonly generation: number;
  readonly ground: Ground;
  /** Index in the SA table by name. */
  readonly policies: ReadonlyMap<PolicyName, number>;
  readonly fingerprints: Fingerprints;
  /** By device. */
  readonly spds: readonly CompiledSpd[];
  readonly outerAddresses: readonly IpAddress[];
  readonly peers: readonly IpAddress[];
  /** Addresses of devices that they have from us. */
  readonly given: readonly GivenAddress[];
}

export function encodeLaneState(state: LaneState): Uint8Array {
  const { fingerprints, policies, spds, outerAddresses, peers, given, generation, ground } = state;
  return encodePlain({
    version: LANE_STATE_VERSION,
    generation,
    ground,
    policies: [...policies],
    connectionFingerprints: [...fingerprints.connections],
    policyFingerprints: [...fingerprints.policies],
    spds: spds.map(plainSpd),
    outerAddresses,
    peers,
    given,
  });
}

/** @throws {StateError} for another version, and for whatever has not this shape */
export function decodeLaneState(octets: Uint8Array): LaneState {
  const state = recordOf(decodePlain(octets));
  if (state["version"] !== LANE_STATE_VERSION)
    throw new StateError("STATE_VERSION", `it is of version ${state["version"]}, not ${LANE_STATE_VERSION}`);
  return {
    generation: numberOf(state["generation"]),
    ground: groundOf(recordOf(state["ground"])),
    policies: new Map(listOf(state["policies"], pairOf(textOf, numberOf))),
    fingerprints: {
      connections: new Map(listOf(state["connectionFingerprints"], pairOf(textOf, textOf))),
      policies: new Map(listOf(state["policyFingerprints"], pairOf(textOf, textOf))),
    },
    spds: listOf(state["spds"], spdOf),
    outerAddresses: listOf(state["outerAddresses"], addressOf),
    peers: listOf(state["peers"], addressOf),
    given: listOf(state["given"], (one) => {
      const { device, address, bits } = recordOf(one);
      return { device: textOf(device), address: addressOf(address), bits: numberOf(bits) };
    }),
  };
}

type Plain = Readonly<Record<string, unknown>>;

function groundOf(ground: Plain): Ground {
  const offloads = recordOf(ground["offloads"]);
  return {
    lanes: numberOf(ground["lanes"]),
    offloads: { sendsRuns: flagOf(offloads["sendsRuns"]), coalesces: flagOf(offloads["coalesces"]) },
    isConfined: flagOf(ground["isConfined"]),
    devices: listOf(ground["devices"], (one) => {
      const { name, asked } = recordOf(one);
      return { name: textOf(name), asked: superpacketsOf(asked) };
    }),
    sockets: listOf(ground["sockets"], socketOf),
    asked: askedOf(recordOf(ground["asked"])),
  };
}

function askedOf(asked: Plain): OuterSocketsOptions {
  const ports = recordOf(asked["ports"]);
  return {
    listen: listOf(asked["listen"], addressOf),
    ports: { ike: numberOf(ports["ike"]), nat: numberOf(ports["nat"]) },
    mark: numberOf(asked["mark"]),
    lanes: numberOf(asked["lanes"]),
    isConfined: flagOf(asked["isConfined"]),
    receivesAh: flagOf(asked["receivesAh"]),
    mergesReceived: flagOf(asked["mergesReceived"]),
  };
}

const ROLES: readonly SocketRole[] = ["ike", "nat", "esp", "ah", "whole"];

function socketOf(value: unknown): KeptSocket {
  const { role, family, localPort, address, count } = recordOf(value);
  const known = ROLES.find((one) => one === role);
  if (known === undefined || (family !== 4 && family !== 6)) throw malformed();
  return {
    role: known,
    family,
    localPort: numberOf(localPort),
    count: numberOf(count),
    ...(address === undefined ? {} : { address: addressOf(address) }),
  };
}

function superpacketsOf(value: unknown): Superpackets {
  const { tcp, udp } = recordOf(value);
  return { tcp: flagOf(tcp), udp: flagOf(udp) };
}

function plainSpd(spd: CompiledSpd): Plain {
  const search = ({ roots, nodes, addresses, candidates }: SpdSearch) =>
    [roots, nodes, addresses, candidates].map(octetsOf);
  const { action, policy, sides, selectors, ipv4, ipv6 } = spd;
  return {
    action: octetsOf(action),
    policy: octetsOf(policy),
    sides: octetsOf(sides),
    selectors: octetsOf(selectors.u8),
    ipv4: search(ipv4),
    ipv6: search(ipv6),
  };
}

function octetsOf({ buffer, byteOffset, byteLength }: Uint8Array | Uint32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function spdOf(value: unknown): CompiledSpd {
  const spd = recordOf(value);
  const action = new Uint8Array(sharedOf(spd["action"]));
  const policy = wordsOf(spd["policy"]);
  const sides = wordsOf(spd["sides"]);
  const selectors = sharedOf(spd["selectors"]);
  if (policy.length !== action.length || sides.length !== 4 * action.length) throw malformed();
  if (selectors.byteLength % SelectorRecord.STRIDE !== 0) throw malformed();
  return {
    action,
    policy,
    sides,
    selectors: selectorMemory(selectors),
    ipv4: searchOf(spd["ipv4"]),
    ipv6: searchOf(spd["ipv6"]),
  };
}

function searchOf(value: unknown): SpdSearch {
  const [roots, nodes, addresses, candidates] = listOf(value, wordsOf);
  if (roots === undefined || nodes === undefined || addresses === undefined || candidates === undefined)
    throw malformed();
  return { roots, nodes, addresses, candidates };
}

/** In memory that threads share. */
function sharedOf(value: unknown): SharedArrayBuffer {
  if (!(value instanceof Uint8Array)) throw malformed();
  const memory = new SharedArrayBuffer(value.length);
  new Uint8Array(memory).set(value);
  return memory;
}

function wordsOf(value: unknown): Uint32Array {
  const memory = sharedOf(value);
  if (memory.byteLength % 4 !== 0) throw malformed();
  return new Uint32Array(memory);
}

function recordOf(value: unknown): Plain {
  if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Uint8Array)
    throw malformed();
  return value as Plain;
}

function listOf<Item>(value: unknown, item: (one: unknown) => Item): readonly Item[] {
  if (!Array.isArray(value)) throw malformed();
  return value.map(item);
}

function pairOf<First, Second>(first: (one: unknown) => First, second: (one: unknown) => Second) {
  return (value: unknown): readonly [First, Second] => {
    if (!Array.isArray(value) || value.length !== 2) throw malformed();
    return [first(value[0]), second(value[1])];
  };
}

function numberOf(value: unknown): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw malformed();
  return value;
}

function textOf(value: unknown): string {
  if (typeof value !== "string") throw malformed();
  return value;
}

function flagOf(value: unknown): boolean {
  if (typeof value !== "boolean") throw malformed();
  return value;
}

function addressOf(value: unknown): IpAddress {
  if (!(value instanceof Uint8Array) || (value.length !== 4 && value.length !== 16)) throw malformed();
  return IpAddress(value);
}

function malformed(): StateError {
  return new StateError("STATE_MALFORMED", "it has not the shape of its version");
}
