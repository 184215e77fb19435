/**
 * A negotiation between two gateways in memory, from the packet that wants a tunnel to the goodbye. Nothing of it is
 * seen outside; what stays is what the JavaScript engine has made of the code by then.
 */
import type { Instant } from "../base/instant.ts";
import { formatIpAddress, type IpAddress } from "../base/ip-address.ts";
import type { RandomSource } from "../base/random.ts";
import { createDataPlane } from "../dataplane/data-plane.ts";
import type { EspKeyStore } from "../esp/engine.ts";
import { createIkeMachine } from "../ike/ike-machine.ts";
import type { Work, WorkResult } from "../ike/machine.ts";
import { formatSaTable, saTableRegions } from "../policy/sa-table.ts";
import { NON_ESP_MARKER_LENGTH } from "../wire/esp/udp-encapsulation.ts";
import { Gateway, type GatewayEffect, type GatewayEvent } from "./gateway.ts";
import type { GatewayConfiguration } from "./gateway-configuration.ts";
import { createPathTable, DEFAULT_PATH_MTU } from "./path-table.ts";

/** Messages and computations of all of it, several times over. */
const STEPS_MAX = 100;
const TABLE = { slots: 4, endpoints: 4, policies: 2, lanes: 1 } as const;
/** Who installs keys wipes them, and nothing is sealed here. */
const NO_KEYS: EspKeyStore = { install: () => undefined, wipe: () => undefined };

export interface WarmUpOptions {
  /** Of who calls and of who answers: one connection of one child each, both with one address to listen on. */
  readonly configurations: readonly [caller: GatewayConfiguration, answerer: GatewayConfiguration];
  readonly random: RandomSource;
  readonly now: () => Instant;
  readonly compute: (work: Work) => WorkResult;
}

/** @yields after each message and each computation. @returns whether the tunnel came up and went again */
export function* warmUp(options: WarmUpOptions): Generator<undefined, boolean> {
  const { configurations, now } = options;
  const waiting: (() => void)[] = [];
  const ends = configurations.map((configuration, index) => {
    const gateway = makeGateway(configuration, options);
    const feed = (event: GatewayEvent): void => {
      waiting.push(() => gateway.handle(event, now(), (effect) => perform(index, effect)));
    };
    return { gateway, feed };
  });
  const caller = ends[0]!;

  function perform(index: number, effect: GatewayEffect): void {
    if (effect.kind === "compute")
      ends[index]!.feed({ kind: "computed", job: effect.job, result: options.compute(effect.work) });
    if (effect.kind !== "send") return;
    const { local, remote, bytes } = effect;
    const isMarked = local.port === configurations[index]!.gateway.ports.nat;
    if (isMarked && bytes.length <= NON_ESP_MARKER_LENGTH) return;
    const datagram = {
      local: remote,
      remote: local,
      bytes: bytes.slice(isMarked ? NON_ESP_MARKER_LENGTH : 0),
    };
    ends[1 - index]!.feed({ kind: "datagram", datagram });
  }

  for (const [index, { gateway }] of ends.entries()) {
    const other = listenedOn(configurations[1 - index]!);
    gateway.setPaths(
      new Map([
        [formatIpAddress(other), { source: listenedOn(configurations[index]!), mtu: DEFAULT_PATH_MTU }],
      ]),
    );
    gateway.setPolicies(configurations[index]!);
    gateway.setConnections(configurations[index]!, now(), (effect) => perform(index, effect));
    yield;
  }
  let cameUp = false;
  const acts = [
    () => caller.feed(acquire(configurations[0], caller.gateway)),
    () => {
      cameUp = ends.every(({ gateway }) => gateway.pairs().length > 0);
      caller.feed({ kind: "command", command: { kind: "shutdown" } });
    },
    // Who was told goodbye answers repetitions for a while, and has the keys for that.
    () => {
      for (const { gateway } of ends) {
        const due = gateway.nextTimeout();
        if (due !== undefined) gateway.handle({ kind: "timeout" }, due.at, () => undefined);
      }
    },
  ];
  for (let step = 0; step < STEPS_MAX; step++) {
    const next = waiting.shift() ?? acts.shift();
    if (next === undefined) break;
    next();
    yield;
  }
  return cameUp && ends.every(({ gateway }) => gateway.ikeSaCount() === 0);
}

function makeGateway({ gateway }: GatewayConfiguration, { random, now }: WarmUpOptions): Gateway {
  const { listen, ports } = gateway;
  const table = formatSaTable(new ArrayBuffer(saTableRegions(TABLE).total), TABLE);
  const paths = createPathTable(listen);
  const pathMtu = (_: unknown, remote: { readonly address: IpAddress }) => paths.mtuTo(remote.address);
  const dataPlane = createDataPlane({ table, keys: NO_KEYS, random, pathMtu });
  const machine = createIkeMachine({
    connections: [],
    random,
    spis: dataPlane,
    usage: dataPlane,
    lanes: TABLE.lanes,
    ports,
    localAddressFor: (remote) => paths.localAddressFor(remote),
    ownAddresses: () => paths.ownAddresses(),
    now: now(),
  });
  return new Gateway({ machine, dataPlane, paths, natPort: ports.nat });
}

function listenedOn({ gateway }: GatewayConfiguration): IpAddress {
  return gateway.listen[0]!;
}

/** As a lane says it of the first packet that its policy protects. */
function acquire({ connections }: GatewayConfiguration, gateway: Gateway): GatewayEvent {
  const { selectors } = connections[0]!.connection.children[0]!;
  const packet = { local: selectors.local[0]!, remote: selectors.remote[0]! };
  const [policy] = gateway.policyIndices().values();
  return { kind: "upcall", upcall: { kind: "acquire", policy: policy!, packet } };
}
