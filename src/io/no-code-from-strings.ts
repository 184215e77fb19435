/**
 * No code is made of strings at run time in the threads of the program. V8 has an option for it, but what Node.js brings compiled of
 * its own modules is for a V8 without options: under it each thread took twice as long to start.
 */

/** One of each kind that has a constructor of its own. */
const FUNCTIONS: readonly object[] = [
  () => undefined,
  async () => undefined,
  function* () {},
  async function* () {},
];

/** For this thread, from now on and for good: `eval` and the constructors of functions throw EvalError. */
export function forbidCodeFromStrings(): void {
  for (const one of FUNCTIONS) {
    const prototype = Object.getPrototypeOf(one) as { readonly constructor: NewableFunction };
    const { name } = prototype.constructor;
    // biome-ignore lint/complexity/useArrowFunction: `new` throws this error too, where an arrow would be no constructor.
    const substitute = function (): never {
      throw new EvalError("code is not made of strings here");
    };
    // `instanceof`, and what shows objects, find what they look for.
    Object.defineProperties(substitute, { name: { value: name }, prototype: { value: prototype } });
    replace(prototype, "constructor", substitute);
    if (prototype === Function.prototype) {
      replace(globalThis, "Function", substitute);
      replace(globalThis, "eval", substitute);
    }
  }
}

function replace(owner: object, key: string, value: unknown): void {
  Object.defineProperty(owner, key, { value, writable: false, configurable: false, enumerable: false });
}
