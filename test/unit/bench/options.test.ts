/** What the benches take, and what they say of what they do not take. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { pairsOf, unknownRow } from "../../../scripts/bench/handshake-rows.ts";
import { numberOf, readOptions } from "../../../scripts/bench/options.ts";
import { RUN_TYPESCRIPT } from "../run-typescript.ts";

const BENCH = join(import.meta.dirname, "../../../scripts/bench/handshakes.ts");
const OPTIONS = { rounds: { type: "string", default: "3" } } as const;

afterEach(() => vi.restoreAllMocks());

/** What a bench would print, and its status; absent where it goes on. */
function ended(words: readonly string[], work: () => void) {
  const said: string[] = [];
  const say = (text: string) => void said.push(text);
  vi.spyOn(console, "log").mockImplementation(say);
  vi.spyOn(console, "error").mockImplementation(say);
  const exit = vi.spyOn(process, "exit").mockImplementation(() => {
    throw new Error("it ends");
  });
  vi.spyOn(process, "argv", "get").mockReturnValue(["node", BENCH, ...words]);
  try {
    work();
    return undefined;
  } catch {
    return { status: exit.mock.lastCall?.[0], text: said.join("\n") };
  }
}

test("the head of a bench is its help; what is unknown is said with it", () => {
  const read = () => readOptions(BENCH, OPTIONS);
  const help = ended(["--help"], read)!;
  expect(help.status).toBe(0);
  expect(help.text).toContain("[--rounds N]");
  expect(help.text).not.toMatch(/^ ?\*|import/m);
  const wrong = ended(["--nonsense"], read)!;
  expect(wrong.status).toBe(2);
  expect(wrong.text).toMatch(/^handshakes: Unknown option '--nonsense'/);
  expect(wrong.text).toContain(help.text);
  expect(ended(["--rounds", "4"], () => expect(read()).toEqual({ rounds: "4" }))).toBeUndefined();
});

test.each(["0", "-1", "1.5", "", "many"])("a number that cannot be: '%s'", (text) => {
  const wrong = ended([], () => numberOf(BENCH, "rounds", text, 1))!;
  expect(wrong.status).toBe(2);
  expect(wrong.text).toMatch(/^handshakes: --rounds wants a number from 1/);
});

test("a row that nothing would be measured for is no row", () => {
  expect(unknownRow(["tungate-strongswan", "tungate-tungate"], pairsOf("psk"))).toBeUndefined();
  expect(unknownRow(["tungate-strongswan", "strongswan-tungate"], pairsOf("psk"))).toBe("strongswan-tungate");
  expect(unknownRow(["tungate-strongswan"], pairsOf("hybrid"))).toBe("tungate-strongswan");
});

test("the bench of handshakes reads its options before it does anything", () => {
  const run = (...words: string[]) =>
    spawnSync(process.execPath, [...RUN_TYPESCRIPT, BENCH, ...words], { encoding: "utf8" });
  const { status, stderr } = run("--kinds", "hybrid", "--many", "0", "--only", "tungate-strongswan");
  expect(status).toBe(2);
  expect(stderr).toMatch(/^handshakes: there is no row tungate-strongswan among what is measured/);
});
