/** The largest inner packet of an SA, as its slot says it now (RFC 4301 section 8.2, [SPD-10]). */
import { innerMtu, outerHeaders } from "../esp/effective-mtu.ts";
import { endpointOffset } from "../policy/endpoint-record.ts";
import { EndpointRecord, type SaTable, Slot } from "../policy/sa-table.ts";

/**
 * @param base - offset of the slot, of either direction: both have the same suite and path
 * @param strip - octets of the packet's own header that become the outer one (transport mode), else 0
 */
export function slotInnerMtu(table: SaTable, base: number, strip: number): number {
  const { u32, bytes } = table;
  const endpoint = endpointOffset(table, Atomics.load(u32, (base + Slot.ENDPOINT) >> 2));
  const isUdp = bytes[endpoint + EndpointRecord.ENCAPSULATION] === 1;
  const headers = strip > 0 && !isUdp ? strip : outerHeaders(bytes[endpoint + EndpointRecord.FAMILY]!, isUdp);
  const payload = innerMtu(
    u32[(base + Slot.PATH_MTU) >> 2]!,
    headers,
    u32[(base + Slot.IV_LENGTH) >> 2]!,
    u32[(base + Slot.ICV_LENGTH) >> 2]!,
    u32[(base + Slot.BLOCK_SIZE) >> 2]!,
  );
  const fitting = payload === 0 ? 0 : payload + strip;
  const most = u32[(base + Slot.INNER_MTU_MAX) >> 2]!;
  return most > 0 && most < fitting ? most : fitting;
}
