/**
 * Selectors as boxes: the addresses, protocol and ports of a packet are five axes, cut where some selector begins or ends
 * (RFC 4301 section 4.4.1.1). Small whole numbers then stand for all that lies between two cuts.
 */
import { type IpAddress, nextIpAddress } from "../base/ip-address.ts";
import { Key } from "./selector-record.ts";
import {
  ANY_PROTOCOL,
  isAnyPort,
  isOpaquePort,
  type SelectorPair,
  type TrafficSelector,
} from "./traffic-selector.ts";

/** Where a packet key has the value of each axis. */
export const AXES = [
  Key.REMOTE_ADDRESS,
  Key.LOCAL_ADDRESS,
  Key.PROTOCOL,
  Key.LOCAL_PORT,
  Key.REMOTE_PORT,
] as const;
/** The last axis of addresses. */
const LOCAL = 1;

/** An entry with more combinations of a local and a remote selector than this gets boxes that are too large, but few. */
const COMBINATIONS_MAX = 64;
/** Past the ports: those that cannot be seen. */
const OPAQUE = 0x10000;

/** A value on an axis; IPv6 addresses as eight UTF-16 units, which compare as the addresses do. */
export type Point = number | string;
/** Its first value, and the first one past it unless it reaches the end of the axis. */
type Range = readonly [start: Point, past: Point | undefined];
const ANY: Range = [0, undefined];

export interface SelectorSpace {
  /** Octets of an address. */
  readonly length: 4 | 16;
  /** By axis: values at which something begins, ascending; the first is zero. */
  readonly cuts: readonly (readonly Point[])[];
  readonly boxes: number;
  /** By box, ascending. */
  readonly entry: Uint32Array;
  /** By box; 0: it holds packets that its entry does not match. */
  readonly isExact: Uint8Array;
  /** By axis and box: numbers of the first and the last cut that the box holds. */
  readonly low: readonly Uint32Array[];
  readonly high: readonly Uint32Array[];
}

/** The boxes of all selectors of one family. */
export function selectorSpace(pairs: readonly SelectorPair[], length: 4 | 16): SelectorSpace {
  const entry: number[] = [];
  const isExact: number[] = [];
  const ranges: Range[][] = AXES.map(() => []);
  const add = (index: number, exact: boolean, box: readonly Range[]) => {
    entry.push(index);
    isExact.push(exact ? 1 : 0);
    for (const [axis, range] of box.entries()) ranges[axis]!.push(range);
  };
  for (const [index, { local, remote }] of pairs.entries()) {
    const ours = local.filter(({ addresses }) => addresses.start.length === length);
    const theirs = remote.filter(({ addresses }) => addresses.start.length === length);
    if (ours.length === 0 || theirs.length === 0) continue;
    if (ours.length * theirs.length > COMBINATIONS_MAX) {
      const hull = hullOf(ours);
      for (const one of theirs) add(index, false, [addressRange(one), hull, ANY, ANY, ANY]);
      continue;
    }
    for (const one of theirs)
      for (const other of ours) {
        const protocol = commonProtocol(one.protocol, other.protocol);
        if (protocol !== undefined)
          add(index, true, [
            addressRange(one),
            addressRange(other),
            protocol,
            portRange(other),
            portRange(one),
          ]);
      }
  }
  return number(length, entry, isExact, ranges);
}

function number(
  length: 4 | 16,
  entry: readonly number[],
  isExact: readonly number[],
  ranges: readonly (readonly Range[])[],
): SelectorSpace {
  const cuts: Point[][] = [];
  const low: Uint32Array[] = [];
  const high: Uint32Array[] = [];
  for (const [axis, ofAxis] of ranges.entries()) {
    const points = new Set<Point>([length === 16 && axis <= LOCAL ? "\0".repeat(8) : 0]);
    for (const [start, past] of ofAxis) {
      points.add(start);
      if (past !== undefined) points.add(past);
    }
    const sorted = [...points].sort((a, b) => (a < b ? -1 : 1));
    const numbers = new Map(sorted.map((point, index) => [point, index]));
    const numberOf = (point: Point | undefined) =>
      point === undefined ? sorted.length : numbers.get(point)!;
    cuts.push(sorted);
    low.push(Uint32Array.from(ofAxis, ([start]) => numberOf(start)));
    high.push(Uint32Array.from(ofAxis, ([, past]) => numberOf(past) - 1));
  }
  return {
    length,
    cuts,
    boxes: entry.length,
    entry: Uint32Array.from(entry),
    isExact: Uint8Array.from(isExact),
    low,
    high,
  };
}

function addressRange({ addresses: { start, end } }: TrafficSelector): Range {
  const past = nextIpAddress(end);
  return [addressPoint(start), past && addressPoint(past)];
}

function addressPoint(address: IpAddress): Point {
  const view = new DataView(address.buffer, address.byteOffset, address.length);
  if (address.length === 4) return view.getUint32(0);
  let units = "";
  for (let at = 0; at < 16; at += 2) units += String.fromCharCode(view.getUint16(at));
  return units;
}

function hullOf(selectors: readonly TrafficSelector[]): Range {
  let [start, past] = ANY;
  for (const [i, range] of selectors.map(addressRange).entries()) {
    if (i === 0 || range[0] < start) start = range[0];
    if (i === 0 || range[1] === undefined || (past !== undefined && range[1] > past)) past = range[1];
  }
  return [start, past];
}

/** `undefined`: no packet has both. */
function commonProtocol(a: number, b: number): Range | undefined {
  if (a !== b && a !== ANY_PROTOCOL && b !== ANY_PROTOCOL) return undefined;
  const protocol = a === ANY_PROTOCOL ? b : a;
  return protocol === ANY_PROTOCOL ? ANY : [protocol, protocol + 1];
}

function portRange({ ports }: TrafficSelector): Range {
  if (isAnyPort(ports)) return ANY;
  return isOpaquePort(ports) ? [OPAQUE, undefined] : [ports.start, ports.end + 1];
}

/** A part of the space: by axis, the first and the last cut. */
export interface Region {
  readonly low: readonly number[];
  readonly high: readonly number[];
}

export function wholeSpace({ cuts }: SelectorSpace): Region {
  return { low: cuts.map(() => 0), high: cuts.map((ofAxis) => ofAxis.length - 1) };
}

/** Whether a box holds all of a region that it meets. */
export function coversRegion({ low, high }: SelectorSpace, box: number, region: Region): boolean {
  for (let axis = 0; axis < AXES.length; axis++)
    if (low[axis]![box]! > region.low[axis]! || high[axis]![box]! < region.high[axis]!) return false;
  return true;
}

export interface Split {
  readonly axis: number;
  /** Number of the first cut of the upper half. */
  readonly at: number;
}

/**
 * Where a region is best cut in two: at the median of what begins and ends in it, on the axis that parts the boxes most
 * evenly with the fewest in both halves. So a region is cut along one axis no oftener than the logarithm of its cuts.
 * @param scratch - room for two numbers per box
 * @returns `undefined` when every box holds the whole region
 */
export function bestSplit(
  space: SelectorSpace,
  boxes: Uint32Array,
  region: Region,
  scratch: Uint32Array,
): Split | undefined {
  let best: Split | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (let axis = 0; axis < AXES.length; axis++) {
    const low = space.low[axis]!;
    const high = space.high[axis]!;
    const first = region.low[axis]!;
    const last = region.high[axis]!;
    let ends = 0;
    for (const box of boxes) {
      if (low[box]! > first) scratch[ends++] = low[box]!;
      if (high[box]! < last) scratch[ends++] = high[box]! + 1;
    }
    if (ends === 0) continue;
    const at = scratch.subarray(0, ends).sort()[ends >> 1]!;
    let below = 0;
    let above = 0;
    for (const box of boxes) {
      if (low[box]! < at) below++;
      if (high[box]! >= at) above++;
    }
    // What is the same for all is asked once, above, and not again below every other question.
    const isCommon = boxes.length > 1 && (below === 0 || above === 0);
    const cost = isCommon ? 0 : below * below + above * above;
    if (cost < least) {
      least = cost;
      best = { axis, at };
    }
  }
  return best;
}

/** The lower and the upper half of a region, with the boxes that meet each. */
export function splitRegion(
  { low, high }: SelectorSpace,
  boxes: Uint32Array,
  region: Region,
  { axis, at }: Split,
): readonly [Part, Part] {
  const lows = low[axis]!;
  const highs = high[axis]!;
  return [
    {
      boxes: boxes.filter((box) => lows[box]! < at),
      region: { low: region.low, high: region.high.with(axis, at - 1) },
    },
    {
      boxes: boxes.filter((box) => highs[box]! >= at),
      region: { low: region.low.with(axis, at), high: region.high },
    },
  ];
}

export interface Part {
  readonly boxes: Uint32Array;
  readonly region: Region;
}

/** Whether two boxes have a packet in common. */
export function boxesMeet({ low, high }: SelectorSpace, a: number, b: number): boolean {
  for (let axis = 0; axis < AXES.length; axis++)
    if (low[axis]![a]! > high[axis]![b]! || low[axis]![b]! > high[axis]![a]!) return false;
  return true;
}
