/** docs/quick-start.md: its commands as they stand there end with a tunnel, and print what it shows. */
import { expect, test } from "vitest";
import { runGuide } from "./harness/guide.ts";
import { describeWith } from "./harness/prerequisites.ts";

/** Numbers, sizes and SPIs differ from run to run. */
const likeness = (text: string) =>
  text
    .replace(/received, \d+% packet loss/, "received")
    .replace(/\d+(\.\d+)?/g, "0")
    .replace(/[ \t]+/g, " ")
    .trim();

describeWith(["tun", "build", "strongswan"], "quick start", () => {
  test("from two namespaces to a tunnel, and away with it", async () => {
    const { commands, outputs, shown } = await runGuide("quick-start.md");
    expect(outputs).toHaveLength(commands.length);
    const text = outputs.join("\n");
    expect(text).toContain("tungate.yaml: ok, 1 connection, 1 child");
    expect(text).toMatch(/3 packets transmitted, [23] received/);
    expect(text).toMatch(/office +up +192\.0\.2\.2/);
    // What status counts as dropped is another thing in each run.
    const compared = shown.flatMap((one, i) =>
      one === undefined || commands[i]!.includes("status") ? [] : [[likeness(one), likeness(outputs[i]!)]],
    );
    expect(compared).toHaveLength(4);
    for (const [told, printed] of compared) expect(printed).toBe(told);
    expect(shown.at(0)).toBeUndefined();
  });
});
