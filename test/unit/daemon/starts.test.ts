/** State that ends every process that takes it over is not kept for ever. */
import { expect, test } from "vitest";
import { STARTS_MAX, Starts } from "../../../src/daemon/starts.ts";
import type { DescriptorStore } from "../../../src/io/descriptor-store.ts";
import type { Fd } from "../../../src/io/native.ts";
import { describeNative } from "../io/native-addon.ts";

/** A manager that keeps what it gets from one process to the next. */
function manager() {
  const kept = new Map<string, Fd[]>();
  return (): DescriptorStore => ({
    isThere: true,
    given: new Map(kept),
    put: (name, fd) => void kept.set(name, [fd]),
    remove: (name) => void kept.delete(name),
    settle: () => true,
  });
}

describeNative("starts in a row", () => {
  test("are counted until one lasts, and one too many is known as such", () => {
    const store = manager();
    for (let start = 1; start <= STARTS_MAX; start++)
      expect(new Starts(store())).toMatchObject({ count: start, areTooMany: false });
    const last = new Starts(store());
    expect(last.areTooMany).toBe(true);
    last.forget();
    expect(new Starts(store()).count).toBe(1);
  });

  test("mean nothing where nobody keeps anything", () => {
    const store = { ...manager()(), isThere: false };
    for (let start = 0; start < 20; start++) expect(new Starts(store).areTooMany).toBe(false);
  });
});
