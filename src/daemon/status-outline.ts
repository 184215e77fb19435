/**
 * What of every connection has to be known before anything is put into words: states, troubles, SAs. With thousands of connections
 * the words are most of the work, and those of a few are told.
 */
import type { Configuration, ManualChild } from "../config/configuration.ts";
import type { ChildStatus, ConnectionStatus, Trouble } from "../control/schema.ts";
import type { SaPairState } from "../dataplane/data-plane.ts";
import type { Loss } from "../gateway/loss-meter.ts";
import type { ChildState, ConnectionState } from "../ike/connection-state.ts";
import { shownChildState, shownConnectionState } from "./shown-state.ts";
import type { TrafficInput } from "./status-traffic.ts";
import { childTroubles, connectionTroubles } from "./status-trouble.ts";

export interface OutlineInput extends Pick<TrafficInput, "pairs" | "loss" | "oneWay"> {
  readonly configuration: Pick<Configuration, "manual">;
  readonly states: readonly ConnectionState[];
  /** Of one connection alone; absent: of all. */
  readonly connection: string | undefined;
}

export interface ChildOutline {
  readonly name: string;
  readonly state: ChildStatus["state"];
  readonly troubles: readonly Trouble[];
  /** Its own SAs first, then those beside them. */
  readonly pairs: readonly SaPairState[];
  readonly loss: Loss | undefined;
  /** Absent: its keys are manual. */
  readonly child?: ChildState;
  readonly manual?: ManualChild;
}

export interface ConnectionOutline {
  readonly name: string;
  readonly state: ConnectionStatus["state"];
  readonly troubles: readonly Trouble[];
  readonly children: readonly ChildOutline[];
  /** Absent: all its children have manual keys. */
  readonly ike?: ConnectionState;
}

/** In the order of the configuration, those with manual keys alone at the end. */
export function outlinesOf(input: OutlineInput): readonly ConnectionOutline[] {
  const { configuration, states, connection } = input;
  const pairOf = new Map(input.pairs.map((pair) => [pair.inboundSpi, pair]));
  const manual = new Map<string, ManualChild[]>();
  for (const child of configuration.manual)
    manual.set(child.connection, [...(manual.get(child.connection) ?? []), child]);
  const manualOf = (name: string) =>
    (manual.get(name) ?? []).map((child) => manualOutline(child, pairOf.get(child.inbound.spi), input));
  const byIke = new Set(states.map((state) => state.connection));
  return [
    ...states.map((ike): ConnectionOutline => {
      const { name, keep, waitsFor, lastFailure: failure } = ike;
      const state = shownConnectionState(ike);
      return {
        ...{ name, state, ike },
        troubles: connectionTroubles({ state, keep, waitsFor, failure }),
        children: [
          ...ike.children.map((child) => childOutline(child, pairOf, input)),
          ...manualOf(ike.connection),
        ],
      };
    }),
    ...[...manual.keys()]
      .filter((name) => !byIke.has(name) && (connection === undefined || connection === name))
      .map((name) => ({ name, state: "manual" as const, troubles: [], children: manualOf(name) })),
  ];
}

function childOutline(
  child: ChildState,
  pairOf: ReadonlyMap<number, SaPairState>,
  input: OutlineInput,
): ChildOutline {
  const { name, keep, waitsFor, lastFailure: failure, leftOut, sa, parts = [], siblings = [] } = child;
  const state = shownChildState(child);
  const pair = sa && pairOf.get(sa.inboundSpi);
  const loss = pair && input.loss(pair);
  const oneWay = pair && input.oneWay(pair);
  const spis = [...(sa === undefined ? [] : [sa]), ...siblings, ...parts].map(({ inboundSpi }) => inboundSpi);
  return {
    ...{ name, state, loss, child },
    troubles: childTroubles({ state, keep, waitsFor, failure, leftOut, oneWay, loss }),
    pairs: [...new Set(spis)].flatMap((spi) => pairOf.get(spi) ?? []),
  };
}

function manualOutline(
  manual: ManualChild,
  pair: SaPairState | undefined,
  input: OutlineInput,
): ChildOutline {
  const state = pair === undefined ? "down" : "manual";
  const loss = pair && input.loss(pair);
  const oneWay = pair && input.oneWay(pair);
  return {
    ...{ name: manual.name, state, loss, manual },
    troubles: childTroubles({ state, oneWay, loss }),
    pairs: pair === undefined ? [] : [pair],
  };
}
