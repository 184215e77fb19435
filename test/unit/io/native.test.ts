/** The addon agrees with the TypeScript side on every number, and refuses arguments that make no sense. */
import { execFileSync } from "node:child_process";
import { closeSync, copyFileSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import * as frames from "../../../src/base/frame-batch.ts";
import * as batches from "../../../src/base/packet-batch.ts";
import { IoError } from "../../../src/io/io-error.ts";
import { ADDON_PATH_VARIABLE, addonPath, type Handle, loadAddon, READ_MORE } from "../../../src/io/native.ts";
import { nativeBatch } from "../../../src/io/native-batch.ts";
import {
  createNativeKeyStore,
  createNativeSaTable,
  openNativeKeyStore,
  openNativeSaTable,
} from "../../../src/io/native-memory.ts";
import { closeFd } from "../../../src/io/native-socket.ts";
import * as layout from "../../../src/policy/sa-table.ts";
import { Encr, Integ } from "../../../src/wire/ike/registries.ts";
import { describeNative } from "./native-addon.ts";

const SIZE = { slots: 8, endpoints: 4, policies: 4, lanes: 1 };
const fds: number[] = [];
afterEach(() => {
  for (const fd of fds.splice(0)) closeFd(fd);
});

function table() {
  const made = createNativeSaTable(SIZE);
  fds.push(made.fd);
  return made;
}

describeNative("the layout", () => {
  test.each([
    ["header", layout.Header],
    ["slot", layout.Slot],
    ["endpoint", layout.EndpointRecord],
  ])("of the SA table: %s", (group, ours) => {
    const theirs = loadAddon().layout[group]!;
    expect(Object.keys(theirs).length).toBeGreaterThan(5);
    expect(ours).toMatchObject(theirs);
  });

  test("of strides, versions and transforms", () => {
    const { table: theirTable, stride, transform } = loadAddon().layout;
    expect(theirTable).toEqual({
      magic: layout.SA_TABLE_MAGIC,
      layoutVersion: layout.SA_TABLE_LAYOUT_VERSION,
    });
    expect(stride).toEqual({
      index: layout.INDEX_ENTRY_STRIDE,
      policy: layout.Policy.STRIDE,
      endpoint: layout.EndpointRecord.STRIDE,
      slot: layout.Slot.STRIDE,
      meta: batches.DATAGRAM_META_STRIDE,
    });
    expect(transform).toEqual({
      ENCR_DES3: Encr.DES3,
      ENCR_NULL: Encr.NULL,
      ENCR_AES_CBC: Encr.AES_CBC,
      ENCR_AES_CTR: Encr.AES_CTR,
      ENCR_AES_CCM_8: Encr.AES_CCM_8,
      ENCR_AES_CCM_12: Encr.AES_CCM_12,
      ENCR_AES_CCM_16: Encr.AES_CCM_16,
      ENCR_AES_GCM_8: Encr.AES_GCM_8,
      ENCR_AES_GCM_12: Encr.AES_GCM_12,
      ENCR_AES_GCM_16: Encr.AES_GCM_16,
      ENCR_NULL_AUTH_AES_GMAC: Encr.NULL_AUTH_AES_GMAC,
      ENCR_CHACHA20_POLY1305: Encr.CHACHA20_POLY1305,
      ENCR_AES_CCM_8_IIV: Encr.AES_CCM_8_IIV,
      ENCR_AES_GCM_16_IIV: Encr.AES_GCM_16_IIV,
      ENCR_CHACHA20_POLY1305_IIV: Encr.CHACHA20_POLY1305_IIV,
      INTEG_HMAC_SHA1_96: Integ.HMAC_SHA1_96,
      INTEG_AES_XCBC_96: Integ.AES_XCBC_96,
      INTEG_AES_CMAC_96: Integ.AES_CMAC_96,
      INTEG_AES_128_GMAC: Integ.AES_128_GMAC,
      INTEG_AES_192_GMAC: Integ.AES_192_GMAC,
      INTEG_AES_256_GMAC: Integ.AES_256_GMAC,
      INTEG_HMAC_SHA2_256_128: Integ.HMAC_SHA2_256_128,
      INTEG_HMAC_SHA2_384_192: Integ.HMAC_SHA2_384_192,
      INTEG_HMAC_SHA2_512_256: Integ.HMAC_SHA2_512_256,
    });
  });

  test("of batches", () => {
    const { batch, status, meta } = loadAddon().layout;
    expect(batch).toEqual({
      READ_MORE,
      RECEIVE_STRIDE: batches.RECEIVE_STRIDE,
      RECEIVE_RUN_MAX: batches.RECEIVE_RUN_MAX,
      FRAME_SEGMENTS_MAX: frames.FRAME_SEGMENTS_MAX,
      FRAME_OCTETS_MAX: frames.FRAME_OCTETS_MAX,
    });
    expect(status).toEqual({
      OK: batches.PACKET_OK,
      NOT_AUTHENTIC: batches.PACKET_NOT_AUTHENTIC,
      SEQUENCE_EXHAUSTED: batches.PACKET_SEQUENCE_EXHAUSTED,
      BAD_LENGTH: batches.PACKET_BAD_LENGTH,
      NO_KEY: batches.PACKET_NO_KEY,
      TOO_BIG: batches.PACKET_TOO_BIG,
      NOT_SENT: batches.PACKET_NOT_SENT,
    });
    expect(meta).toEqual({
      REMOTE_ADDRESS: batches.META_REMOTE_ADDRESS,
      LOCAL_ADDRESS: batches.META_LOCAL_ADDRESS,
      REMOTE_PORT: batches.META_REMOTE_PORT,
      LOCAL_PORT: batches.META_LOCAL_PORT,
      FAMILY: batches.META_FAMILY,
      TOS: batches.META_TOS,
      INTERFACE: batches.META_INTERFACE,
    });
  });

  test("a table whose counts are not a page's multiple has its slots in the same place for both", () => {
    const size = { slots: 65, endpoints: 3, policies: 7, lanes: 2 };
    const made = createNativeSaTable(size);
    fds.push(made.fd);
    const store = createNativeKeyStore(made);
    fds.push(store.fd);
    const engine = loadAddon().createEngine(made.handle, store.handle);
    expect(engine).toBeGreaterThanOrEqual(0);
    const at = made.table.regions.slots + 64 * layout.Slot.STRIDE;
    made.table.u32[(at + layout.Slot.ENCR) / 4] = Encr.AES_GCM_16;
    made.table.u32[(at + layout.Slot.ENCR_KEY_BITS) / 4] = 128;
    made.table.u32[(at + layout.Slot.IV_LENGTH) / 4] = 8;
    made.table.u32[(at + layout.Slot.ICV_LENGTH) / 4] = 16;
    made.table.u32[(at + layout.Slot.BLOCK_SIZE) / 4] = 4;
    store.install(64, new Uint8Array(20), new Uint8Array(0));
    expect(made.table.u32[(at + layout.Slot.KEY_GENERATION) / 4]).toBe(1);
  });
});

describeNative("memory", () => {
  test("one thread's octets are another mapping's octets", () => {
    const first = table();
    const second = openNativeSaTable(first.fd);
    first.table.u32[layout.Header.SIZE / 4 + 3] = 0xabcdef;
    expect(second.table.u32[layout.Header.SIZE / 4 + 3]).toBe(0xabcdef);
    expect(second.table.size).toEqual(SIZE);
  });

  test("an ArrayBuffer outlives the handle of its mapping", () => {
    const made = table();
    loadAddon().unmapMemory(made.handle);
    made.table.u32[2000] = 5;
    expect(made.table.u32[2000]).toBe(5);
    expect(() => loadAddon().memoryBuffer(made.handle)).toThrow(RangeError);
  });

  test("a file that could shrink under the mapping is refused", () => {
    const fd = openSync(join(tmpdir(), `tungate-${process.pid}`), "w+");
    try {
      expect(() => openNativeSaTable(fd)).toThrow(IoError);
    } finally {
      closeSync(fd);
    }
  });

  test("memory without a table, with a table that claims more than there is, or without keys", () => {
    const addon = loadAddon();
    const bare = addon.createMemory("bare", 1 << 16);
    fds.push(bare);
    expect(() => openNativeSaTable(bare)).toThrow(RangeError);
    expect(() => openNativeKeyStore(bare, table())).toThrow(IoError);
    const tiny = addon.createMemory("tiny", 8);
    fds.push(tiny);
    expect(() => openNativeSaTable(tiny)).toThrow(RangeError);
    const liar = addon.mapMemory(bare);
    const u32 = new Uint32Array(addon.memoryBuffer(liar));
    u32[layout.Header.LAYOUT_VERSION / 4] = layout.SA_TABLE_LAYOUT_VERSION;
    u32[layout.Header.MAGIC / 4] = layout.SA_TABLE_MAGIC;
    u32[layout.Header.SLOT_COUNT / 4] = 1000;
    expect(() => openNativeSaTable(bare)).toThrow(RangeError);
    expect(addon.createPacketIo(liar, true, true)).toBeLessThan(0);
    u32[layout.Header.SLOT_COUNT / 4] = 0xffffffff;
    expect(addon.createPacketIo(liar, true, true)).toBeLessThan(0);
  });

  test("the table's memory holds no keys", () => {
    const made = table();
    const store = createNativeKeyStore(made);
    fds.push(store.fd);
    const at = made.table.regions.slots;
    const set = (field: number, value: number) => {
      made.table.u32[(at + field) / 4] = value;
    };
    set(layout.Slot.ENCR, Encr.AES_GCM_16);
    set(layout.Slot.ENCR_KEY_BITS, 256);
    set(layout.Slot.IV_LENGTH, 8);
    set(layout.Slot.ICV_LENGTH, 16);
    set(layout.Slot.BLOCK_SIZE, 4);
    const key = Uint8Array.from({ length: 36 }, (_, i) => 200 - i);
    store.install(0, key, new Uint8Array(0));
    expect(Buffer.from(made.table.bytes.buffer).indexOf(key.subarray(0, 8))).toBe(-1);
  });
});

describeNative("arguments that make no sense", () => {
  const addon = () => loadAddon();
  const asHandle = (value: unknown) => value as Handle;

  test.each([-1, 1.5, 2 ** 32, Number.NaN, 999])("handle %d", (handle) => {
    for (const call of [
      () => addon().memoryBuffer(handle),
      () => addon().seal(handle, handle, 0, handle),
      () => addon().createEngine(handle, handle),
      () => addon().wait(handle),
      () => addon().receive(handle, 0, 4, false, 0, handle),
    ])
      expect(call).toThrow(RangeError);
  });

  test("kinds", () => {
    for (const value of ["0", null, undefined, {}, Symbol.iterator])
      expect(() => addon().memoryBuffer(asHandle(value))).toThrow(TypeError);
    expect(() => (addon().memoryBuffer as unknown as () => void)()).toThrow(TypeError);
    expect(() => addon().createMemory("x".repeat(64), 4096)).toThrow(RangeError);
    expect(() => addon().createMemory("a\0b", 4096)).toThrow(RangeError);
    expect(() => addon().createMemory("x", 2 ** 40)).toThrow(RangeError);
    expect(() => addon().createMemory("x", Number.NaN)).toThrow(RangeError);
  });

  const made = (change: Partial<frames.FrameBatch>) => ({
    ...frames.createFrameBatch(4, 1000),
    ...change,
  });

  test.each([
    ["an array too short", { length: new Uint32Array(3) }],
    ["an arena of nothing", { bytes: new Uint8Array(0) }],
    ["a column of frames too short", { segments: new Uint16Array(3) }],
    ["a cursor too short", { cursor: new Uint32Array(1) }],
    ["an array of another kind", { offset: new Int32Array(4) as unknown as Uint32Array }],
    ["an array that is none", { status: [0, 0, 0, 0] as unknown as Uint8Array }],
    ["a capacity of zero", { capacity: 0 }],
    ["a capacity without bound", { capacity: 2 ** 31 }],
    ["shared memory", { meta: new Uint8Array(new SharedArrayBuffer(400)) }],
  ])("a batch with %s", (_, change) => {
    expect(() => addon().registerBatch(made(change))).toThrow(/batch/);
  });

  test("a batch over memory that can shrink, or that went away later", () => {
    const resizable = new (ArrayBuffer as unknown as new (n: number, o: object) => ArrayBuffer)(1 << 16, {
      maxByteLength: 1 << 17,
    });
    expect(() => addon().registerBatch(made({ bytes: new Uint8Array(resizable) }))).toThrow(RangeError);
    const sa = table();
    const store = createNativeKeyStore(sa);
    fds.push(store.fd);
    const engine = addon().createEngine(sa.handle, store.handle);
    const batch = frames.createFrameBatch(4, 1000);
    const handle = nativeBatch(batch);
    const packets = nativeBatch(batches.createArenaBatch(4, 1000));
    expect(addon().seal(engine, handle, 4, packets)).toBe(0);
    expect(() => addon().seal(engine, handle, 5, packets)).toThrow(RangeError);
    expect(() => addon().seal(engine, handle, 4, handle)).toThrow(RangeError);
    expect(() => addon().seal(engine, packets, 4, handle)).toThrow(TypeError);
    structuredClone(batch.length.buffer, { transfer: [batch.length.buffer as ArrayBuffer] });
    expect(() => addon().seal(engine, handle, 4, packets)).toThrow(TypeError);
  });

  test("closed objects", () => {
    const sa = table();
    const store = createNativeKeyStore(sa);
    fds.push(store.fd);
    const engine = addon().createEngine(sa.handle, store.handle);
    const batch = nativeBatch(batches.createArenaBatch(4, 100));
    addon().closeEngine(engine);
    expect(() => addon().open(engine, batch, 0)).toThrow(RangeError);
    store.close();
    expect(() => store.wipe(0)).toThrow(RangeError);
  });

  /** What a process says that loads the addon of this path. */
  function loadFrom(path: string): string {
    const script = `import(${JSON.stringify(join(import.meta.dirname, "../../../src/io/native.ts"))}).then((n) => {
      try { n.loadAddon(); console.log("loaded"); } catch (e) { console.log(e.code, e.message); } })`;
    return execFileSync(process.execPath, ["--import", "tsx", "-e", script], {
      env: { ...process.env, [ADDON_PATH_VARIABLE]: path },
      encoding: "utf8",
    });
  }

  test("an addon that is not there is an error with a remedy", () => {
    expect(loadFrom("/nowhere/tungate.node")).toMatch(/^IO_ADDON_MISSING .*build:native/);
  });

  test("an addon of other sources is refused, with a remedy, and not used until a call fails", () => {
    const folder = mkdtempSync(join(tmpdir(), "addon-"));
    try {
      const copy = join(folder, "tungate.node");
      copyFileSync(addonPath(), copy);
      expect(loadFrom(copy)).toBe("loaded\n");
      const octets = readFileSync(copy);
      const at = octets.indexOf(loadAddon().sources);
      expect(at).toBeGreaterThan(0);
      octets[at] = octets[at]! === 0x30 ? 0x31 : 0x30;
      writeFileSync(copy, octets);
      expect(loadFrom(copy)).toMatch(/^IO_ADDON_STALE .*scripts\/setup/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
