/** Which index of the SA table stands for which policy. */
import type { PolicyName } from "../policy/data-plane.ts";
import { SadError } from "../policy/sad-error.ts";

export interface PolicyRegistry {
  /** The index of a name, made when it is new. @throws {@link SadError} `SAD_FULL` */
  take(name: PolicyName): number;
  indexOf(name: PolicyName): number | undefined;
  nameOf(index: number): PolicyName | undefined;
  /** Gives the name up: at once, or by {@link freeReleased} when SAs still use it. */
  release(name: PolicyName, isUsed: boolean): void;
  /** All names with their indices. */
  all(): ReadonlyMap<PolicyName, number>;
  /** Frees the index if the name was given up before. */
  freeReleased(name: PolicyName): void;
}

/**
 * Free indices are used in turn, so that a lane with an older SPD has the most time before one means something else.
 * @param taken - names that another process gave
 */
export function createPolicyRegistry(
  capacity: number,
  taken: ReadonlyMap<PolicyName, number> = new Map(),
): PolicyRegistry {
  const indices = new Map(taken);
  const names = new Map([...taken].map(([name, index]) => [index, name]));
  let free = Array.from({ length: capacity }, (_, index) => index).filter((index) => !names.has(index));
  let firstFree = 0;
  const released = new Set<PolicyName>();
  const forget = (name: PolicyName) => {
    const index = indices.get(name);
    released.delete(name);
    if (index === undefined) return;
    indices.delete(name);
    names.delete(index);
    free.push(index);
  };
  return {
    take(name) {
      released.delete(name);
      const known = indices.get(name);
      if (known !== undefined) return known;
      const index = free[firstFree];
      if (index === undefined) throw new SadError("SAD_FULL", `all ${capacity} policy indices are in use`);
      firstFree++;
      if (firstFree > capacity) {
        free = free.slice(firstFree);
        firstFree = 0;
      }
      indices.set(name, index);
      names.set(index, name);
      return index;
    },
    indexOf: (name) => indices.get(name),
    nameOf: (index) => names.get(index),
    all: () => indices,
    release(name, isUsed) {
      if (isUsed) released.add(name);
      else forget(name);
    },
    freeReleased(name) {
      if (released.has(name)) forget(name);
    },
  };
}
