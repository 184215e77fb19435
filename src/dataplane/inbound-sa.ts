/** What a lane asks again and again about the inbound SA of the packets before it, read once per turn. */
import { AggfragMode, SaMode, type SaTable, Slot } from "../policy/sa-table.ts";
import { NO_SLOT, slotOffset } from "../policy/sad.ts";
import { ESP_HEADER_LENGTH } from "../wire/esp/esp-packet.ts";

export class InboundSa {
  slot = NO_SLOT;
  /** Octet of its slot in the table. */
  base = 0;
  /** Octets around what the cipher makes of a payload: ESP header, IV, ICV. */
  around = 0;
  /** One less than the power of two that the length of what the cipher made is a multiple of. */
  blockMask = 0;
  isEsn = false;
  isTransport = false;
  /** Tunnel mode without AGGFRAG: each payload is one packet. */
  isPlainTunnel = false;

  /** Nothing of it changes while the SA is there, nor does a slot become another SA's within a turn. */
  read(table: SaTable, slot: number): void {
    const { u32 } = table;
    const base = slotOffset(table, slot);
    this.slot = slot;
    this.base = base;
    this.around =
      ESP_HEADER_LENGTH + u32[(base + Slot.IV_LENGTH) >> 2]! + u32[(base + Slot.ICV_LENGTH) >> 2]!;
    this.blockMask = u32[(base + Slot.BLOCK_SIZE) >> 2]! - 1;
    this.isEsn = u32[(base + Slot.ESN) >> 2] === 1;
    this.isTransport = u32[(base + Slot.MODE) >> 2] === SaMode.TRANSPORT;
    this.isPlainTunnel = !this.isTransport && u32[(base + Slot.AGGFRAG_MODE) >> 2] === AggfragMode.OFF;
  }

  forget(): void {
    this.slot = NO_SLOT;
  }
}
