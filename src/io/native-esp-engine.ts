/** The addon as a lane's crypto engine: keys stay in native memory, whole batches cross the border at once. */
import type { EspEngine } from "../esp/engine.ts";
import { cryptoProvider } from "./crypto-provider.ts";
import { loadAddon } from "./native.ts";
import { nativeBatch } from "./native-batch.ts";
import { ioError } from "./native-error.ts";
import type { NativeKeyStore, NativeSaTable } from "./native-memory.ts";

export interface NativeEspEngine extends EspEngine {
  /**
   * Frees this lane's cipher contexts whose key was wiped or replaced: call it when the main thread says that SAs went,
   * so that a silent lane keeps no key schedule.
   * @returns how many were freed
   */
  releaseStale(): number;
  /** Frees every context. */
  close(): void;
}

/** Made in the thread that uses it, over that thread's own mappings. @throws {IoError} */
export function createNativeEspEngine(
  table: NativeSaTable,
  keys: Pick<NativeKeyStore, "handle">,
): NativeEspEngine {
  const addon = loadAddon();
  cryptoProvider();
  const engine = addon.createEngine(table.handle, keys.handle);
  if (engine < 0) throw ioError("make the crypto engine", "createEngine", engine);
  return {
    seal(frames, packets) {
      packets.count = addon.seal(engine, nativeBatch(frames), frames.count, nativeBatch(packets));
    },
    open(batch) {
      if (batch.count > 0) addon.open(engine, nativeBatch(batch), batch.count);
    },
    authenticate(batch) {
      if (batch.count > 0) addon.authenticate(engine, nativeBatch(batch), batch.count);
    },
    releaseStale: () => addon.releaseStaleContexts(engine),
    close: () => addon.closeEngine(engine),
  };
}
