/** Plants each bug of native-mutants.ts in a copy of the addon, builds that, and requires that the named test fails. */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, test } from "vitest";
import { MutatedTree, ROOT } from "./mutated-tree.ts";
import { NATIVE_MUTANTS } from "./native-mutants.ts";

const isBuilt =
  existsSync(join(ROOT, "native/build/Makefile")) &&
  existsSync(join(ROOT, "native/build/Release/obj.target/tungate"));
if (!isBuilt && process.env["CI"] === "true") throw new Error("the native addon is not built: scripts/setup");

const BUILD_MS = 200_000;

describe.skipIf(!isBuilt)("the addon", () => {
  /** Only what changed is compiled; the makefile itself must not be made again, it names the folder that it came from. */
  const build = () =>
    execFileSync("make", ["-C", "build", "-o", "Makefile", "BUILDTYPE=Release", "tungate"], {
      cwd: join(tree.folder, "native"),
      stdio: "pipe",
      timeout: BUILD_MS,
    });
  const tree = new MutatedTree(NATIVE_MUTANTS, "forks", build);

  beforeAll(() => {
    cpSync(join(ROOT, "native"), join(tree.folder, "native"), {
      recursive: true,
      preserveTimestamps: true,
      filter: (path) => !path.endsWith("/build/Debug"),
    });
    build();
  }, BUILD_MS);
  afterAll(() => tree.close());

  test.each(NATIVE_MUTANTS.map((mutant) => [mutant.bug, mutant] as const))("%s: is killed", (_bug, mutant) =>
    tree.expectKilled(mutant),
  );
});
