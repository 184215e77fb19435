/** The order in which vitest begins test files: those that take longest first, so that nobody waits for one at the end. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** More than about a minute each in a whole run; of what vitest remembers of former runs a fresh clone has nothing. */
const LONGEST = [
  "sim/gateway",
  "interop/offloads",
  "interop/lanes",
  "interop/strongswan-failures",
  "interop/kernel-ikev2",
  "interop/path-mtu",
  "interop/kernel-esp",
  "interop/systemd",
  "interop/kernel-transport",
  "sim/lanes",
  "interop/strongswan",
  "interop/strongswan-names",
  "sim/presets",
  "interop/strongswan-actions",
  "sim/ike-life-odd",
  "interop/tfc",
  "interop/pair",
  "sim/ike-life-even",
  "sim/ike-siblings",
  "sim/ike-seeds",
  "unit/io/native-vaes",
  "unit/io/native-esp-engine",
].map((name) => join(import.meta.dirname, `${name}.test.ts`));

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const gone = LONGEST.filter((path) => !existsSync(path));
    if (gone.length > 0) throw new Error(`longest-first.ts names what is not there: ${gone.join(", ")}`);
    const rank = ({ moduleId }: TestSpecification) =>
      LONGEST.includes(moduleId) ? LONGEST.indexOf(moduleId) : LONGEST.length;
    return (await super.sort(files)).sort((one, other) => rank(one) - rank(other));
  }
}
