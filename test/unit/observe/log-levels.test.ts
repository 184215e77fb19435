import { expect, test, vi } from "vitest";
import { Instant, seconds } from "../../../src/base/instant.ts";
import { parseIpAddress } from "../../../src/base/ip-address.ts";
import { type LeveledLog, LogControl } from "../../../src/daemon/log-control.ts";
import type { IkeNotice } from "../../../src/ike/notice.ts";
import { createLog, NoticeLog } from "../../../src/observe/log.ts";
import { LogLevels, OWN_LEVELS_MAX } from "../../../src/observe/log-levels.ts";

const at = Instant;

test("a connection's level is its own and its peers', until its time is over or the usual one comes back", () => {
  const levels = new LogLevels("info");
  expect(levels.isEnabled("debug", "paris", at(0))).toBe(false);
  expect(levels.set("debug", "paris", seconds(10), at(0))).toBe(true);
  for (const name of ["paris", "paris#7", "paris#1.2"])
    expect(levels.isEnabled("debug", name, at(9999))).toBe(true);
  for (const name of ["parish", "oslo", undefined])
    expect(levels.isEnabled("debug", name, at(0))).toBe(false);
  expect(levels.differing(at(1))).toEqual([{ connection: "paris", level: "debug", until: at(10_000) }]);
  expect(levels.isEnabled("debug", "paris", at(10_000))).toBe(false);
  expect(levels.differing(at(10_000))).toEqual([]);

  levels.set("error", "paris", undefined, at(0));
  expect(levels.isEnabled("warn", "paris", at(0))).toBe(false);
  levels.set("info", "paris", undefined, at(0));
  expect(levels.differing(at(0))).toEqual([]);
  levels.set("silent", undefined, undefined, at(0));
  expect(levels.isEnabled("error", "paris", at(0))).toBe(false);
  levels.set("info", undefined, undefined, at(0));
  expect(levels.isEnabled("info", "paris", at(0))).toBe(true);
});

test("so many connections may have one, and no more", () => {
  const levels = new LogLevels("info");
  for (let i = 0; i < OWN_LEVELS_MAX; i++) expect(levels.set("debug", `c${i}`, seconds(1), at(0))).toBe(true);
  expect(levels.set("debug", "more", undefined, at(0))).toBe(false);
  expect(levels.set("trace", "c1", undefined, at(0))).toBe(true);
  expect(levels.set("debug", "more", undefined, at(2000))).toBe(true);
});

test("a level that was told stays as it was told when what is above it ends", () => {
  const levels = new LogLevels("info");
  levels.set("debug", undefined, seconds(10), at(0));
  levels.set("debug", "paris", undefined, at(0));
  expect(levels.isEnabled("debug", "oslo", at(20_000))).toBe(false);
  expect(levels.isEnabled("debug", "paris", at(20_000))).toBe(true);
  // A peer may be as usual while its connection is not.
  levels.set("info", "paris#3", undefined, at(20_000));
  expect(levels.isEnabled("debug", "paris#3", at(20_000))).toBe(false);
  expect(levels.isEnabled("debug", "paris#4", at(20_000))).toBe(true);
});

test("notices of the connection are written that otherwise are not, and status says so", () => {
  const lines: string[] = [];
  const log = createLog({
    level: "info",
    format: "json",
    useColor: false,
    destination: { write: (line) => void lines.push(line) },
  });
  const control = new LogControl(log as LeveledLog, { now: () => at(0) }, log);
  control.isName = (name) => name === "paris";
  const notices = new NoticeLog(log, control.levelsInUse);
  const remote = { address: parseIpAddress("192.0.2.1")!, port: 500 };
  const connecting = (connection: string) =>
    ({ code: "connecting", connection, remote, local: remote }) as unknown as IkeNotice;
  notices.write(connecting("paris"), at(0));
  expect(lines).toEqual([]);
  expect(control.setLevel({ level: "debug", connection: "paris", seconds: 60 })).toEqual({
    levels: [{ connection: "paris", level: "debug", endsInSeconds: 60 }],
  });
  expect(control.advice()).toEqual(["the level of the log of paris is debug, for another 60 s"]);
  lines.length = 0;
  notices.write(connecting("paris"), at(1));
  notices.write(connecting("oslo"), at(1));
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ level: "debug", connection: "paris" }]);
  expect(() => control.setLevel({ level: "debug", connection: "rome" })).toThrow(
    "no connection is named rome",
  );
  control.isName = () => true;
  for (let i = 1; i < OWN_LEVELS_MAX; i++) control.setLevel({ level: "debug", connection: `c${i}` });
  expect(() => control.setLevel({ level: "debug", connection: "rome" })).toThrow(
    expect.objectContaining({
      code: "CONTROL_BUSY",
      message: expect.stringContaining("tungate log info NAME"),
    }),
  );
});

test("the level of everything is the log's own, and comes back after its time", () => {
  vi.useFakeTimers();
  const log = { level: "info", debug() {}, info() {}, warn() {}, error() {} };
  let now = 0;
  const control = new LogControl(log, { now: () => at(now) }, log);
  control.setLevel({ level: "debug", seconds: 5 });
  expect(log.level).toBe("debug");
  expect(control.levelsInUse.isEnabled("debug", "paris", at(now))).toBe(true);
  now = 5000;
  vi.advanceTimersByTime(5000);
  expect(log.level).toBe("info");
  expect(control.advice()).toEqual([]);
  vi.useRealTimers();
});

test("who makes the log silent is told by it, whatever it was before", () => {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const log = createLog({ level: "warn", format: "json", useColor: false, destination });
  const control = new LogControl(log as LeveledLog, { now: () => at(0) }, log.child({}, { level: "info" }));
  control.setLevel({ level: "silent" });
  log.error("nobody reads this");
  expect(lines.map((line) => JSON.parse(line).msg)).toEqual(["the level of the log is silent now"]);
});
