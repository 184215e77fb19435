/** Writes the header that tells the addon what it is made of: called by native/binding.gyp with the header's path. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { addonSources } from "../src/io/addon-sources.ts";

const [path] = process.argv.slice(2);
if (path === undefined) throw new Error("give the path of the header to write");
const digest = addonSources(join(import.meta.dirname, "..", "native"));
writeFileSync(
  path,
  `// Made by scripts/addon-sources.ts.
#define TUNGATE_ADDON_SOURCES_TEXT "${digest}"
#define TUNGATE_ADDON_SOURCES 0x${digest}
`,
);
