/**
 * Writes the types of what the package exports into dist/: of all files only those that an importer comes across. The documents
 * of the control API are made from its schemas, so that no type of a library is among them.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, normalize } from "node:path";
import { componentSchemas } from "../src/control/openapi.ts";
import { type JsonSchema, typeText } from "./json-schema-types.ts";

const root = join(import.meta.dirname, "..");
const DOCUMENTS = "control/documents.d.ts";

const config = JSON.parse(readFileSync(join(root, "tsconfig.package.json"), "utf8")) as { files: string[] };
const emitted = mkdtempSync(join(tmpdir(), "tungate-types-"));
try {
  const compiler = join(root, "node_modules/.bin/tsc");
  const { stdout } = spawnSync(compiler, ["-p", "tsconfig.package.json", "--outDir", emitted], {
    cwd: root,
    encoding: "utf8",
  });
  // Files that nobody comes across may have types that cannot be written down.
  const complaints = new Map<string, string>(
    [...stdout.matchAll(/^src\/(.*?)\.ts\(.*$/gm)].map(([line, name]) => [`${name}.d.ts`, line] as const),
  );
  const wanted = config.files.map((file) => file.replace(/^src\//, "").replace(/\.ts$/, ".d.ts"));
  const written = new Set<string>();
  for (let path = wanted.pop(); path !== undefined; path = wanted.pop()) {
    if (written.has(path)) continue;
    written.add(path);
    const complaint = complaints.get(path);
    if (complaint !== undefined) throw new Error(complaint);
    const text = path === DOCUMENTS ? documentsText() : readFileSync(join(emitted, path), "utf8");
    const target = join(root, "dist", path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text.replaceAll(/(from ")(\.[^"]*)\.ts(")/g, "$1$2.js$3"));
    for (const [, name] of text.matchAll(/from "(\.[^"]*)\.ts"/g))
      wanted.push(normalize(join(dirname(path), `${name}.d.ts`)));
    const foreign = [...text.matchAll(/from "([^.][^"]*)"/g)].map(([, name]) => name!);
    const libraries = foreign.filter((name) => !name.startsWith("node:"));
    if (libraries.length > 0) throw new Error(`the types of ${path} need ${libraries.join(", ")}`);
  }
} finally {
  rmSync(emitted, { recursive: true, force: true });
}

function documentsText(): string {
  const types = Object.entries(componentSchemas()).map(
    ([name, schema]) => `export type ${name} = ${typeText(schema as JsonSchema)};\n`,
  );
  return `/** The documents of the control API, made from its schemas; docs/openapi.json has the same. */\n${types.join("\n")}`;
}
