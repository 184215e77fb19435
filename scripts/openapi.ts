/** Writes docs/openapi.json anew from the schemas: `npm run openapi`. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openApiDocument } from "../src/control/openapi.ts";

const root = join(import.meta.dirname, "..");
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
writeFileSync(join(root, "docs/openapi.json"), `${JSON.stringify(openApiDocument(version), null, 2)}\n`);
