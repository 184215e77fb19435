/** Running the routes script: lines in, status and sentences out. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { guardsFile, routesScriptPath, runRoutesScript } from "../../../src/io/routes-script.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tungate-routes-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

function script(body: string, mode = 0o755): string {
  const path = join(directory, "script");
  writeFileSync(path, `#!/bin/sh\n${body}\n`);
  chmodSync(path, mode);
  return path;
}

test("the script of this package is there", async () => {
  const outcome = await runRoutesScript("apply", ["nonsense"], routesScriptPath()).catch((error) => error);
  expect(outcome).toMatchObject({ code: "IO_ROUTES_SCRIPT_FAILED" });
});

test.each([["applie"], ["apply", "--sav"], ["clear", "x"], ["prepare", "--user"]])(
  "wrong words end with the usage and status 2: %s %s",
  (...words) => {
    const { status, stderr } = spawnSync(routesScriptPath(), words, {
      encoding: "utf8",
      input: "",
      timeout: 60_000,
    });
    expect([status, stderr.split("\n")[0]]).toEqual([2, expect.stringMatching(/^ {2}tungate-routes apply /)]);
  },
);

test("it gets the verb and every line", async () => {
  const path = script(
    '[ "$*" = "apply --whole" ] && [ "$(cat)" = "table 220\nthrow 10.1.0.0/16\nend" ] || exit 2',
  );
  expect(await runRoutesScript("apply", ["table 220", "throw 10.1.0.0/16"], path)).toEqual({
    isComplete: true,
    complaints: [],
  });
});

test.each(["", "\n", "table 220\n", "table 220\nprotect 10.2.0.0/16 dev tg0\nen", "end\ntable 220\n"])(
  "lines that break off, as when the gateway is killed, change nothing: %j",
  (input) => {
    for (const verb of ["apply", "clear"]) {
      const words = { encoding: "utf8", input, timeout: 60_000 } as const;
      const { status, stdout, stderr } = spawnSync(routesScriptPath(), [verb, "--whole"], words);
      expect([status, stdout]).toEqual([2, ""]);
      expect(stderr).toBe("tungate-routes: the lines broke off, so nothing was changed\n");
    }
  },
);

test("what is protected is kept for the next boot where the service manager gives a place", async () => {
  const path = script('[ "$*" = "apply --whole --save /var/lib/tungate/guards" ] || exit 2');

  expect((await runRoutesScript("apply", [], path, "/var/lib/tungate/guards")).isComplete).toBe(true);
  expect(guardsFile({ STATE_DIRECTORY: "/var/lib/tungate:/var/lib/other" })).toBe("/var/lib/tungate/guards");
  expect(guardsFile({ STATE_DIRECTORY: "" })).toBeUndefined();
  expect(guardsFile({})).toBeUndefined();
});

test("status 1 means that something is not in place, with its sentences", async () => {
  const path = script("echo 'no such device' >&2; echo >&2; exit 1");
  expect(await runRoutesScript("apply", ["table 220"], path)).toEqual({
    isComplete: false,
    complaints: ["no such device"],
  });
});

test("any other status means that nothing was changed: an error with what the script said", async () => {
  const path = script("echo 'line 1: unknown word' >&2; exit 2");
  await expect(runRoutesScript("apply", ["x"], path)).rejects.toThrow("line 1: unknown word");
});

test("a script that reads nothing, one that may not be run, and one that is missing", async () => {
  const many = Array.from({ length: 50_000 }, (_, i) => `throw 10.${i >> 8}.${i & 255}.0/24`);
  expect((await runRoutesScript("apply", many, script("exit 0"))).isComplete).toBe(true);
  await expect(runRoutesScript("apply", [], script("exit 0", 0o644))).rejects.toThrow("may not be run");
  await expect(runRoutesScript("apply", [], join(directory, "nowhere"))).rejects.toThrow("missing");
});
