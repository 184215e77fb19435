/**
 * Bundles src/ into dist/: the program and its worker threads, a script each, and what others import as modules.
 * A start loads one file instead of several hundred, and beside it the code that V8 made of it.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type BuildOptions, build } from "esbuild";
import { addonSources } from "../src/io/addon-sources.ts";
import { SCRIPT, SCRIPT_BEGIN, SCRIPT_END } from "../src/io/compiled-script.ts";

const root = join(import.meta.dirname, "..");
const outdir = join(root, "dist");

// Every file of dist/ lies as deep as its source, so that paths to native/ and scripts/ hold for both.
/** Scripts, and what of src/ each leaves out: only `run` needs the gateway. */
const SCRIPTS: readonly (readonly [name: string, source: string, without?: readonly string[]])[] = [
  ["cli/commands", "cli/main", ["cli/early-start", "cli/run"]],
  ["cli/gateway", "cli/main"],
  ["io/lane-worker", "io/lane-worker"],
  ["io/compute-worker", "io/compute-worker"],
  ["daemon/reload-worker", "daemon/reload-worker"],
];
/** What runs them. */
const ENTRIES = {
  "cli/main": "src/cli/choose-script.ts",
  "io/lane-worker": "src/io/script-entry.ts",
  "io/compute-worker": "src/io/script-entry.ts",
  "daemon/reload-worker": "src/io/script-entry.ts",
};
const MODULES = ["control/connect", "daemon/embedded-gateway", "io/compile-scripts"];
/** They find files of their own beside themselves. */
const external = ["pino"];

const common: BuildOptions = {
  absWorkingDir: root,
  bundle: true,
  platform: "node",
  target: "node20.19",
  logLevel: "warning",
};
const addon = { TUNGATE_ADDON_SOURCES: JSON.stringify(addonSources(join(root, "native"))) };

/** An octet a character takes half the time and memory; esbuild escapes everything but comments and regular expressions. */
function inAscii(text: string): string {
  const ascii = text.replaceAll(/^\s*(\/\/|\*|\/\*).*/gm, (line) => line.replaceAll(/[^\0-\x7f]/g, "?"));
  const [other] = /.*[^\0-\x7f].*/.exec(ascii) ?? [];
  if (other !== undefined) throw new Error(`to be written in ASCII: ${other}`);
  return ascii;
}

async function buildScript([name, source, without = []]: (typeof SCRIPTS)[number]): Promise<void> {
  const { outputFiles } = await build({
    ...common,
    entryPoints: [`src/${source}.ts`],
    external: without.map((left) => join(root, `src/${left}.ts`)),
    write: false,
    format: "cjs",
    supported: { "dynamic-import": false },
    define: { ...addon, "import.meta.url": "SCRIPT_URL", "import.meta.dirname": "SCRIPT_FOLDER" },
    banner: { js: `${SCRIPT_BEGIN} const module = { exports: {} };` },
    footer: { js: SCRIPT_END },
  });
  const path = join(outdir, `${name}${SCRIPT}`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, inAscii(outputFiles[0]!.text));
}

rmSync(outdir, { recursive: true, force: true });
await Promise.all([
  ...SCRIPTS.map(buildScript),
  build({ ...common, entryPoints: ENTRIES, outdir, format: "esm" }),
  build({
    ...common,
    entryPoints: MODULES.map((entry) => `src/${entry}.ts`),
    outbase: "src",
    outdir,
    splitting: true,
    chunkNames: "io/[name]-[hash]",
    format: "esm",
    define: addon,
    external,
    // What CommonJS packages ask for at run time.
    banner: {
      js: 'import { createRequire as makeRequire } from "node:module";\nconst require = makeRequire(import.meta.url);',
    },
  }),
]);
// What scripts/install takes along besides.
writeFileSync(join(outdir, "external-packages"), `${external.join("\n")}\n`);
const { status } = spawnSync(join(root, "scripts/compile"), { stdio: "inherit" });
if (status !== 0) throw new Error(`scripts/compile ended with ${status}`);
