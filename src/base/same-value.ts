/** Whether two configurations, or parts of them, say the same. Not for secrets of strangers: see crypto/constant-time. */
import { equal } from "./bytes.ts";

/**
 * Compares plain values: objects, arrays, maps, octets and what is no object. Where something stands in its file (`place`) makes no
 * difference, nor does a key that is there without a value.
 */
export function isSameValue(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (a instanceof Uint8Array || b instanceof Uint8Array)
    return a instanceof Uint8Array && b instanceof Uint8Array && equal(a, b);
  if (a instanceof Map || b instanceof Map)
    return a instanceof Map && b instanceof Map && isSameValue([...a], [...b]);
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = keysOf(a);
  return (
    keys.length === keysOf(b).length &&
    keys.every((key) => isSameValue(Reflect.get(a, key), Reflect.get(b, key)))
  );
}

function keysOf(value: object): readonly string[] {
  return Object.keys(value).filter((key) => key !== "place" && Reflect.get(value, key) !== undefined);
}
