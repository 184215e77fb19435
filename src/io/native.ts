/** Finds and loads the addon; its functions as they are: numbers in, a result or `-errno` out. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { PacketBatch } from "../base/packet-batch.ts";
import { addonSources } from "./addon-sources.ts";
import { IoError } from "./io-error.ts";

/** A file descriptor. The main thread opens and closes; lanes borrow the number. */
export type Fd = number;
/** A non-negative result, or `-errno`. */
type Result = number;
/** Names an object of this thread's copy of the addon; other threads have other ones. */
export type Handle = number;

declare const cryptoProviderHandle: unique symbol;
/** What another addon hands over to this one; nothing that a script can look into. */
export interface CryptoProviderHandle {
  readonly [cryptoProviderHandle]: true;
}

type SendBatch = (
  io: Handle,
  fd: Fd,
  family: number,
  isRaw: boolean,
  localPort: number,
  batch: Handle,
  count: number,
) => void;

/**
 * What the addon exports. Arguments of a wrong kind throw TypeError, out-of-range ones RangeError; whatever the system
 * refuses is a {@link Result}. The files native-*.ts beside this one are its only users.
 */
export interface NativeAddon {
  /** Of the sources that it was built from, as {@link addonSources} says. */
  readonly sources: string;
  /** Layout constants compiled into the addon, for comparison with ours. */
  readonly layout: { readonly [group: string]: { readonly [name: string]: number } };

  // Memory
  createMemory(name: string, octets: number): Result;
  /** @returns a handle for {@link memoryBuffer} and the objects below; refuses memory that could shrink */
  mapMemory(fd: Fd): Result;
  memoryBuffer(memory: Handle): ArrayBuffer;
  unmapMemory(memory: Handle): void;

  // Keys
  createKeyStore(slots: number): Result;
  openKeyStore(fd: Fd): Result;
  closeKeyStore(store: Handle): void;
  /** @returns 0, -EINVAL when the lengths do not fit the slot's transforms, -ENOTSUP for transforms unknown here */
  installKeys(store: Handle, table: Handle, slot: number, encr: Uint8Array, integ: Uint8Array): Result;
  wipeKeys(store: Handle, slot: number): Result;
  /** Whether the slot has keys that were written to their end. */
  holdsKeys(store: Handle, slot: number): boolean;

  // Batches
  registerBatch(batch: PacketBatch): Handle;
  releaseBatch(batch: Handle): void;

  // Engine
  /** Whether this processor can do AES-GCM by our own code. */
  hasVaes(): boolean;
  /**
   * Engines of this thread made from now on use our own code for what it can do, if told to, then the provider, then
   * OpenSSL. @returns 0, or -EINVAL for a provider of another build
   */
  useProvider(provider: CryptoProviderHandle | undefined, usesVaes: boolean): Result;
  createEngine(table: Handle, store: Handle): Result;
  closeEngine(engine: Handle): void;
  /** @returns how many packets were made */
  seal(engine: Handle, frames: Handle, count: number, packets: Handle): number;
  open(engine: Handle, batch: Handle, count: number): void;
  authenticate(engine: Handle, batch: Handle, count: number): void;
  /** @returns how many cipher contexts were freed because their key is gone */
  releaseStaleContexts(engine: Handle): number;

  // Devices and sockets
  openTun(
    name: string,
    queues: number,
    takes: number,
  ): Result | { readonly name: string; readonly queues: readonly Fd[]; readonly takes: number };
  /** The device of a queue that somebody opened; `isFramed`: IP packets behind a virtio-net header and nothing else. */
  describeTun(fd: Fd): Result | { readonly name: string; readonly isFramed: boolean };
  /** @returns bits as `takes`, those that the kernel granted */
  adoptTun(fd: Fd, takes: number): Result;
  openUdp(
    family: number,
    address: Uint8Array,
    port: number,
    mark: number,
    flags: number,
    mtuDiscovery: number,
    bufferOctets: number,
  ): Result;
  openRaw(
    family: number,
    address: Uint8Array,
    mark: number,
    flags: number,
    mtuDiscovery: number,
    bufferOctets: number,
    protocol: number,
  ): Result;
  localPort(socket: Fd): Result;
  /** Bits: the kernel can send runs, it merges what this socket receives. */
  udpOffloads(socket: Fd): number;
  sendDatagram(
    socket: Fd,
    family: number,
    payload: Uint8Array,
    remoteAddress: Uint8Array,
    remotePort: number,
    localAddress: Uint8Array,
    tos: number,
    isWhole: boolean,
  ): Result;
  /** Fills records of native/error_queue.h. @returns how many */
  drainErrorQueue(socket: Fd, into: Uint8Array): Result;
  /** @param program - two words per instruction, as in lane-steering.ts */
  attachProgram(socket: Fd, program: Uint32Array, choosesSocket: boolean): Result;
  closeFd(fd: Fd): Result;
  setCloseOnExec(fd: Fd): Result;

  // rtnetlink
  /** @param groups - a bit for each multicast group: bit 0 is group 1 */
  openNetlink(groups: number): Result;
  sendNetlink(socket: Fd, message: Uint8Array): Result;
  /** @returns octets; -EMSGSIZE when `into` is too short for the datagram, which is gone then */
  receiveNetlink(socket: Fd, into: Uint8Array): Result;
  drainNetlink(socket: Fd): Result;

  // Batched transfer
  createPacketIo(table: Handle, sendsRuns: boolean, coalesces: boolean): Result;
  closePacketIo(io: Handle): void;
  /** @returns how many frames, and {@link READ_MORE} unless the queue is empty now */
  readTun(io: Handle, fd: Fd, frames: Handle): number;
  /** Packets `first` to `count`, ended early after so many writes. @returns the first packet that is left */
  writeTun(io: Handle, fd: Fd, batch: Handle, count: number, first: number, writesMax: number): number;
  /** @returns how many datagrams, and {@link READ_MORE} unless the socket is empty now */
  receive(io: Handle, fd: Fd, family: number, isRaw: boolean, localPort: number, batch: Handle): number;
  readonly send: SendBatch;
  /** Without DF in the IPv4 header. */
  readonly sendFragmentable: SendBatch;
  packetIoCounters(io: Handle, into: Float64Array): void;

  /** Octets from one memory to another, without making an object. */
  copyOctets(from: Uint8Array, at: number, length: number, to: Uint8Array, toAt: number): void;

  // Waiting
  createWake(): Result;
  wake(fd: Fd): Result;
  createWaiter(
    fds: Int32Array,
    wake: Fd,
  ): { readonly handle: Handle; readonly ready: Uint8Array; readonly times: Float64Array };
  closeWaiter(waiter: Handle): void;
  /**
   * Waits for `times[0]` milliseconds at most, and writes the moment of its return, as {@link bootTime}, to `times[1]`: in
   * memory, because a number with a fraction is an object in most calls.
   */
  wait(waiter: Handle): Result;

  /** Watches a descriptor in this thread's event loop, which it keeps alive while it is armed. */
  createReadiness(fd: Fd, onReady: () => void): Result;
  /** The next time that there is something to read, an error included, `onReady` is called, once. */
  armReadiness(readiness: Handle): Result;
  closeReadiness(readiness: Handle): void;

  // Curves of RFC 7748, named by the length of their values
  montgomeryPublicValue(scalar: Uint8Array, into: Uint8Array): void;
  /** @returns false for an all-zero secret */
  montgomerySharedSecret(scalar: Uint8Array, peer: Uint8Array, into: Uint8Array): boolean;

  // ML-KEM (FIPS 203), the parameter set named by the lengths
  /** @param seed - d | z */
  mlKemKeyPair(seed: Uint8Array, encapsulationKey: Uint8Array, decapsulationKey: Uint8Array): void;
  /** @returns false for a key with a coefficient beyond the modulus; `secret` holds nothing then */
  mlKemEncapsulate(
    encapsulationKey: Uint8Array,
    message: Uint8Array,
    ciphertext: Uint8Array,
    secret: Uint8Array,
  ): boolean;
  mlKemDecapsulate(decapsulationKey: Uint8Array, ciphertext: Uint8Array, secret: Uint8Array): void;

  // Hashes, by number: SHA-1, SHA-256, SHA-384, SHA-512; and AES-GCM with nonces of 12 octets
  digest(hash: number, parts: readonly Uint8Array[], into: Uint8Array): void;
  hmac(hash: number, key: Uint8Array, parts: readonly Uint8Array[], into: Uint8Array): void;
  /** @param into - longer than the plaintext by the tag */
  sealGcm(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, into: Uint8Array): void;
  /** @returns false when the tag is wrong; `into` holds nothing then */
  openGcm(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array, into: Uint8Array): boolean;

  // Process
  notify(path: string, message: string, fds: Int32Array): Result;
  /** Waits until whoever reads the socket has read everything before it. */
  notifyBarrier(path: string, milliseconds: number): Result;
  bootTime(): number;
  forbidDumps(): Result;
  lockFile(fd: Fd): Result;
  /** Of who called `connect` at the other end of a Unix socket. */
  peerCredentials(socket: Fd): Result | { readonly pid: number; readonly uid: number };
}

/** In what {@link NativeAddon.readTun} and {@link NativeAddon.receive} return: there may be more to read. */
export const READ_MORE = 2 ** 20;

/** Names another build of the addon by its path, for instance the one with sanitizers. */
export const ADDON_PATH_VARIABLE = "TUNGATE_NATIVE_ADDON";

const require = createRequire(import.meta.url);
let loaded: NativeAddon | undefined;

const NATIVE = join(import.meta.dirname, "..", "..", "native");

/** Put in by scripts/build.ts. A program that runs from its sources asks those of the addon. */
declare const TUNGATE_ADDON_SOURCES: string | undefined;
const wantedSources = () =>
  typeof TUNGATE_ADDON_SOURCES === "string" ? TUNGATE_ADDON_SOURCES : addonSources(NATIVE);

/** Where the addon lies: `native/` is two folders up from `src/io` and from `dist/io` alike. */
export function addonPath(): string {
  return process.env[ADDON_PATH_VARIABLE] ?? join(NATIVE, "build", "Release", "tungate.node");
}

export function isAddonBuilt(): boolean {
  return existsSync(addonPath());
}

/** @throws {IoError} `IO_ADDON_MISSING`, `IO_ADDON_STALE` */
export function loadAddon(): NativeAddon {
  if (loaded !== undefined) return loaded;
  const path = addonPath();
  if (!existsSync(path))
    throw new IoError(
      "IO_ADDON_MISSING",
      `the native addon is not built (${path}); run "npm run build:native", or scripts/setup`,
    );
  let found: NativeAddon;
  try {
    found = require(path) as NativeAddon;
  } catch (error) {
    throw new IoError(
      "IO_ADDON_MISSING",
      `the native addon ${path} does not load in Node ${process.version}; run "npm run build:native" with this Node`,
      error,
    );
  }
  if (found.sources !== wantedSources())
    throw new IoError(
      "IO_ADDON_STALE",
      `the native addon ${path} was built from other sources than this program expects; run scripts/setup, which builds both (or "npm run build:native" and "npm run build")`,
    );
  loaded = found;
  return loaded;
}
