/** Where a capture goes: a file or the standard output, and a profile directory for keys. */
import {
  closeSync,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { TungateError } from "../base/errors.ts";
import { systemCode } from "../control/error.ts";
import { type KeyLine, PROFILE_PREFERENCES } from "./wireshark-keys.ts";

/** It holds what was meant for nobody else. */
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

export class CaptureFileError extends TungateError {
  override readonly name = "CaptureFileError";
  readonly code = "CAPTURE_FILE";
}

export interface CaptureSink {
  /** @throws {@link CaptureFileError} and what was written before is whole */
  write(octets: Uint8Array): Promise<void>;
  close(): void;
}

/** @throws {@link CaptureFileError} */
export function openSink(path: string): CaptureSink {
  return path === "-" ? standardOutput() : openFile(path);
}

function openFile(path: string): CaptureSink {
  // A file that was there may be another's, or open to others who read on: one of our own takes its place.
  const found = tried(path, () => lstatSync(path, { throwIfNoEntry: false }));
  if (found?.isFile() === true) tried(path, () => rmSync(path));
  const isNew = found === undefined || found.isFile();
  const fd = tried(path, () => openSync(path, isNew ? "wx" : "w", FILE_MODE));
  const isRegular = fstatSync(fd).isFile();
  if (isRegular) tried(path, () => fchmodSync(fd, FILE_MODE));
  let written = 0;
  return {
    async write(octets) {
      try {
        for (let at = 0; at < octets.length; ) at += writeSync(fd, octets, at, octets.length - at);
        written += octets.length;
      } catch (error) {
        // Half a block is none.
        if (isRegular) ftruncateSync(fd, written);
        throw new CaptureFileError(
          `${path}: ${reasonOf(error)}; the capture has ended, what came before is in the file`,
        );
      }
    },
    close: () => closeSync(fd),
  };
}

function standardOutput(): CaptureSink {
  return {
    write: (octets) =>
      new Promise((resolve) => {
        if (process.stdout.write(octets)) resolve();
        else process.stdout.once("drain", resolve);
      }),
    close: () => undefined,
  };
}

/** Tables of a Wireshark profile that does not exist yet, or has none of them. */
export interface KeyFiles {
  add(line: KeyLine): void;
  /** There is nothing to be kept. */
  discard(): void;
}

/** @throws {@link CaptureFileError} */
export function makeKeyFiles(directory: string): KeyFiles {
  tried(directory, () => mkdirSync(directory, { recursive: true, mode: DIRECTORY_MODE }));
  const made: string[] = [];
  const make = (name: string, text: string) => {
    const path = join(directory, name);
    tried(path, () => writeFileSync(path, text, { flag: "wx", mode: FILE_MODE }));
    made.push(path);
  };
  make("esp_sa", "");
  make("ikev2_decryption_table", "");
  make("preferences", PROFILE_PREFERENCES);
  const known = new Set<string>();
  return {
    add({ table, line }) {
      if (known.has(line)) return;
      known.add(line);
      const path = join(directory, table);
      tried(path, () => writeFileSync(path, `${line}\n`, { flag: "a" }));
    },
    discard() {
      for (const path of made) rmSync(path, { force: true });
    },
  };
}

function tried<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new CaptureFileError(`${path}: ${reasonOf(error)}`);
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the quota of the disk is used up",
  EFBIG: "the file may not grow further",
  EACCES: "you may not write there",
  EPERM: "you may not write there",
  EROFS: "the file system can only be read",
  ENOENT: "there is no such directory",
  ENOTDIR: "a part of the path is no directory",
  EISDIR: "this is a directory",
  EEXIST: "it is there already; name a directory for a new profile",
};

function reasonOf(error: unknown): string {
  const code = systemCode(error);
  return REASONS[code] ?? `it cannot be written (${code === "" ? String(error) : code})`;
}
