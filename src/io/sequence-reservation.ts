/**
 * Reserves blocks of outbound sequence numbers on disk before any of them is used, so that manual keys never see one
 * twice, whatever crashes (RFC 4301 section 4.5.1, RFC 4106 section 3.1) [ESP-02].
 */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { IoError, systemCode } from "./io-error.ts";
import { formatSequenceFile, parseSequenceFile, SEQUENCE_MAX, UNUSED_KEYS_TEXT } from "./sequence-file.ts";

/** Numbers per reservation: a crash skips at most so many, and 2^32 holds four thousand of them. */
export const SEQUENCE_BLOCK = 2 ** 20;
const FILE_OCTETS_MAX = 64;

export interface SequenceRange {
  /** Never handed out before. */
  readonly first: number;
  /** Reserved on disk up to and including this one. */
  readonly last: number;
}

/** Takes an advisory lock that ends with the process; `false` when another open file holds it. */
export type LockFile = (fileDescriptor: number) => boolean;

export class SequenceReservation {
  readonly #path: string;
  readonly #limit: number;
  readonly #lock: number;
  #last: number;

  private constructor(path: string, limit: number, lock: number, last: number) {
    this.#path = path;
    this.#limit = limit;
    this.#lock = lock;
    this.#last = last;
  }

  /**
   * Locks the state file and reserves the first block after what it says was handed out.
   * @param limit - the last number that the SA may ever use: 2^32 - 1 without ESN
   * @throws {@link IoError} when the file is missing, corrupt, not writable, in use, or its numbers are used up
   */
  static open(
    path: string,
    limit: number,
    lockFile: LockFile,
  ): { reservation: SequenceReservation; range: SequenceRange } {
    const lock = openLock(path, lockFile);
    try {
      const next = readNext(path);
      const most = Math.min(limit, SEQUENCE_MAX - 1);
      if (next > most) throw exhausted(path, most);
      const reservation = new SequenceReservation(path, most, lock, next - 1);
      return { reservation, range: { first: next, last: reservation.extend() } };
    } catch (error) {
      closeSync(lock);
      throw error;
    }
  }

  /**
   * Reserves another block; returns only when it is on disk.
   * @returns the last number that may now be used; the same as before once the limit is reached
   */
  extend(): number {
    const last = Math.min(this.#last + SEQUENCE_BLOCK, this.#limit);
    if (last > this.#last) {
      writeNext(this.#path, last + 1);
      this.#last = last;
    }
    return this.#last;
  }

  /** Gives back what was reserved and not used, and unlocks. `next` is the first number that no packet has. */
  close(next: number): void {
    try {
      if (Number.isSafeInteger(next) && next >= 1 && next <= this.#last) writeNext(this.#path, next);
    } finally {
      closeSync(this.#lock);
    }
  }
}

function openLock(path: string, lockFile: LockFile): number {
  const name = `${path}.lock`;
  let lock: number;
  try {
    lock = openSync(name, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    throw unusable(path, `cannot make ${name} (${systemCode(error) ?? "unknown error"})`, error);
  }
  let isOurs = false;
  try {
    isOurs = lockFile(lock);
    if (!isOurs)
      throw new IoError(
        "IO_SEQUENCE_FILE_IN_USE",
        `${path}: another process uses the sequence numbers of this file; stop it, or give each manual child a state file of its own`,
      );
    return lock;
  } finally {
    if (!isOurs) closeSync(lock);
  }
}

function readNext(path: string): number {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (systemCode(error) === "ENOENT")
      throw new IoError(
        "IO_SEQUENCE_FILE_MISSING",
        `${path}: the state file is missing, so nobody knows which sequence numbers these keys have used; ` +
          `if they were never used, make it with: echo '${UNUSED_KEYS_TEXT.trim()}' > ${path}; otherwise change the keys first`,
      );
    throw unusable(path, `cannot be read (${systemCode(error) ?? "unknown error"})`, error);
  }
  try {
    if (!fstatSync(file).isFile()) throw unusable(path, "is no regular file", undefined);
    const bytes = Buffer.alloc(FILE_OCTETS_MAX);
    const length = readSync(file, bytes, 0, FILE_OCTETS_MAX, 0);
    const next = parseSequenceFile(bytes.toString("latin1", 0, length));
    if (next === undefined)
      throw new IoError(
        "IO_SEQUENCE_FILE_CORRUPT",
        `${path}: this is not a state file of sequence numbers; change the keys of the child at both ends, ` +
          `then make it anew with: echo '${UNUSED_KEYS_TEXT.trim()}' > ${path}`,
      );
    return next;
  } catch (error) {
    if (error instanceof IoError) throw error;
    throw unusable(path, `cannot be read (${systemCode(error) ?? "unknown error"})`, error);
  } finally {
    closeSync(file);
  }
}

/** A whole new file takes the old one's name, and both the file and its directory are on disk before this returns. */
function writeNext(path: string, next: number): void {
  const fresh = `${path}.new`;
  try {
    const file = openSync(
      fresh,
      constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW,
      0o600,
    );
    try {
      writeSync(file, formatSequenceFile(next));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(fresh, path);
    const directory = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      fsyncSync(directory);
    } finally {
      closeSync(directory);
    }
  } catch (error) {
    removeQuietly(fresh);
    throw unusable(path, `cannot be written (${systemCode(error) ?? "unknown error"})`, error);
  }
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {}
}

function unusable(path: string, why: string, cause: unknown): IoError {
  return new IoError(
    "IO_SEQUENCE_FILE_UNUSABLE",
    `${path}: the state file ${why}; the daemon's user needs to write it and its directory, without it manual keys are not used`,
    cause,
  );
}

function exhausted(path: string, limit: number): IoError {
  return new IoError(
    "IO_SEQUENCE_EXHAUSTED",
    `${path}: the keys of this child have used all sequence numbers up to ${limit}; give both ends new keys, then make the file anew`,
  );
}
