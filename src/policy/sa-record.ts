/** One SA written to its slot of the table and read back (RFC 4301 section 4.4.2.1). */
import { IS_LITTLE_ENDIAN } from "../base/bytes.ts";
import { encrAlgorithm } from "../crypto/encr.ts";
import { integAlgorithm } from "../crypto/integ.ts";
import { addToSum, foldSum } from "../wire/ip/checksum.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import type {
  AggfragCongestionUse,
  EspSuite,
  InboundSa,
  OriginalAddresses,
  OutboundSa,
  SaHandling,
} from "./data-plane.ts";
import {
  AggfragCongestionMode,
  AggfragMode,
  DSCP_COPY,
  MSS_AUTO,
  MSS_OFF,
  NAT_SUM_KNOWN,
  REPLAY_WINDOW_MAX,
  replayRingBits,
  SaMode,
  type SaTable,
  SELECTORS_PER_SIDE,
  SelectorRecord,
  Slot,
  TFC_PAD_TO_MTU,
} from "./sa-table.ts";
import { slotOffset } from "./sad.ts";
import { SadError } from "./sad-error.ts";
import { type SelectorMemory, writeSelectorRecord } from "./selector-record.ts";
import { localSelectorsAt, remoteSelectorsAt, replayBitmapAt } from "./slot-tail.ts";
import { type TrafficSelector, withoutContained } from "./traffic-selector.ts";

/** Octets that a suite adds to a packet and aligns it to (RFC 4303 section 2). */
export interface SuiteSizes {
  readonly ivLength: number;
  readonly icvLength: number;
  /** Plaintext with trailer is a multiple of this, at least 4 [ESP-09]. */
  readonly blockSize: number;
}

/** @throws {@link SadError} `SAD_UNSUPPORTED` for transforms that this project does not have, or without integrity [ESP-24] */
export function suiteSizes(suite: EspSuite): SuiteSizes {
  const encr = encrAlgorithm(suite.encr, suite.encrKeyBits);
  const integ = suite.integ === 0 ? undefined : integAlgorithm(suite.integ);
  if (encr === undefined || encr.isAead !== (suite.integ === 0) || (suite.integ !== 0 && integ === undefined))
    throw new SadError(
      "SAD_UNSUPPORTED",
      `there is no ESP with encryption ${suite.encr} (${suite.encrKeyBits} bits) and integrity ${suite.integ}`,
    );
  return {
    ivLength: encr.ivLength,
    icvLength: integ?.icvLength ?? encr.icvLength,
    blockSize: Math.max(4, encr.blockSize),
  };
}

/** The last number that an SA without ESN may use [ESP-03]. */
export const SEQUENCE_MAX = 0xffffffff;
/** With ESN; numbers up to here are exact in a double, and a lifetime in packets ends an SA long before. */
export const EXTENDED_SEQUENCE_MAX = 2 ** 52;
/** Part of the numbers after which a rekey is asked for. */
const SOFT_SEQUENCE_PART = 0.9;
/** RFC 4303 section 3.4.3: the smallest window that must be supported [ESP-04]. */
const REPLAY_WINDOW_MIN = 32;

export interface SaPlacement {
  readonly slot: number;
  readonly lane: number;
  readonly policy: number;
  readonly endpoint: number;
  readonly pathMtu: number;
}

/**
 * Fills a free slot; the state stays FREE, so nobody looks yet.
 * @throws {@link SadError} `SAD_UNSUPPORTED`, `SAD_SELECTORS`
 */
export function writeSaRecord(
  table: SaTable,
  memory: SelectorMemory,
  sa: InboundSa | OutboundSa,
  placement: SaPlacement,
): void {
  const sizes = suiteSizes(sa.suite);
  const base = slotOffset(table, placement.slot);
  const isOutbound = "inboundSpi" in sa;
  const generation = table.u32[(base + Slot.KEY_GENERATION) / 4]!;
  clearSlot(table, base, isOutbound ? 0 : replayWindow(sa.handling.replayWindow));
  const put = (field: number, value: number) => {
    table.u32[(base + field) / 4] = value;
  };
  const putFloat = (field: number, value: number) => {
    table.f64[(base + field) / 8] = value;
  };
  put(Slot.KEY_GENERATION, generation);
  put(Slot.SPI, sa.spi);
  put(Slot.DIRECTION, isOutbound ? 1 : 0);
  put(Slot.ESN, sa.suite.esn ? 1 : 0);
  put(Slot.ENCR, sa.suite.encr);
  put(Slot.ENCR_KEY_BITS, sa.suite.encrKeyBits);
  put(Slot.INTEG, sa.suite.integ);
  put(Slot.IV_LENGTH, sizes.ivLength);
  put(Slot.ICV_LENGTH, sizes.icvLength);
  put(Slot.BLOCK_SIZE, sizes.blockSize);
  put(Slot.OWNER_LANE, placement.lane);
  put(Slot.POLICY, placement.policy);
  put(Slot.ENDPOINT, placement.endpoint);
  put(Slot.PATH_MTU, placement.pathMtu);
  put(Slot.REPLAY_WINDOW, replayWindow(sa.handling.replayWindow));
  put(Slot.MODE, sa.handling.mode === "transport" ? SaMode.TRANSPORT : SaMode.TUNNEL);
  put(Slot.PROTOCOL, sa.suite.protocol === "ah" ? IpProtocol.AH : IpProtocol.ESP);
  put(Slot.DSCP, sa.handling.dscp === "copy" ? DSCP_COPY : sa.handling.dscp & 63);
  put(Slot.ECN, sa.handling.ecn === "copy" ? 0 : 1);
  put(Slot.DF, { copy: 0, set: 1, clear: 2 }[sa.handling.df]);
  writeFlowConfidentiality(put, sa.handling);
  if (isOutbound) writeSibling(put, sa);
  else if (sa.originalAddresses !== undefined) put(Slot.NAT_SUM, natSum(sa.originalAddresses));
  put(Slot.INNER_MTU_MAX, sa.handling.innerMtu ?? 0);
  put(Slot.MSS, sa.handling.mss === "off" ? MSS_OFF : (sa.handling.mss ?? MSS_AUTO));
  putFloat(Slot.LAST_AT, Number.NaN);
  putFloat(Slot.SOFT_PACKETS, sa.lifetime.softPackets ?? Number.POSITIVE_INFINITY);
  putFloat(Slot.HARD_PACKETS, sa.lifetime.hardPackets ?? Number.POSITIVE_INFINITY);
  putFloat(Slot.SOFT_OCTETS, sa.lifetime.softOctets ?? Number.POSITIVE_INFINITY);
  putFloat(Slot.HARD_OCTETS, sa.lifetime.hardOctets ?? Number.POSITIVE_INFINITY);
  putFloat(Slot.EXPIRES_AT, sa.lifetime.expiresAt ?? Number.POSITIVE_INFINITY);
  writeSequence(table, base, sa);
  const [local, remote] = [keptSelectors(sa.selectors.local), keptSelectors(sa.selectors.remote)];
  writeSelectors(memory, localSelectorsAt(table, base, local.length), local);
  writeSelectors(memory, remoteSelectorsAt(table, base, remote.length), remote);
  put(Slot.LOCAL_SELECTOR_COUNT, local.length);
  put(Slot.REMOTE_SELECTOR_COUNT, remote.length);
}

function natSum({ local, remote }: OriginalAddresses): number {
  return NAT_SUM_KNOWN | foldSum(addToSum(addToSum(0, local, 0, local.length), remote, 0, remote.length));
}

function writeSibling(
  put: (field: number, value: number) => void,
  { dscps, resource }: Pick<OutboundSa, "dscps" | "resource">,
): void {
  const words = [0, 0];
  for (const dscp of dscps ?? []) words[(dscp >> 5) & 1]! |= 1 << (dscp & 31);
  put(Slot.DSCP_SET, words[0]!);
  put(Slot.DSCP_SET + 4, words[1]!);
  put(Slot.RESOURCE, resource === undefined ? 0 : resource + 1);
}

const CONGESTION: Readonly<Record<AggfragCongestionUse, number>> = {
  off: AggfragCongestionMode.OFF,
  report: AggfragCongestionMode.REPORT,
  loss: AggfragCongestionMode.LOSS,
  ecn: AggfragCongestionMode.ECN,
};

function writeFlowConfidentiality(
  put: (field: number, value: number) => void,
  { tfc, aggfrag }: SaHandling,
): void {
  put(Slot.TFC_PAD, tfc === undefined ? 0 : tfc.padTo === "mtu" ? TFC_PAD_TO_MTU : tfc.padTo);
  put(Slot.DUMMY_RATE, tfc?.dummiesPerSecond ?? 0);
  if (aggfrag === undefined) return;
  put(Slot.AGGFRAG_MODE, aggfrag.mode === "constant" ? AggfragMode.CONSTANT : AggfragMode.AGGREGATE);
  put(Slot.AGGFRAG_PACKET_SIZE, aggfrag.packetSize === "mtu" ? 0 : aggfrag.packetSize);
  put(Slot.AGGFRAG_WHOLE, aggfrag.mayFragment ? 0 : 1);
  put(Slot.AGGFRAG_RATE, Math.min(aggfrag.octetsPerSecond, 0xffffffff));
  put(Slot.AGGFRAG_DELAY, Math.round(aggfrag.delay * 1000));
  put(Slot.AGGFRAG_REORDER, aggfrag.reorderWindow);
  put(Slot.AGGFRAG_CONGESTION, CONGESTION[aggfrag.congestion]);
}

/** Zeroes what the SA will use, so that memory that it does not use stays untouched. */
function clearSlot(table: SaTable, base: number, window: number): void {
  table.bytes.fill(0, base, base + Slot.LOCAL_SELECTOR);
  if (window === 0) return;
  const bitmap = replayBitmapAt(table, base, window);
  table.bytes.fill(0, bitmap, bitmap + replayRingBits(window) / 8);
}

function replayWindow(packets: number): number {
  return packets === 0 ? 0 : Math.min(Math.max(Math.trunc(packets), REPLAY_WINDOW_MIN), REPLAY_WINDOW_MAX);
}

function writeSequence(table: SaTable, base: number, sa: InboundSa | OutboundSa): void {
  const most = sa.suite.esn ? EXTENDED_SEQUENCE_MAX : SEQUENCE_MAX;
  const firstNumber = "inboundSpi" in sa ? (sa.firstSequenceNumber ?? 1) : 1;
  const lastNumber = "inboundSpi" in sa ? (sa.lastSequenceNumber ?? most) : most;
  writeUint64(table, base + Slot.SEQUENCE, firstNumber - 1);
  setSequenceLimit(table, base, Math.min(lastNumber, most));
}

/** Sets the last number that may be taken and the one at which a rekey, or a longer reservation, is asked for. */
export function setSequenceLimit(table: SaTable, base: number, lastNumber: number): void {
  const taken = readUint64(table, base + Slot.SEQUENCE);
  table.f64[(base + Slot.SOFT_SEQUENCE) / 8] = taken + Math.floor((lastNumber - taken) * SOFT_SEQUENCE_PART);
  writeUint64(table, base + Slot.SEQUENCE_LIMIT, lastNumber);
}

/** Selectors that another one holds are left out; those that there is no room for then carry nothing. */
function keptSelectors(selectors: readonly TrafficSelector[]): readonly TrafficSelector[] {
  if (selectors.length === 0) throw new SadError("SAD_SELECTORS", "an SA needs selectors on both sides");
  return withoutContained(selectors, SELECTORS_PER_SIDE);
}

function writeSelectors(memory: SelectorMemory, at: number, selectors: readonly TrafficSelector[]): void {
  for (const [i, selector] of selectors.entries())
    writeSelectorRecord(memory, at + i * SelectorRecord.STRIDE, selector);
}

const LOW = IS_LITTLE_ENDIAN ? 0 : 1;

/** Reads a uint64 below 2^53 that another thread may be counting up. */
export function readUint64(table: SaTable, at: number): number {
  const word = at >> 2;
  for (;;) {
    const high = Atomics.load(table.u32, word + 1 - LOW);
    const low = Atomics.load(table.u32, word + LOW);
    if (Atomics.load(table.u32, word + 1 - LOW) === high) return high * 0x100000000 + low;
  }
}

/** The low half goes first: a limit that grows is never seen above its new value, however the halves are read. */
function writeUint64(table: SaTable, at: number, value: number): void {
  const word = at >> 2;
  Atomics.store(table.u32, word + LOW, value >>> 0);
  Atomics.store(table.u32, word + 1 - LOW, Math.floor(value / 0x100000000));
}
