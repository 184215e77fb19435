/** Sequence numbers of manual keys across clean stops, crashes and damaged files. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { IoError, type IoErrorCode } from "../../../src/io/io-error.ts";
import { isAddonBuilt } from "../../../src/io/native.ts";
import { lockFile } from "../../../src/io/native-process.ts";
import { formatSequenceFile, parseSequenceFile, SEQUENCE_MAX } from "../../../src/io/sequence-file.ts";
import { SEQUENCE_BLOCK, SequenceReservation } from "../../../src/io/sequence-reservation.ts";

const LIMIT = 2 ** 32 - 1;
const free = () => true;
let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tungate-sequence-"));
  path = join(directory, "paris");
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

function codeOf(work: () => unknown): IoErrorCode | undefined {
  try {
    work();
  } catch (error) {
    if (error instanceof IoError) return error.code;
    throw error;
  }
  return undefined;
}

test("[ESP-02] a block is on disk before any of its numbers is handed out", () => {
  writeFileSync(path, "next 1\n");
  const { range } = SequenceReservation.open(path, LIMIT, free);
  expect(range).toEqual({ first: 1, last: SEQUENCE_BLOCK });
  expect(readFileSync(path, "utf8")).toBe(`next ${SEQUENCE_BLOCK + 1}\n`);
});

test("[ESP-02] after a crash the numbers of the last block are skipped", () => {
  writeFileSync(path, "next 1\n");
  SequenceReservation.open(path, LIMIT, free);
  const { range } = SequenceReservation.open(path, LIMIT, free);
  expect(range).toEqual({ first: SEQUENCE_BLOCK + 1, last: 2 * SEQUENCE_BLOCK });
});

test("a clean stop gives back what was not used", () => {
  writeFileSync(path, "next 1\n");
  SequenceReservation.open(path, LIMIT, free).reservation.close(18);
  expect(SequenceReservation.open(path, LIMIT, free).range.first).toBe(18);
});

test.each([0, -1, 1.5, Number.NaN, SEQUENCE_BLOCK + 2])(
  "a stop that claims %s as next number changes nothing",
  (next) => {
    writeFileSync(path, "next 1\n");
    SequenceReservation.open(path, LIMIT, free).reservation.close(next);
    expect(SequenceReservation.open(path, LIMIT, free).range.first).toBe(SEQUENCE_BLOCK + 1);
  },
);

test("[ESP-02] no number is handed out twice, whatever is used, extended, stopped or crashed", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("use" as const), count: fc.nat({ max: 2 * SEQUENCE_BLOCK }) }),
    fc.record({ kind: fc.constant("stop" as const) }),
    fc.record({ kind: fc.constant("crash" as const) }),
  );
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 12 }),
      fc.integer({ min: 1, max: 8 * SEQUENCE_BLOCK }),
      (steps, limit) => {
        writeFileSync(path, "next 1\n");
        let used = 0;
        let open = SequenceReservation.open(path, limit, free);
        let next = open.range.first;
        let last = open.range.last;
        for (const one of steps) {
          if (one.kind === "use") {
            let left = one.count;
            while (left > 0) {
              if (next > last) last = open.reservation.extend();
              if (next > last) break;
              const taken = Math.min(left, last - next + 1);
              expect(next).toBeGreaterThan(used);
              used = next + taken - 1;
              next += taken;
              left -= taken;
            }
            continue;
          }
          if (one.kind === "stop") open.reservation.close(next);
          try {
            open = SequenceReservation.open(path, limit, free);
          } catch (error) {
            expect(error).toMatchObject({ code: "IO_SEQUENCE_EXHAUSTED" });
            return;
          }
          next = open.range.first;
          last = open.range.last;
        }
        expect(used).toBeLessThanOrEqual(limit);
      },
    ),
    { numRuns: 60 },
  );
});

test("[ESP-03] the last number without ESN is handed out, the one after it never", () => {
  writeFileSync(path, `next ${LIMIT}\n`);
  const { reservation, range } = SequenceReservation.open(path, LIMIT, free);
  expect(range).toEqual({ first: LIMIT, last: LIMIT });
  expect(reservation.extend()).toBe(LIMIT);
  expect(codeOf(() => SequenceReservation.open(path, LIMIT, free))).toBe("IO_SEQUENCE_EXHAUSTED");
});

test.each([
  "",
  "next 1",
  "next 0\n",
  "next -1\n",
  "next 01\n",
  "next 1 \n",
  "NEXT 1\n",
  "next 1\n\n",
  "next 99999999999999999\n",
  "\0\0\0\0",
])("a state file that says %j is refused", (text) => {
  writeFileSync(path, text);
  expect(codeOf(() => SequenceReservation.open(path, LIMIT, free))).toBe("IO_SEQUENCE_FILE_CORRUPT");
});

test("a missing state file is refused with the command that makes one", () => {
  expect(codeOf(() => SequenceReservation.open(path, LIMIT, free))).toBe("IO_SEQUENCE_FILE_MISSING");
  expect(() => SequenceReservation.open(path, LIMIT, free)).toThrow(`echo 'next 1' > ${path}`);
});

test("a directory, a symbolic link and an unwritable directory are refused", () => {
  expect(codeOf(() => SequenceReservation.open(directory, LIMIT, free))).toBe("IO_SEQUENCE_FILE_UNUSABLE");
  writeFileSync(join(directory, "real"), "next 1\n");
  symlinkSync(join(directory, "real"), path);
  expect(codeOf(() => SequenceReservation.open(path, LIMIT, free))).toBe("IO_SEQUENCE_FILE_UNUSABLE");
  const nowhere = join(directory, "nowhere", "paris");
  expect(codeOf(() => SequenceReservation.open(nowhere, LIMIT, free))).toBe("IO_SEQUENCE_FILE_UNUSABLE");
});

test("numbers that could not be written are not handed out", () => {
  writeFileSync(path, "next 1\n");
  const { reservation, range } = SequenceReservation.open(path, LIMIT, free);
  rmSync(directory, { recursive: true });
  expect(() => reservation.extend()).toThrow(IoError);
  mkdirSync(directory);
  expect(reservation.extend()).toBe(range.last + SEQUENCE_BLOCK);
});

test("two users of one file: the second is refused", () => {
  writeFileSync(path, "next 1\n");
  expect(codeOf(() => SequenceReservation.open(path, LIMIT, () => false))).toBe("IO_SEQUENCE_FILE_IN_USE");
  expect(readFileSync(path, "utf8")).toBe("next 1\n");
});

test.skipIf(!isAddonBuilt())("the system's lock keeps a second user out until the first closes", () => {
  writeFileSync(path, "next 1\n");
  const { reservation } = SequenceReservation.open(path, LIMIT, lockFile);
  expect(codeOf(() => SequenceReservation.open(path, LIMIT, lockFile))).toBe("IO_SEQUENCE_FILE_IN_USE");
  reservation.close(5);
  expect(SequenceReservation.open(path, LIMIT, lockFile).range.first).toBe(5);
});

test("the text of the file reads back as the number", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: SEQUENCE_MAX }), (next) => {
      expect(parseSequenceFile(formatSequenceFile(next))).toBe(next);
    }),
  );
  expect(parseSequenceFile(`next ${SEQUENCE_MAX}0\n`)).toBeUndefined();
});
