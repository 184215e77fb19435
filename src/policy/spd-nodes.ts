/**
 * The search tree as lanes read it: up to three levels of comparisons with the same field are one node of at most 64 octets, so
 * that a search among 10,000 entries touches a handful of them instead of a piece of memory for each comparison.
 *
 * A node of `n` words (4, 8 or 16): the field's position in the key, and n/4 above {@link SPD_HALF_SHIFT}; n/2 - 1 values,
 * ascending, the last one repeated where there are fewer; n/2 references, one more than values. A reference is the word of
 * a node, or {@link SPD_LEAF} and the number of the first candidate, or {@link SPD_ONLY} and an entry that matches whatever
 * gets there, which saves the look at its candidate, or {@link SPD_NOTHING}.
 */
import { Key } from "./selector-record.ts";
import { SPD_CERTAIN, SPD_LAST, SPD_TREE_LEAF, SPD_TREE_NODE_WORDS, type SpdForest } from "./spd-tree.ts";

export const SPD_HALF_SHIFT = 8;
export const SPD_FIELD_MASK = 0xff;
/** In a reference: the search ends here. */
export const SPD_LEAF = 0x80000000;
/** In a reference, which then is above all leaves: the search ends with this entry. */
export const SPD_ONLY = 0xc0000000;
/** No entry matches. */
export const SPD_NOTHING = 0xffffffff;
const VALUES_MAX = 7;

export interface PackedForest {
  /** By tree: a reference to its first node, and its lowest entry; ascending by entry. */
  readonly roots: readonly number[];
  readonly nodes: readonly number[];
  /** As in the forest, but those of a node one behind the other. */
  readonly addresses: readonly string[];
  /** As in the forest; the last one of each leaf has {@link SPD_LAST}. */
  readonly candidates: readonly number[];
}

interface Packing {
  readonly nodes: number[];
  readonly addresses: string[];
}

export function packForest(forest: SpdForest): PackedForest {
  const packed = { roots: [...forest.roots], nodes: [], addresses: [], candidates: [...forest.candidates] };
  const { roots, candidates } = packed;
  /** Nodes of the forest in the order in which they are packed, level by level, and where references to each are wanted. */
  const waiting: Waiting[] = [];
  for (let tree = 0; tree < roots.length; tree += 2)
    waiting.push({ from: roots[tree]!, into: roots, at: tree, count: 1 });
  for (let next = 0; next < waiting.length; next++) {
    const { from, into, at, count } = waiting[next]!;
    const [field, first, past] = nodeAt(forest, from);
    if (field !== SPD_TREE_LEAF) into.fill(packNode(forest, from, packed, waiting), at, at + count);
    else if (first === past) into.fill(SPD_NOTHING, at, at + count);
    else if (past === first + 1 && candidates[first]! >= SPD_CERTAIN)
      into.fill((SPD_ONLY | candidates[first]!) >>> 0, at, at + count);
    else {
      into.fill((SPD_LEAF | first) >>> 0, at, at + count);
      candidates[past - 1] = (candidates[past - 1]! | SPD_LAST) >>> 0;
    }
  }
  return packed;
}

interface Waiting {
  readonly from: number;
  readonly into: number[];
  readonly at: number;
  readonly count: number;
}

/** Appends a node without its references, for which what it refers to has to wait; the word where it begins. */
function packNode(
  forest: SpdForest,
  from: number,
  { nodes, addresses }: Packing,
  waiting: Waiting[],
): number {
  const word = nodes.length;
  const [field] = nodeAt(forest, from);
  const { values, parts } = gather(forest, from);
  const half = values.length > 3 ? 4 : values.length > 1 ? 2 : 1;
  nodes.push(field | (half << SPD_HALF_SHIFT));
  const areNumbers = forest.addresses.length > 0 && field >= Key.LOCAL_ADDRESS;
  for (let i = 0; i < 2 * half - 1; i++) {
    const value = values[Math.min(i, values.length - 1)]!;
    nodes.push(areNumbers ? addresses.push(forest.addresses[value]!) - 1 : value);
  }
  for (const [i, part] of parts.entries()) {
    const count = i === parts.length - 1 ? 2 * half - i : 1;
    waiting.push({ from: part, into: nodes, at: word + 2 * half + i, count });
  }
  for (let i = 0; i < 2 * half; i++) nodes.push(SPD_NOTHING);
  return word;
}

function nodeAt({ nodes }: SpdForest, at: number): readonly [field: number, second: number, third: number] {
  return [nodes[at]!, nodes[at + 1]!, nodes[at + 2]!];
}

interface Gathered {
  readonly values: number[];
  /** What lies below the first value, between the first and the second, and so on. */
  readonly parts: number[];
}

/** The comparisons with one field that follow each other, the uppermost first, in the order of their values. */
function gather(forest: SpdForest, root: number): Gathered {
  const [axis] = nodeAt(forest, root);
  const values: number[] = [];
  const parts = [root];
  for (let isGrowing = true; isGrowing; ) {
    isGrowing = false;
    // One level in each pass, so that no side gets deeper than the others.
    for (let i = 0; i < parts.length && values.length < VALUES_MAX; i++) {
      const [field, value, lower] = nodeAt(forest, parts[i]!);
      if (field !== axis) continue;
      values.splice(i, 0, value);
      parts.splice(i, 1, lower, lower + SPD_TREE_NODE_WORDS);
      isGrowing = true;
      i++;
    }
  }
  return { values, parts };
}
