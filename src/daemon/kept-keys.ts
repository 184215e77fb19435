/**
 * Keys of child SAs, kept aside when they are installed, for captures. The key store itself gives none out, and has no way to:
 * this is the only one, and it is there only where the configuration says `allow_key_export`.
 */
import { toHex, wipe } from "../base/bytes.ts";
import { formatIpAddress } from "../base/ip-address.ts";
import type { CaptureKey } from "../control/capture-schema.ts";
import type { EspKeyStore } from "../esp/engine.ts";
import { readEndpointRecord } from "../policy/endpoint-record.ts";
import { type SaTable, Slot } from "../policy/sa-table.ts";
import { slotOffset } from "../policy/sad.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";

export interface KeptKey {
  readonly key: CaptureKey;
  /** Index of its policy. */
  readonly policy: number;
}

export class KeptKeys implements EspKeyStore {
  readonly #store: EspKeyStore;
  readonly #table: SaTable;
  readonly #kept = new Map<number, { readonly encr: Uint8Array; readonly integ: Uint8Array }>();
  /** Goes up with every key that comes. */
  changes = 0;

  constructor(store: EspKeyStore, table: SaTable) {
    this.#store = store;
    this.#table = table;
  }

  install(slot: number, encr: Uint8Array, integ: Uint8Array): void {
    this.#store.install(slot, encr, integ);
    this.#forget(slot);
    this.#kept.set(slot, { encr: encr.slice(), integ: integ.slice() });
    this.changes++;
  }

  wipe(slot: number): void {
    this.#forget(slot);
    this.#store.wipe(slot);
  }

  #forget(slot: number): void {
    const kept = this.#kept.get(slot);
    wipe(kept?.encr, kept?.integ);
    this.#kept.delete(slot);
  }

  /** Of ESP's SAs that are there now; AH has nothing to decrypt. */
  all(): KeptKey[] {
    const { u32 } = this.#table;
    const keys: KeptKey[] = [];
    for (const [slot, { encr, integ }] of this.#kept) {
      const base = slotOffset(this.#table, slot);
      const field = (offset: number) => u32[(base + offset) >> 2]!;
      if (field(Slot.PROTOCOL) !== IpProtocol.ESP) continue;
      const { local, remote } = readEndpointRecord(this.#table, field(Slot.ENDPOINT));
      const [from, to] = field(Slot.DIRECTION) === 0 ? [remote, local] : [local, remote];
      const key = {
        kind: "esp" as const,
        spi: field(Slot.SPI),
        source: formatIpAddress(from.address),
        destination: formatIpAddress(to.address),
        encr: field(Slot.ENCR),
        encrKeyBits: field(Slot.ENCR_KEY_BITS),
        integ: field(Slot.INTEG),
        encrKey: toHex(encr),
        integKey: toHex(integ),
      };
      keys.push({ key, policy: field(Slot.POLICY) });
    }
    return keys;
  }
}
