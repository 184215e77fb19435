/** What `scripts/setup` takes as made already is made of what is there: the addon, and `dist/`, which expects that addon. */
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const SETUP = readFileSync(join(import.meta.dirname, "../../../scripts/setup"), "utf8");
const FILES = [
  "native/tun_io.cc",
  "native/build/Release/tungate.node",
  "src/io/addon-sources.ts",
  "src/esp/lifetime.ts",
  "scripts/addon-sources.ts",
  "scripts/build.ts",
  "scripts/compile",
  "package-lock.json",
  "tsconfig.json",
];

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "setup-"));
  for (const file of FILES) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), "one\n");
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The words by which setup knows again what it made. */
function stamps(): { addon: string; dist: string } {
  const lines = SETUP.split("\n").filter((line) => /^(?:digest\(\)|made=)/.test(line));
  const script = lines.map((line) => (line.startsWith("made=") ? `${line}; echo "$made"` : line)).join("\n");
  const words = execFileSync("bash", ["-euc", script], { cwd: folder, encoding: "utf8" }).split("\n");
  expect(words).toEqual([expect.stringMatching(/^\w{64}$/), expect.stringMatching(/^\w{64}$/), ""]);
  return { addon: words[0]!, dist: words[1]! };
}

test.each([
  ["native/tun_io.cc", true, true],
  ["src/io/addon-sources.ts", true, true],
  ["scripts/addon-sources.ts", true, false],
  ["src/esp/lifetime.ts", false, true],
  ["scripts/compile", false, true],
  ["native/build/Release/tungate.node", false, false],
])("after a change of %s the addon is built again: %s, dist/: %s", (file, addon, dist) => {
  const before = stamps();
  appendFileSync(join(folder, file), "two\n");
  const after = stamps();
  expect({ addon: after.addon !== before.addon, dist: after.dist !== before.dist }).toEqual({ addon, dist });
});
