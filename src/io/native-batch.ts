/** Makes packet batches known to the addon once, so that no call per turn looks at their fields. */
import type { PacketBatch } from "../base/packet-batch.ts";
import { type Handle, loadAddon } from "./native.ts";

const handles = new WeakMap<PacketBatch, Handle>();
const released = new FinalizationRegistry<Handle>((handle) => loadAddon().releaseBatch(handle));

/** The addon's handle of a batch. The addon keeps the memory of the arrays alive until the batch itself is collected. */
export function nativeBatch(batch: PacketBatch): Handle {
  const known = handles.get(batch);
  if (known !== undefined) return known;
  const handle = loadAddon().registerBatch(batch);
  handles.set(batch, handle);
  released.register(batch, handle);
  return handle;
}
