/** Programs that doctor runs: missing ones, ones that fail, hang, leave something behind, or never stop talking. */
import { expect, test } from "vitest";
import { look, searchPath } from "../../../src/doctor/gather/run.ts";

const shell = (script: string, limits = { timeoutMs: 20_000, outputOctets: 1000 }) =>
  look("sh", ["-c", script], limits);
const reason = async (fact: ReturnType<typeof look>) => {
  const found = await fact;
  return "unknown" in found ? found.unknown : undefined;
};

test("what it prints, and why there is nothing", async () => {
  expect(await shell("echo words; echo noise >&2")).toEqual({ value: "words\n" });
  expect(await reason(look("tungate-no-such-program", []))).toBe("tungate-no-such-program is not installed");
  expect(await reason(look("/dev/null", []))).toBe("/dev/null cannot be run: EACCES");
  expect(await reason(shell("printf 'not\\033 allowed\\nmore' >&2; exit 3"))).toMatch(
    / failed: not\? allowed$/,
  );
  expect(await reason(shell("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 3"))).toMatch(
    / failed: x{200}$/,
  );
});

test("who talks on and on is stopped", async () => {
  expect(await reason(shell("while :; do echo more; done"))).toMatch(/ says more than 1000 octets$/);
});

test("who hangs is not waited for, nor what it left behind with its pipes open", async () => {
  const limits = { timeoutMs: 300, outputOctets: 1000 };
  expect(await reason(shell("exec sleep 20", limits))).toMatch(/ does not end within 0.3 seconds$/);
  expect(await reason(shell("sleep 20 & exit 0", limits))).toMatch(/ does not end within/);
});

test("programs come from absolute folders, those of the system at the end", () => {
  const system = "/usr/sbin:/usr/bin:/sbin:/bin";
  expect(searchPath(undefined)).toBe(system);
  expect(searchPath("")).toBe(system);
  expect(searchPath(":.:bin:/opt/bin:")).toBe(`/opt/bin:${system}`);
});
