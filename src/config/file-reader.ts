/** The {@link ConfigurationReader} over the machine's files and the process's environment. */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { userInfo } from "node:os";
import type { ConfigurationReader, FileReading } from "./reader.ts";

const PERMISSION_BITS = 0o777;

export function createFileReader(environment: Readonly<NodeJS.ProcessEnv>): ConfigurationReader {
  return { readFile, environment: (name) => environment[name], wallClock: Date.now };
}

function readFile(path: string, octetsMax: number): FileReading {
  let descriptor: number;
  try {
    // Without O_NONBLOCK a FIFO would hold the program until somebody writes to it.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    return failure(error);
  }
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile())
      return {
        kind: "unreadable",
        reason: status.isDirectory() ? "it is a directory" : "it is no regular file",
      };
    const most = Math.min(status.size, octetsMax) + 1;
    return readUpTo(descriptor, most, octetsMax, status.mode & PERMISSION_BITS);
  } catch (error) {
    return failure(error);
  } finally {
    closeSync(descriptor);
  }
}

/** @param room - octets to begin with, one more than what the file is said to have, so that its end is seen */
function readUpTo(descriptor: number, room: number, octetsMax: number, mode: number): FileReading {
  let buffer = new Uint8Array(room);
  let length = 0;
  for (;;) {
    const count = readSync(descriptor, buffer, length, buffer.length - length, null);
    length += count;
    if (count === 0) break;
    if (length < buffer.length) continue;
    if (length > octetsMax) {
      buffer.fill(0);
      return { kind: "tooBig" };
    }
    // It grows meanwhile, or is of a kind that tells no size.
    const wider = new Uint8Array(octetsMax + 1);
    wider.set(buffer);
    buffer.fill(0);
    buffer = wider;
  }
  const bytes = buffer.slice(0, length);
  buffer.fill(0);
  return { kind: "file", bytes, mode };
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `user ${process.getuid?.()}`;
  }
}

function failure(error: unknown): FileReading {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return { kind: "missing" };
    case "EACCES":
    case "EPERM":
      return {
        kind: "unreadable",
        reason: `permission denied for ${userName()}; give it to that user (chown), or run as one who may read it`,
      };
    case "ELOOP":
      return { kind: "unreadable", reason: "its symbolic links lead in a circle" };
    default:
      return { kind: "unreadable", reason: code === "" ? "the system refused" : code };
  }
}
