/** The SA table's memory, mapped by each thread for itself, and the key store that scripts cannot read. */
import { InvariantError } from "../base/errors.ts";
import type { EspKeyStore } from "../esp/engine.ts";
import {
  formatSaTable,
  openSaTable,
  type SaTable,
  type SaTableSize,
  saTableRegions,
} from "../policy/sa-table.ts";
import { type Fd, type Handle, loadAddon } from "./native.ts";
import { ioError } from "./native-error.ts";

/** One thread's mapping of the table. Other threads open theirs from `fd`. */
export interface NativeSaTable {
  readonly fd: Fd;
  readonly handle: Handle;
  readonly table: SaTable;
}

export interface NativeKeyStore extends EspKeyStore {
  /** For lanes, and for the service manager's descriptor store; it survives this process there. */
  readonly fd: Fd;
  readonly handle: Handle;
  /** Whether the slot has keys that were written to their end. */
  holds(slot: number): boolean;
  /** Unmaps this thread's view; keys stay for the other threads. */
  close(): void;
}

/** Main thread: makes an empty table. @throws {IoError} */
export function createNativeSaTable(size: SaTableSize): NativeSaTable {
  const addon = loadAddon();
  const fd = addon.createMemory("tungate-sa-table", saTableRegions(size).total);
  if (fd < 0) throw ioError("make the memory of the SA table", "memfd_create", fd);
  const handle = mapped(fd);
  return { fd, handle, table: formatSaTable(addon.memoryBuffer(handle), size) };
}

/**
 * Any thread, or a later process that was handed the descriptor.
 * @throws {IoError} when it cannot be mapped
 * @throws {RangeError} when it holds no table of this layout
 */
export function openNativeSaTable(fd: Fd): NativeSaTable {
  const handle = mapped(fd);
  try {
    const memory = loadAddon().memoryBuffer(handle);
    if (memory.byteLength < saTableRegions({ slots: 0, endpoints: 0, policies: 0, lanes: 0 }).total)
      throw new RangeError("this memory is too small for an SA table");
    const table = openSaTable(memory);
    if (saTableRegions(table.size).total > memory.byteLength)
      throw new RangeError("this SA table claims more memory than it has");
    return { fd, handle, table };
  } catch (error) {
    loadAddon().unmapMemory(handle);
    throw error;
  }
}

function mapped(fd: Fd): Handle {
  const handle = loadAddon().mapMemory(fd);
  if (handle < 0) throw ioError("map the memory of the SA table", "mmap", handle);
  return handle;
}

/** Main thread: makes an empty key store for the slots of `table`. @throws {IoError} */
export function createNativeKeyStore(table: NativeSaTable): NativeKeyStore {
  const fd = loadAddon().createKeyStore(table.table.size.slots);
  if (fd < 0) throw ioError("make the memory of the key store", "memfd_create", fd);
  return openNativeKeyStore(fd, table);
}

/** Any thread, or a later process that was handed the descriptor. @throws {IoError} when `fd` holds no key store */
export function openNativeKeyStore(fd: Fd, table: NativeSaTable): NativeKeyStore {
  const addon = loadAddon();
  const handle = addon.openKeyStore(fd);
  if (handle < 0)
    throw ioError("open the key store", "mmap", handle, {
      EINVAL: ["IO_SYSTEM_CALL_FAILED", "this descriptor holds no key store of this version"],
    });
  return {
    fd,
    handle,
    install(slot, encr, integ) {
      const result = addon.installKeys(handle, table.handle, slot, encr, integ);
      if (result === 0) return;
      throw new RangeError(`slot ${slot}: the keys do not fit its transforms, or those are not supported`);
    },
    wipe(slot) {
      if (addon.wipeKeys(handle, slot) < 0) throw new InvariantError(`there is no slot ${slot}`);
    },
    holds: (slot) => addon.holdsKeys(handle, slot),
    close: () => addon.closeKeyStore(handle),
  };
}
