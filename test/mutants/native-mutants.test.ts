/** Plants each bug of native-mutants.ts in a copy of the addon, builds that, and requires that the named test fails. */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, test } from "vitest";
import { addonSources } from "../../src/io/addon-sources.ts";
import { MutatedTree, ROOT } from "./mutated-tree.ts";
import { NATIVE_MUTANTS } from "./native-mutants.ts";
import { TAKE_OVER_MUTANTS } from "./take-over-mutants.ts";

const isBuilt =
  existsSync(join(ROOT, "native/build/Makefile")) &&
  existsSync(join(ROOT, "native/build/Release/obj.target/tungate"));
if (!isBuilt && process.env["CI"] === "true") throw new Error("the native addon is not built: scripts/setup");

const hasLibrary = existsSync(join(ROOT, "native/build/Release/obj.target/tungate_ipsec_mb"));
const TARGETS = hasLibrary ? ["tungate", "tungate_ipsec_mb"] : ["tungate"];
const mutants = [
  ...NATIVE_MUTANTS.filter(({ file }) => hasLibrary || !file.includes("/ipsec_mb/")),
  ...TAKE_OVER_MUTANTS,
];

/** A header changes most of the addon, and other tests go before. */
const BUILD_MS = 400_000;
const AS_THEY_ARE = { recursive: true, preserveTimestamps: true };

describe.skipIf(!isBuilt)("the addon", () => {
  /** Only what changed is compiled; the makefile itself must not be made again, it names the folder that it came from. */
  const build = () => {
    const native = join(tree.folder, "native");
    execFileSync("make", ["-C", "build", "-o", "Makefile", "BUILDTYPE=Release", ...TARGETS], {
      cwd: native,
      stdio: "pipe",
      timeout: BUILD_MS,
    });
    // An addon that is refused as stale would fail every test, whatever the bug.
    if (!readFileSync(join(native, "build/Release/tungate.node")).includes(addonSources(native)))
      throw new Error("the addon was not built from the sources that hold the bug");
  };
  // To compile what holds no bug again would take as long as to compile the bug.
  const restore = () => {
    const native = join(tree.folder, "native");
    rmSync(join(native, "build"), { recursive: true });
    cpSync(join(native, "healthy"), join(native, "build"), AS_THEY_ARE);
  };
  const tree = new MutatedTree(mutants, "forks", { make: build, restore });

  beforeAll(() => {
    const native = join(tree.folder, "native");
    cpSync(join(ROOT, "native"), native, {
      ...AS_THEY_ARE,
      filter: (path) => !path.endsWith("/build/Debug"),
    });
    build();
    cpSync(join(native, "build"), join(native, "healthy"), AS_THEY_ARE);
  }, BUILD_MS);
  afterAll(() => tree.close());

  test.each(mutants.map((mutant) => [mutant.bug, mutant] as const))("%s: is killed", (_bug, mutant) =>
    tree.expectKilled(mutant),
  );
});
