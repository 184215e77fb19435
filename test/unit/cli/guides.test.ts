/** docs/cloud.md: what it shows of `tungate check` is what that prints of its configurations. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { check } from "../../../src/cli/check.ts";

const GUIDE = readFileSync(join(import.meta.dirname, "../../../docs/cloud.md"), "utf8");

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tungate-guides-"));
  mkdirSync(join(folder, "secrets"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function example(cloud: string): string {
  const section = GUIDE.split(/^## /m).find((text) => text.startsWith(cloud));
  return /^```yaml\n(.*?)^```$/ms.exec(section!)![1]!;
}

/** What `check` prints, warnings first, of a configuration that lies in the folder by this name. */
function checked(name: string, configuration: string, effective = false): string {
  const file = join(folder, name);
  writeFileSync(file, configuration);
  for (const [secret] of configuration.matchAll(/secrets\/[a-z0-9-]+/g))
    writeFileSync(join(folder, secret), "correct horse battery staple\n", { mode: 0o600 });
  const printed: string[] = [];
  const said: string[] = [];
  const options = { config: file, json: false, effective };
  const write = (text: string) => void printed.push(text);
  const writeError = (text: string) => void said.push(text);
  const status = check(options, { write, writeError, environment: {} } as unknown as Parameters<
    typeof check
  >[1]);
  expect(status).toBe(0);
  return [...said, ...printed].join("").replaceAll(`${folder}/`, "");
}

/** Lines that stand below a command. */
function shown(file: string): string {
  const [, lines] = new RegExp(`^    \\$ tungate check -c ${file}\n((?:    .+\n)+)`, "m").exec(GUIDE)!;
  return lines!.replaceAll(/^ {4}/gm, "");
}

test("AWS: what check says, and a part of what holds", () => {
  const configuration = example("AWS");
  expect(checked("tungate.yaml", configuration)).toBe(shown("tungate.yaml"));
  const [, part] = /^```text\n(.*?)^```$/ms.exec(GUIDE)!;
  expect(checked("tungate.yaml", configuration, true)).toContain(part);
});

test("Azure: without the proposals of a custom policy the weak group is named, with them it is not", () => {
  const configuration = example("Azure");
  const bare = configuration.replaceAll(/^ +(ike|children|any):.*\n/gm, "");
  expect(checked("azure.yaml", bare)).toBe(shown("azure.yaml"));
  expect(checked("azure.yaml", configuration)).not.toContain("warning");
});
