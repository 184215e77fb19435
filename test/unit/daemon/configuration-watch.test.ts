/** The configuration on disk: it and its secrets are read once they are at rest, and what cannot be looked at ends nothing. */
import { chmodSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test, vi } from "vitest";
import { ConfigurationWatch, type Finding } from "../../../src/daemon/configuration-watch.ts";
import { fileMark } from "../../../src/daemon/file-mark.ts";

const folder = mkdtempSync(join(tmpdir(), "tungate-watch-"));
const at = (name: string) => join(folder, name);
let watch: ConfigurationWatch | undefined;
afterEach(() => watch?.close());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function watching(secrets: readonly string[] = []) {
  const finding: Finding = { onDisk: "differs", text: "1 connection changed" };
  const compare = vi.fn(async (): Promise<Finding | undefined> => finding);
  const onFinding = vi.fn();
  const made = new ConfigurationWatch({
    file: at("tungate.yaml"),
    secrets: () => secrets,
    compare,
    onFinding,
  });
  watch = made;
  const look = async (times: number) => {
    for (let i = 0; i < times; i++) await made.look();
  };
  return { watch: made, compare, onFinding, look };
}

/** Another file in its place, as editors and `mv` leave it. */
function put(name: string, text: string): void {
  writeFileSync(at("new"), text);
  renameSync(at("new"), at(name));
}

test("another secret is found as another configuration is, once, and when nobody writes any more", async () => {
  put("tungate.yaml", "a");
  put("secret", "a");
  const { watch, compare, onFinding, look } = watching([at("secret")]);
  await look(3);
  expect([compare.mock.calls.length, watch.finding]).toEqual([0, { onDisk: "same" }]);

  put("secret", "b");
  await look(1);
  expect(compare).not.toHaveBeenCalled();
  await look(3);
  expect(compare).toHaveBeenCalledTimes(1);
  expect(watch.finding).toMatchObject({ onDisk: "differs" });
  expect(onFinding).toHaveBeenCalledTimes(1);
});

test("whoever has just written the configuration is not told that it is what runs", () => {
  put("tungate.yaml", "a");
  const { watch } = watching();
  put("tungate.yaml", "b");
  expect(watch.finding).toEqual({ onDisk: "unread" });
});

test("a file that is taken away, comes back, or cannot be looked at is a finding and no error", async () => {
  put("tungate.yaml", "a");
  put("secret", "a");
  const { compare, look, watch } = watching([at("secret")]);
  rmSync(at("secret"));
  await look(2);
  expect(compare).toHaveBeenCalledTimes(1);
  // Which nobody can open: as where a directory on the way is closed to us.
  symlinkSync("secret", at("secret"));
  await look(2);
  expect(compare).toHaveBeenCalledTimes(2);
  rmSync(at("tungate.yaml"));
  symlinkSync("tungate.yaml", at("tungate.yaml"));
  expect(watch.finding).toEqual({ onDisk: "unread" });
  await look(2);
  expect(compare).toHaveBeenCalledTimes(3);
});

test("what is not compared now is compared at the next look", async () => {
  put("tungate.yaml", "a");
  const { compare, look, watch } = watching();
  compare.mockResolvedValueOnce(undefined);
  put("tungate.yaml", "b");
  await look(2);
  expect([compare.mock.calls.length, watch.finding]).toEqual([1, { onDisk: "unread" }]);
  await look(1);
  expect([compare.mock.calls.length, watch.finding.onDisk]).toEqual([2, "differs"]);
});

test("a mark tells content, place and permissions apart", () => {
  put("file", "a");
  const marks = [fileMark(at("file"))];
  chmodSync(at("file"), 0o600);
  marks.push(fileMark(at("file")));
  put("file", "b");
  marks.push(fileMark(at("file")), fileMark(at("nothing")), fileMark("\0"));
  expect(new Set(marks).size).toBe(5);
  expect(fileMark(at("file"))).toBe(marks[2]);
});
