/** Descriptors that a service manager keeps and gives, and memory behind them. */
import { closeSync, fstatSync } from "node:fs";
import { expect, test } from "vitest";
import { openDescriptorStore } from "../../../src/io/descriptor-store.ts";
import { keepOctets, readKept, rewriteKept, wipeKept } from "../../../src/io/kept-memory.ts";
import { loadAddon } from "../../../src/io/native.ts";
import { describeNative } from "./native-addon.ts";

describeNative("what the environment says", () => {
  test("is taken out of it, and is for this process alone", () => {
    const environment = { LISTEN_PID: "41", LISTEN_FDS: "2", LISTEN_FDNAMES: "a:b", FDSTORE: "8" };
    const store = openDescriptorStore(undefined, environment, 42);
    expect(environment).toEqual({});
    expect([...store.given]).toEqual([]);
    expect(store.isThere).toBe(false);
    store.put("x", 1);
    store.remove("x");
    expect(store.settle(0)).toBe(true);
  });

  test("without room for descriptors there is no store, whatever else the manager does", () => {
    for (const FDSTORE of [undefined, "", "0", "none"])
      expect(openDescriptorStore("@nobody", { FDSTORE }, 1).isThere).toBe(false);
    const store = openDescriptorStore("@nobody", { FDSTORE: "8" }, 1);
    expect(store.isThere).toBe(true);
    expect(() => store.put("x", 1)).toThrow(expect.objectContaining({ code: "IO_SYSTEM_CALL_FAILED" }));
    expect(store.settle(10)).toBe(false);
  });

  test.each(["x", "-1", "1e3", "999999"])("a count of %s is none", (LISTEN_FDS) => {
    expect([...openDescriptorStore(undefined, { LISTEN_PID: "42", LISTEN_FDS }, 42).given]).toEqual([]);
  });
});

describeNative("kept memory", () => {
  test("gives back what it was given, and nothing once it is wiped", () => {
    const fd = keepOctets("test", Uint8Array.of(1, 2, 3));
    expect(readKept(fd)).toEqual(Uint8Array.of(1, 2, 3));
    rewriteKept(fd, Uint8Array.of(9));
    expect(readKept(fd)).toEqual(Uint8Array.of(9));
    wipeKept(fd);
    expect(readKept(fd)).toBeUndefined();
    closeSync(fd);
  });

  test.each([0, 5, 20, 42])("with one octet changed, at %i, there is nothing to read", (at) => {
    const fd = keepOctets("test", Uint8Array.of(1, 2, 3));
    const handle = loadAddon().mapMemory(fd);
    const memory = new Uint8Array(loadAddon().memoryBuffer(handle));
    memory[at] = memory[at]! ^ 1;
    expect(readKept(fd)).toBeUndefined();
    closeSync(fd);
  });

  test("memory of others is none of ours", () => {
    const fd = loadAddon().createMemory("short", 3);
    expect(readKept(fd)).toBeUndefined();
    expect(fstatSync(fd).size).toBe(3);
    closeSync(fd);
  });
});
