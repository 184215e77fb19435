/** The order in which vitest begins test files: those that take longest first, so that nobody waits for one at the end. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** More than about a minute each in a whole run; of what vitest remembers of former runs a fresh clone has nothing. */
const LONGEST = [
  "sim/gateway",
  "interop/strongswan-failures",
  "interop/offloads",
  "interop/lanes",
  "interop/see",
  "interop/tfc",
  "interop/path-mtu",
  "interop/kernel-ikev2",
  "interop/pair",
  "interop/reload",
  "interop/kernel-transport",
  "interop/kernel-esp",
  "interop/kernel-ah",
  "interop/systemd",
  "interop/strongswan",
  "interop/strongswan-names",
  "sim/lanes",
  "interop/strongswan-groups",
  "interop/strongswan-nat",
  "interop/strongswan-actions",
  "interop/strongswan-lifecycle",
  "interop/guest",
  "interop/restart",
  "interop/unreachable",
  "interop/monitoring",
  "interop/api",
  "sim/ike-life-odd",
  "sim/ike-seeds",
  "sim/ike-life-even",
  "sim/presets",
  "sim/ike-siblings",
  "unit/io/native-esp-engine",
  "unit/io/native-vaes",
  "mutants/native-mutants",
  "mutants/mutants",
  "mutants/service-mutants",
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
