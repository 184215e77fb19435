/** Octets in memory behind a descriptor, for a process that comes after this one; what was torn or is somebody else's is not read. */
import { equal } from "../base/bytes.ts";
import { sha256 } from "../crypto/hash.ts";
import { IoError } from "./io-error.ts";
import { type Fd, loadAddon } from "./native.ts";
import { ioError } from "./native-error.ts";

/** "TGKM", then the number of octets, then their SHA2-256, then they themselves. */
const MAGIC = 0x54474b4d;
const LENGTH = 4;
const DIGEST = 8;
const DIGEST_OCTETS = 32;
const CONTENT = DIGEST + DIGEST_OCTETS;

/** @returns a descriptor of memory that holds a copy; no file system sees it. @throws {IoError} */
export function keepOctets(name: string, octets: Uint8Array): Fd {
  const addon = loadAddon();
  const fd = addon.createMemory(name, CONTENT + octets.length);
  if (fd < 0) throw ioError("make memory", "memfd_create", fd);
  rewriteKept(fd, octets);
  return fd;
}

/** Puts others in their place, no longer than the first ones. */
export function rewriteKept(fd: Fd, octets: Uint8Array): void {
  withMemory(fd, (memory) => {
    const view = new DataView(memory.buffer, memory.byteOffset);
    memory.set(octets, CONTENT);
    memory.set(sha256(octets), DIGEST);
    view.setUint32(LENGTH, octets.length);
    view.setUint32(0, MAGIC);
  });
}

/** @returns a copy of what {@link keepOctets} was given; `undefined` when the memory holds nothing of that kind, whole */
export function readKept(fd: Fd): Uint8Array | undefined {
  return withForeign(fd, (memory) => {
    if (memory.length < CONTENT) return undefined;
    const view = new DataView(memory.buffer, memory.byteOffset);
    const length = view.getUint32(LENGTH);
    if (view.getUint32(0) !== MAGIC || length > memory.length - CONTENT) return undefined;
    const octets = memory.slice(CONTENT, CONTENT + length);
    return equal(sha256(octets), memory.slice(DIGEST, CONTENT)) ? octets : undefined;
  });
}

/** For secrets that nobody needs any more, whatever version wrote them; what is no memory of a gateway stays as it is. */
export function wipeKept(fd: Fd): void {
  withForeign(fd, (memory) => memory.fill(0));
}

/** Whatever somebody may have given us: what cannot be mapped is not looked at. */
function withForeign<Result>(fd: Fd, use: (memory: Uint8Array) => Result): Result | undefined {
  try {
    return withMemory(fd, use);
  } catch (error) {
    if (error instanceof IoError) return undefined;
    throw error;
  }
}

/** @throws {IoError} when it is no memory of ours */
function withMemory<Result>(fd: Fd, use: (memory: Uint8Array) => Result): Result {
  const addon = loadAddon();
  const handle = addon.mapMemory(fd);
  if (handle < 0) throw ioError("map kept memory", "mmap", handle);
  try {
    return use(new Uint8Array(addon.memoryBuffer(handle)));
  } finally {
    addon.unmapMemory(handle);
  }
}
