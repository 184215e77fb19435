/** When V8 optimises what the daemon runs, in a process of its own: the flags are the whole process's. */
import { execFileSync, spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { RUN_TYPESCRIPT } from "../run-typescript.ts";

const COMPILATION = new URL("../../../src/io/compilation.ts", import.meta.url).href;
const LOOK_OCTETS = 32 * 1024;

/** Runs some 20 octets of bytecode at a time, and says at the end of each stretch whether it is optimised. */
const script = (stretches: string) => `
  import { setFlagsFromString } from "node:v8";
  import { compileForNegotiations, optimiseNow } from ${JSON.stringify(COMPILATION)};
  setFlagsFromString("--allow-natives-syntax");
  const statusOf = new Function("f", "return %GetOptimizationStatus(f)");
  const TURBOFAN = 1 << 6;
  function mix(a, b) { return ((a * 31) ^ (b >>> 3)) + (a & b); }
  let sum = 0;
  const told = [];
  function run(octets) {
    for (let i = 0; i < octets / 20; i++) sum = mix(sum, i) | 0;
    return new Promise((done) => setTimeout(() => (mix(sum, 1), done(told.push((statusOf(mix) & TURBOFAN) !== 0))), 100));
  }
  (async () => { ${stretches}; console.log(told.join()); })();
`;

/** The compiler has a thread of its own, which may have to wait for a processor; what runs meanwhile is too little for a look. */
const UNTIL_OPTIMISED =
  "for (let tries = 0; tries < 100 && !told[1]; tries++) { told.pop(); await run(20); }";

const { node, v8 } = process.versions;

test(`V8 ${v8} knows each flag that it is given`, () => {
  const begin = `import { compileForNegotiations } from ${JSON.stringify(COMPILATION)}; compileForNegotiations(() => 0);`;
  const words = [...RUN_TYPESCRIPT, "--input-type=module", "-e", begin];
  expect(spawnSync(process.execPath, words, { encoding: "utf8" })).toMatchObject({ status: 0, stderr: "" });
});

describe.runIf(node.startsWith("20."))("when code is optimised", () => {
  test("not while tunnels come up, and then at once what has run much", () => {
    const stretches = `
      compileForNegotiations(() => 0);
      await run(20 * ${LOOK_OCTETS});
      optimiseNow();
      await run(3 * ${LOOK_OCTETS});
      ${UNTIL_OPTIMISED}`;
    const words = [...RUN_TYPESCRIPT, "--input-type=module", "-e", script(stretches)];
    expect(execFileSync(process.execPath, words, { encoding: "utf8" }).trim()).toBe("false,true");
  });

  test.each([
    [499, "false,false"],
    [500, "false,true"],
  ])("sooner where lanes carry much: %i runs in a second", (perSecond, told) => {
    const stretches = `
      let asked = 0;
      // What asks keeps no process alive.
      const alive = setInterval(() => undefined, 1000);
      const wasAsked = new Promise((done) => {
        compileForNegotiations(() => {
          if (++asked === 2) setImmediate(done);
          return asked * ${perSecond};
        });
      });
      await run(20 * ${LOOK_OCTETS});
      await wasAsked;
      clearInterval(alive);
      await run(3 * ${LOOK_OCTETS});
      ${told === "false,true" ? UNTIL_OPTIMISED : ""}`;
    const words = [...RUN_TYPESCRIPT, "--input-type=module", "-e", script(stretches)];
    expect(execFileSync(process.execPath, words, { encoding: "utf8" }).trim()).toBe(told);
  });
});
