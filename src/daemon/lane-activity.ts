/** What lanes do, seen from outside: how often they turned, and whether each of them still does. */

/** An idle lane turns once a second; one that has not for so long hangs. */
export const STANDSTILL_MS = 5_000;
/** Cells are uint32 and wrap; nobody turns so often between two looks. */
const CELL = 2 ** 32;

export interface LaneCells {
  /** By lane, as in the lane's memory: 32 bits, signed or not. */
  turns(): readonly number[];
  batches(): readonly number[];
}

export interface LaneCount {
  /** Since the start; never falls. */
  readonly turns: number;
  /** Turns that carried something. */
  readonly batches: number;
}

interface Lane {
  turns: number;
  batches: number;
  /** As looked at last. */
  turnsCell: number;
  batchesCell: number;
  movedAt: number;
}

export class LaneActivity {
  readonly #cells: LaneCells;
  readonly #clock: () => number;
  readonly #lanes: Lane[];

  constructor(cells: LaneCells, clock: () => number = () => performance.now()) {
    this.#cells = cells;
    this.#clock = clock;
    const movedAt = clock();
    const batches = cells.batches();
    this.#lanes = cells.turns().map((turnsCell, i) => ({
      turns: turnsCell >>> 0,
      batches: batches[i]! >>> 0,
      turnsCell,
      batchesCell: batches[i]!,
      movedAt,
    }));
  }

  /** Call every few seconds. */
  look(): void {
    const now = this.#clock();
    const turns = this.#cells.turns();
    const batches = this.#cells.batches();
    for (const [i, lane] of this.#lanes.entries()) {
      const turned = (turns[i]! - lane.turnsCell + CELL) % CELL;
      if (turned > 0) lane.movedAt = now;
      lane.turns += turned;
      lane.batches += (batches[i]! - lane.batchesCell + CELL) % CELL;
      lane.turnsCell = turns[i]!;
      lane.batchesCell = batches[i]!;
    }
  }

  counts(): readonly LaneCount[] {
    this.look();
    return this.#lanes.map(({ turns, batches }) => ({ turns, batches }));
  }

  /** By lane, seconds that it has stood still, as far as looks tell; 0 while it moves. */
  standstills(): readonly number[] {
    this.look();
    const now = this.#clock();
    return this.#lanes.map(({ movedAt }) => (now - movedAt >= STANDSTILL_MS ? (now - movedAt) / 1000 : 0));
  }
}
