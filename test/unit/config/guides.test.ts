/** The guides for sites, clouds and the way from strongSwan: what they show as a configuration is one. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { load } from "./memory-reader.ts";

/** Usable as text and as base64. */
const KEY = Buffer.from("correct horse battery staple").toString("base64");

test.each([
  ["quick-start.md", /^cat > \S+tungate\.yaml <<'END'\n(.*?)^END$/gms, 1],
  ["site-to-site.md", /^```yaml\n(.*?)^```$/gms, 1],
  ["cloud.md", /^```yaml\n(.*?)^```$/gms, 4],
  ["migrating-from-strongswan.md", /^```yaml\n(.*?)^```$/gms, 1],
] as const)("%s", (page, pattern, count) => {
  const text = readFileSync(join(import.meta.dirname, "../../../docs", page), "utf8");
  const examples = [...text.matchAll(pattern)].map((match) => match[1]!);
  expect(examples).toHaveLength(count);
  for (const example of examples) {
    const names = [...example.matchAll(/file: (secrets\/[a-z0-9-]+)/g)].map((match) => match[1]!);
    expect(names.length).toBeGreaterThan(0);
    const { connections, warnings } = load(example, {
      files: Object.fromEntries(names.map((name) => [name, KEY])),
    });
    expect(connections.length).toBeGreaterThan(0);
    expect(warnings.map(({ message }) => message)).toEqual([]);
  }
});
