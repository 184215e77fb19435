/** After it was forbidden no way of the language is left to make code of a string; before, each does. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { transformSync } from "esbuild";
import { expect, test } from "vitest";

const SOURCE = join(import.meta.dirname, "../../../src/io/no-code-from-strings.ts");
const { code } = transformSync(readFileSync(SOURCE, "utf8"), { loader: "ts", format: "esm" });

/** Expressions that are made by it; `kinds` are the constructors of all kinds of functions. */
const WAYS = `{
  direct: () => eval("6 * 7"),
  indirect: () => (0, eval)("6 * 7"),
  ofGlobal: () => globalThis.eval("6 * 7"),
  called: () => Function("return 6 * 7"),
  made: () => new Function("return 6 * 7"),
  ofFunction: () => (() => 0).constructor("return 6 * 7"),
  ofAsync: () => (async () => 0).constructor("return 6 * 7"),
  ofGenerator: () => (function* () {}).constructor("return 6 * 7"),
  ofAsyncGenerator: () => (async function* () {}).constructor("return 6 * 7"),
  ofClass: () => (class {}).constructor("return 6 * 7"),
  ofBuiltIn: () => Math.max.constructor("return 6 * 7"),
  inherited: () => new (class extends (() => 0).constructor {})("return 6 * 7"),
  reflected: () => Reflect.construct((() => 0).constructor, ["return 6 * 7"]),
  putBack: () => { delete Function.prototype.constructor; return (() => 0).constructor("return 6 * 7"); },
  overwritten: () => { globalThis.eval = kept; return 1; },
}`;

/** In a process of its own: it holds for good. @returns what each way leads to */
function tell(call: string): Record<string, string> {
  const program = `${code}
    const kept = globalThis.eval;
    ${call}
    const told = {};
    for (const [name, way] of Object.entries(${WAYS}))
      try { told[name] = typeof way(); } catch (error) { told[name] = error.name; }
    told.isFunction = String(tell instanceof Function && tell instanceof Object && Function.prototype === Object.getPrototypeOf(tell));
    function tell() {}
    console.log(JSON.stringify(told));`;
  const words = ["--input-type=module", "-e", program];
  return JSON.parse(execFileSync(process.execPath, words, { encoding: "utf8" })) as Record<string, string>;
}

test("eval and the constructors of functions throw, and nothing puts them back", () => {
  const { isFunction, putBack, overwritten, ...ways } = tell("forbidCodeFromStrings();");

  expect([...new Set(Object.values(ways))]).toEqual(["EvalError"]);
  expect([putBack, overwritten]).toEqual(["TypeError", "TypeError"]);
  expect(isFunction).toBe("true");
});

test("the control: without it each of them makes code", () => {
  const { isFunction, putBack, ...ways } = tell("");

  expect(Object.keys(ways).length).toBeGreaterThan(12);
  expect([...new Set(Object.values(ways))].sort()).toEqual(["function", "number"]);
  // Without a constructor of its own it is Object's, which makes none.
  expect(putBack).toBe("object");
  expect(isFunction).toBe("true");
});
