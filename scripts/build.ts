/**
 * Bundles src/ into dist/: the program and its worker threads, with what they share in chunks.
 * A start loads a handful of files instead of several hundred, and that is most of a start's time.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { addonSources } from "../src/io/addon-sources.ts";

const root = join(import.meta.dirname, "..");
const outdir = join(root, "dist");

/** They find files of their own beside themselves. */
const external = ["pino", "pino-pretty"];

rmSync(outdir, { recursive: true, force: true });
await build({
  absWorkingDir: root,
  entryPoints: [
    "src/cli/main.ts",
    "src/io/lane-worker.ts",
    "src/io/compute-worker.ts",
    "src/daemon/reload-worker.ts",
    "src/control/connect.ts",
    "src/daemon/embedded-gateway.ts",
  ],
  outbase: "src",
  outdir,
  bundle: true,
  splitting: true,
  // Every file of dist/ lies as deep as its source, so that paths to native/ and scripts/ hold for both.
  chunkNames: "io/[name]-[hash]",
  format: "esm",
  platform: "node",
  target: "node20.19",
  define: { TUNGATE_ADDON_SOURCES: JSON.stringify(addonSources(join(root, "native"))) },
  external,
  // What CommonJS packages ask for at run time.
  banner: {
    js: 'import { createRequire as makeRequire } from "node:module";\nconst require = makeRequire(import.meta.url);',
  },
  logLevel: "warning",
});
// What scripts/install takes along besides.
writeFileSync(join(outdir, "external-packages"), `${external.join("\n")}\n`);
