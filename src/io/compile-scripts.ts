/** Puts beside each script of dist/ the code that this Node.js makes of it; run without options, as bin/tungate does. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { compileScript, SCRIPT } from "./compiled-script.ts";

const dist = join(import.meta.dirname, "..");
for (const file of readdirSync(dist, { recursive: true, encoding: "utf8" }))
  if (file.endsWith(SCRIPT)) compileScript(join(dist, file.slice(0, -SCRIPT.length)));
