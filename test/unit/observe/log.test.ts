/** Log lines: level, fields, words, and the limit on what strangers can have written. */
import { expect, test } from "vitest";
import { utf8 } from "../../../src/base/bytes.ts";
import { Instant } from "../../../src/base/instant.ts";
import { parseIpAddress } from "../../../src/base/ip-address.ts";
import { Spi, ZERO_IKE_SPI } from "../../../src/base/spi.ts";
import type { IkeNotice } from "../../../src/ike/notice.ts";
import { CAUSES_MAX, LineLimiter } from "../../../src/observe/line-limiter.ts";
import {
  createLog,
  FAILURE_LINES_PER_MINUTE,
  type LogFormat,
  NoticeLog,
  noticeLevel,
  STRANGER_LINES_PER_MINUTE,
} from "../../../src/observe/log.ts";
import type { LogLevel } from "../../../src/observe/log-level.ts";

const remote = { address: parseIpAddress("198.51.100.77")!, port: 500 };
const ikeSa = { initiatorSpi: ZERO_IKE_SPI, responderSpi: ZERO_IKE_SPI };
const spis = { inboundSpi: Spi(0xc0ffee01), outboundSpi: Spi(0xc0ffee02) };
const wrongKey: IkeNotice = {
  code: "authenticationFailed",
  connection: "rome",
  remote,
  role: "responder",
  cause: "wrongKey",
  expects: "psk",
  identity: { idType: 2, data: utf8("gw-b") },
  method: 2,
};
const stranger: IkeNotice = { code: "noConnectionFor", remote };

function recorder(level: LogLevel = "info", format: LogFormat = "json") {
  let written = "";
  const destination = {
    write: (text: string) => {
      written += text;
    },
  };
  const log = createLog({ level, format, useColor: false, destination });
  return {
    log,
    notices: new NoticeLog(log),
    text: () => written,
    lines: () =>
      written
        .trim()
        .split("\n")
        .filter((line) => line !== ""),
  };
}

test("a notice is one JSON line with code, names, sentence and details, and no address among its fields", () => {
  const { notices, lines } = recorder();
  notices.write(wrongKey, Instant(0));
  const line = JSON.parse(lines()[0]!) as Record<string, unknown>;
  expect(lines()).toHaveLength(1);
  expect(line).toMatchObject({ level: "error", code: "authenticationFailed", connection: "rome" });
  expect(line["msg"]).toContain("198.51.100.77 (gw-b)");
  expect(line["details"]).toHaveLength(1);
  expect(line["time"]).toMatch(/^\d{4}-\d\d-\d\dT/);
  expect(line).not.toHaveProperty("remote");
  expect(line).not.toHaveProperty("pid");
});

test("at debug the fields have the address too, and SAs are named by their SPIs", () => {
  const { notices, lines } = recorder("debug");
  notices.write(
    { code: "childSaDown", connection: "rome", child: "lan", remote, ikeSa, spis, reason: "rekeyed" },
    Instant(0),
  );
  expect(JSON.parse(lines()[0]!)).toMatchObject({
    remote: "198.51.100.77:500",
    child: "lan",
    ikeSa: "0000000000000000_0000000000000000",
    childSa: "c0ffee01_c0ffee02",
  });
});

test("on a terminal the sentence stands behind its connection, details are below", () => {
  const { notices, text, log } = recorder("info", "pretty");
  notices.write({ ...wrongKey, child: "lan" }, Instant(0));
  log.info("running");
  const [first, second, third] = text().split("\n");
  expect(first).toMatch(
    /^\[\d\d:\d\d:\d\d\.\d{3}\] ERROR: rome\/lan: the pre-shared key of 198\.51\.100\.77 \(gw-b\)/,
  );
  expect(second).toMatch(/^ {8}put the same key into connections\.rome\.psk/);
  expect(third).toMatch(/INFO: running$/);
});

test("for the journal each line has a priority in front and the code behind its sentence, and no time", () => {
  const { notices, text, log } = recorder("debug", "journal");
  notices.write({ ...wrongKey, child: "lan" }, Instant(0));
  log.info({ suppressed: 3 }, "running");
  for (const level of ["debug", "warn", "fatal"] as const) log[level]("so");
  log.error({ err: new Error("unforeseen") }, "a request failed");
  const lines = text().trimEnd().split("\n");
  expect(lines[0]).toMatch(
    /^<3>rome\/lan: the pre-shared key of 198\.51\.100\.77 \(gw-b\) .* \[authenticationFailed\]$/,
  );
  expect(lines[1]).toMatch(/^<3> {8}put the same key into connections\.rome\.psk/);
  const rest = lines.slice(lines.indexOf("<6>running"));
  expect(rest.slice(0, 5)).toEqual(["<6>running", "<6>    suppressed: 3", "<7>so", "<4>so", "<2>so"]);
  expect(rest[5]).toBe("<3>a request failed");
  expect(rest.slice(6).join("\n")).toContain("unforeseen");
  for (const line of lines) expect(line).toMatch(/^<[2-7]>/);
});

test("levels: what stops a connection is an error, what was asked for is not", () => {
  const down = (reason: "command" | "expired") =>
    noticeLevel({ code: "ikeSaDown", connection: "rome", ikeSa, reason });
  expect([noticeLevel(wrongKey), noticeLevel(stranger), down("command"), down("expired")]).toEqual([
    "error",
    "warn",
    "info",
    "warn",
  ]);
  const { notices, lines } = recorder("info");
  notices.write({ code: "droppedMessage", remote, reason: "malformed", total: 1 }, Instant(0));
  expect(lines()).toEqual([]);
});

test("strangers get so many lines a minute, and what was left out is counted", () => {
  const { notices, lines } = recorder();
  const other = (i: number): IkeNotice => ({ ...stranger, remote: { ...remote, port: 1024 + i } });
  for (let i = 0; i < STRANGER_LINES_PER_MINUTE + 5; i++) notices.write(other(i), Instant(i));
  expect(lines()).toHaveLength(STRANGER_LINES_PER_MINUTE);
  notices.write(wrongKey, Instant(59_000));
  expect(lines()).toHaveLength(STRANGER_LINES_PER_MINUTE + 1);
  notices.write(stranger, Instant(60_000));
  expect(JSON.parse(lines().at(-1)!)).toMatchObject({ code: "noConnectionFor", suppressed: 5 });
  notices.write(stranger, Instant(60_001));
  expect(lines()).toHaveLength(STRANGER_LINES_PER_MINUTE + 2);
  notices.write(other(1), Instant(60_002));
  expect(JSON.parse(lines().at(-1)!)).toMatchObject({ suppressed: 1 });
  notices.write(other(2), Instant(60_003));
  expect(JSON.parse(lines().at(-1)!)).not.toHaveProperty("suppressed");
});

test("the same failure again is one line a minute, and its repeats are counted", () => {
  const { notices, lines } = recorder();
  for (let i = 0; i < 10; i++) notices.write(wrongKey, Instant(i));
  expect(lines()).toHaveLength(1);
  notices.write({ ...wrongKey, child: "lan" }, Instant(20));
  expect(lines()).toHaveLength(2);
  notices.write(wrongKey, Instant(60_000));
  expect(JSON.parse(lines()[2]!)).toMatchObject({ code: "authenticationFailed", suppressed: 9 });
});

test("failures of one kind that differ each time are limited too", () => {
  const { notices, lines } = recorder();
  const other = (i: number): IkeNotice => ({ ...wrongKey, identity: { idType: 2, data: utf8(`gw-${i}`) } });
  for (let i = 0; i < FAILURE_LINES_PER_MINUTE + 5; i++) notices.write(other(i), Instant(i));
  expect(lines()).toHaveLength(FAILURE_LINES_PER_MINUTE);
  notices.write({ ...wrongKey, connection: "oslo" }, Instant(50));
  expect(lines()).toHaveLength(FAILURE_LINES_PER_MINUTE + 1);
});

test("causes beyond the limit push out those that were quiet longest", () => {
  const limiter = new LineLimiter();
  const take = (name: string) => limiter.take(name, "same", 2, Instant(0));
  take("first");
  for (let i = 0; i < CAUSES_MAX - 1; i++) take(`${i}`);
  expect(take("first")).toBeUndefined();
  take("one more");
  expect(take("first")).toBeUndefined();
  expect(take("0")).toBe(0);
});

test("a silent log says nothing", () => {
  const { notices, lines } = recorder("silent");
  notices.write(wrongKey, Instant(0));
  expect(lines()).toEqual([]);
});
