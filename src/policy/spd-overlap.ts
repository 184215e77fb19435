/** Pairs of selectors that some packet matches both of, found without comparing every pair. */
import {
  bestSplit,
  boxesMeet,
  type Part,
  type SelectorSpace,
  selectorSpace,
  splitRegion,
  wholeSpace,
} from "./selector-space.ts";
import { pairsOverlap, type SelectorPair } from "./traffic-selector.ts";

/** Boxes that are compared pair by pair. */
const PAIRWISE_MAX = 16;
/** Boxes looked at while splitting, for each box of the whole; beyond, what is left is compared pair by pair. */
const LOOKED_AT_MAX = 200;
const LOOKED_AT_FREE = 100_000;

/**
 * Ascending pairs of indices into `pairs`, the first below the second; at most `most` of them and only those that are
 * wanted, which is asked once or oftener for each pair that overlaps.
 */
export function overlappingPairs(
  pairs: readonly SelectorPair[],
  most: number,
  isWanted: (first: number, second: number) => boolean = () => true,
): readonly (readonly [number, number])[] {
  const found = new Map<number, readonly [number, number]>();
  for (const length of [4, 16] as const) {
    const space = selectorSpace(pairs, length);
    if (found.size < most) sweep(space, pairs, { found, most, isWanted });
  }
  return [...found].sort(([a], [b]) => a - b).map(([, pair]) => pair);
}

/** Depth first, so that many overlaps are found before much is split. */
function sweep(space: SelectorSpace, pairs: readonly SelectorPair[], search: OverlapSearch): void {
  const scratch = new Uint32Array(2 * space.boxes);
  const all = Uint32Array.from({ length: space.boxes }, (_, box) => box);
  const open: Part[] = [{ boxes: all, region: wholeSpace(space) }];
  let lookedAt = 0;
  for (let part = open.pop(); part !== undefined; part = open.pop()) {
    const { boxes, region } = part;
    lookedAt += boxes.length;
    const isSmall = boxes.length <= PAIRWISE_MAX || lookedAt > space.boxes * LOOKED_AT_MAX + LOOKED_AT_FREE;
    const split = isSmall ? undefined : bestSplit(space, boxes, region, scratch);
    if (split === undefined) compareAll(space, pairs, boxes, search);
    else open.push(...splitRegion(space, boxes, region, split));
    if (search.found.size >= search.most) return;
  }
}

interface OverlapSearch {
  readonly found: Map<number, readonly [number, number]>;
  readonly most: number;
  readonly isWanted: (first: number, second: number) => boolean;
}

function compareAll(
  space: SelectorSpace,
  pairs: readonly SelectorPair[],
  boxes: Uint32Array,
  { found, most, isWanted }: OverlapSearch,
): void {
  for (let i = 0; i < boxes.length; i++)
    for (let j = 0; j < i; j++) {
      const first = space.entry[boxes[j]!]!;
      const second = space.entry[boxes[i]!]!;
      if (first === second || !boxesMeet(space, boxes[i]!, boxes[j]!)) continue;
      const key = first * pairs.length + second;
      if (found.has(key) || !pairsOverlap(pairs[first]!, pairs[second]!)) continue;
      if (!isWanted(first, second)) continue;
      found.set(key, [first, second]);
      if (found.size >= most) return;
    }
}
