/** A search tree over an SPD's entries: each step compares one field of the packet with one value (RFC 4301 section 4.4.1). */
import {
  AXES,
  bestSplit,
  coversRegion,
  type Part,
  type SelectorSpace,
  splitRegion,
  wholeSpace,
} from "./selector-space.ts";

/** Set in a candidate: its entry matches every packet whose search ends there, which need not be compared any more. */
export const SPD_CERTAIN = 0x80000000;
/** Set in a candidate of a packed forest: it is the last one of its leaf. */
export const SPD_LAST = 0x40000000;
/** Entries stand in several leaves where their selectors cross; this many times as often as there are boxes, at most. */
const COPIES_MAX = 12;
const COPIES_FREE = 1024;
/** For `dim` of a node: the search ends here. */
export const SPD_TREE_LEAF = 0xffffffff;
/** Words of a node: position of the field in the key or {@link SPD_TREE_LEAF}; the value from which on it goes to the upper
 * half, or the first candidate; number of the word of the lower half's node, behind which the upper one's follows, or one
 * past the last candidate. */
export const SPD_TREE_NODE_WORDS = 3;

/** A forest in plain numbers; almost always one tree. */
export interface SpdForest {
  /** By tree: its first node's word, and its lowest entry; ascending by entry. */
  readonly roots: readonly number[];
  readonly nodes: readonly number[];
  /** IPv6: values that a node compares an address with are numbers of these, each eight UTF-16 units. */
  readonly addresses: readonly string[];
  /** Entry numbers, ascending within a leaf; the last one may have {@link SPD_CERTAIN}. */
  readonly candidates: readonly number[];
}

/**
 * Plants one tree; where entries cross so often that it would grow too large (ports of any network against networks of any
 * port), one for each kind of entry, by the fields that an entry leaves wide open.
 */
export function plantForest(space: SelectorSpace): SpdForest {
  const forest: Growth = { roots: [], nodes: [], addresses: [], numbers: new Map(), candidates: [] };
  if (space.boxes === 0) return forest;
  const all = Uint32Array.from({ length: space.boxes }, (_, box) => box);
  if (grow(space, all, forest, "give up")) return forest;
  const kinds = new Map<number, number[]>();
  for (const box of all) {
    const kind = openAxes(space, box);
    const ofKind = kinds.get(kind);
    if (ofKind === undefined) kinds.set(kind, [box]);
    else ofKind.push(box);
  }
  for (const boxes of kinds.values()) grow(space, Uint32Array.from(boxes), forest, "stop splitting");
  return forest;
}

interface Growth extends SpdForest {
  readonly roots: number[];
  readonly nodes: number[];
  readonly addresses: string[];
  readonly numbers: Map<string, number>;
  readonly candidates: number[];
}

function openAxes({ cuts, low, high }: SelectorSpace, box: number): number {
  let open = 0;
  for (let axis = 0; axis < AXES.length; axis++)
    if (2 * (high[axis]![box]! - low[axis]![box]! + 1) > cuts[axis]!.length) open |= 1 << axis;
  return open;
}

/**
 * Level by level, so that what is left when it gets too large is evenly small.
 * @returns false when it got too large and was to be given up: the forest is as before
 */
function grow(
  space: SelectorSpace,
  boxes: Uint32Array,
  forest: Growth,
  whenTooLarge: "give up" | "stop splitting",
): boolean {
  const { nodes, candidates, roots } = forest;
  const before = [nodes.length, candidates.length] as const;
  const most = boxes.length * COPIES_MAX + COPIES_FREE;
  const scratch = new Uint32Array(2 * boxes.length);
  const first = nodes.length;
  nodes.push(0, 0, 0);
  const waiting: { readonly at: number; readonly part: Part }[] = [
    { at: first, part: prune(space, { boxes, region: wholeSpace(space) }) },
  ];
  let copies = boxes.length;
  for (let next = 0; next < waiting.length; next++) {
    const { at, part } = waiting[next]!;
    const split = copies > most ? undefined : bestSplit(space, part.boxes, part.region, scratch);
    if (split === undefined) {
      writeLeaf(space, part, nodes, candidates, at);
      continue;
    }
    const halves = splitRegion(space, part.boxes, part.region, split).map((half) => prune(space, half));
    copies += halves[0]!.boxes.length + halves[1]!.boxes.length - part.boxes.length;
    if (copies > most && whenTooLarge === "give up") {
      nodes.length = before[0];
      candidates.length = before[1];
      return false;
    }
    nodes[at] = AXES[split.axis]!;
    nodes[at + 1] = cutValue(space, forest, split.axis, split.at);
    nodes[at + 2] = nodes.length;
    for (const half of halves) {
      waiting.push({ at: nodes.length, part: half });
      nodes.push(0, 0, 0);
    }
  }
  roots.push(first, space.entry[boxes[0]!]!);
  return true;
}

/** Without what comes after an entry that matches every packet of the region. */
function prune(space: SelectorSpace, { boxes, region }: Part): Part {
  for (let i = 0; i < boxes.length; i++)
    if (space.isExact[boxes[i]!] === 1 && coversRegion(space, boxes[i]!, region))
      return { boxes: boxes.subarray(0, i + 1), region };
  return { boxes, region };
}

function writeLeaf(
  space: SelectorSpace,
  { boxes, region }: Part,
  nodes: number[],
  candidates: number[],
  at: number,
): void {
  const first = candidates.length;
  let last = -1;
  for (const box of boxes) {
    const entry = space.entry[box]!;
    const isCertain = space.isExact[box] === 1 && coversRegion(space, box, region);
    if (entry === last) candidates.pop();
    candidates.push(isCertain ? (entry | SPD_CERTAIN) >>> 0 : entry);
    last = entry;
  }
  nodes[at] = SPD_TREE_LEAF;
  nodes[at + 1] = first;
  nodes[at + 2] = candidates.length;
}

function cutValue({ cuts }: SelectorSpace, forest: Growth, axis: number, at: number): number {
  const value = cuts[axis]![at]!;
  if (typeof value === "number") return value;
  const known = forest.numbers.get(value);
  if (known !== undefined) return known;
  forest.numbers.set(value, forest.addresses.length);
  forest.addresses.push(value);
  return forest.addresses.length - 1;
}
