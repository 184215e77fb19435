/** A peer that answers our CREATE_CHILD_SA requests after the habits of a vendor. */
import { find, findNotify, notify } from "../../src/ike/exchange/payload-list.ts";
import type { ChildConfiguration } from "../../src/policy/connection.ts";
import { formatSelectors } from "../../src/policy/selector-text.ts";
import { selectorsFromWire } from "../../src/policy/traffic-selector.ts";
import type { Payload, TrafficSelectorWire } from "../../src/wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../src/wire/ike/registries.ts";
import { espProposal, type Opened, RawPeer, selector } from "./ike-raw-peer.ts";
import { child, connection, type IkeNode, World } from "./ike-world.ts";

/** What a request asks for, seen from the node. */
export interface Asked {
  readonly opened: Opened;
  readonly local: readonly TrafficSelectorWire[];
  readonly remote: readonly TrafficSelectorWire[];
  /** `10.2.0.0/16, 10.3.0.0/16 <-> 10.1.0.0/16` */
  readonly text: string;
  readonly isRekey: boolean;
}

/** Selectors to grant, or the type of an error notify. */
type Habit = (
  asked: Asked,
) => number | { local: readonly TrafficSelectorWire[]; remote: readonly TrafficSelectorWire[] };

export class Vendor {
  readonly world = new World();
  readonly node: IkeNode;
  readonly peer: RawPeer;
  readonly asked: Asked[] = [];
  habit: Habit;
  extra: readonly Payload[] = [];
  /** Answers in place of the bare notify. */
  refusal: Payload | undefined;
  proposal = (spi: number) => espProposal(spi);
  #seen = 0;
  #spi = 0xc0ffee10;

  /** The child's networks: 10.2, 10.3 ... here, and 10.1, 10.11 ... there. */
  constructor(habit: Habit, locals = 2, remotes = 1, changes: Partial<ChildConfiguration> = {}) {
    this.habit = habit;
    const base = child("lan", "10.2.0.0/16", "10.1.0.0/16");
    const sides = (prefixes: readonly string[]) =>
      prefixes.flatMap((text) => child("x", text, text).selectors.local);
    const selectors = {
      local: sides(["10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16"].slice(0, locals)),
      remote: sides(["10.1.0.0/16", "10.11.0.0/16"].slice(0, remotes)),
    };
    const lan = { ...base, selectors, ...changes };
    this.node = this.world.add("B", "192.0.2.2", [connection("192.0.2.1", [lan], { keep: "respond" })]);
    this.peer = new RawPeer(this.world, this.node);
    this.peer.init();
    // A first child that fits nothing: the IKE SA stands, and the node asks for its own.
    const payloads = this.peer
      .childPayloads()
      .map((one) =>
        one.kind === "TSi" ? { ...one, selectors: [selector("172.16.0.0", "172.16.0.255")] } : one,
      );
    this.peer.ask(ExchangeType.IKE_AUTH, [
      { kind: "IDi", ...this.peer.identity },
      this.peer.authPayload(),
      ...payloads,
    ]);
  }

  /** Lets time pass and answers what comes, CREATE_CHILD_SA by the habit. */
  run(span: number): void {
    const end = this.world.now + span;
    for (;;) {
      const fresh = this.peer.requests(this.#seen);
      this.#seen = this.world.wire.length;
      for (const opened of fresh) this.peer.answer(opened, this.#answer(opened));
      if (fresh.length > 0) continue;
      if (this.world.now >= end) return;
      const next = this.node.machine.nextTimeout()?.at ?? end;
      this.world.runUntil(Math.min(end, Math.max(next, this.world.now + 1)));
    }
  }

  #answer(opened: Opened): readonly Payload[] {
    if (opened.header.exchangeType !== ExchangeType.CREATE_CHILD_SA) return [];
    const local = find(opened.payloads, "TSi")?.selectors ?? [];
    const remote = find(opened.payloads, "TSr")?.selectors ?? [];
    const text = `${sideText(local)} <-> ${sideText(remote)}`;
    const isRekey = findNotify(opened.payloads, NotifyType.REKEY_SA) !== undefined;
    const asked = { opened, local, remote, text, isRekey };
    this.asked.push(asked);
    const verdict = this.habit(asked);
    if (typeof verdict === "number") return [this.refusal ?? notify(verdict)];
    return [
      { kind: "SA", proposals: [this.proposal(this.#spi++)] },
      { kind: "Nonce", data: this.world.random.publicBytes(32) },
      { kind: "TSi", selectors: verdict.local },
      { kind: "TSr", selectors: verdict.remote },
      ...this.extra,
    ];
  }

  texts(): readonly string[] {
    return this.asked.map(({ text }) => text);
  }

  lan() {
    return this.node.state().children[0]!;
  }

  /** What the installed SAs carry, in the order in which they came. */
  carried(): readonly string[] {
    return [...this.node.dataPlane.pairs.values()].map(
      ({ inbound: { selectors } }) =>
        `${formatSelectors(selectors.local)} <-> ${formatSelectors(selectors.remote)}`,
    );
  }

  acquire(local: string, remote: string): void {
    const packet = child("x", local, remote).selectors;
    const [one] = packet.local;
    const [other] = packet.remote;
    this.node.feed({
      kind: "dataPlane",
      event: { kind: "acquire", policy: "net/lan", packet: { local: one!, remote: other! } },
    });
  }
}

function sideText(side: readonly TrafficSelectorWire[]): string {
  return formatSelectors(selectorsFromWire(side));
}

export function isSingle({ local, remote }: Asked): boolean {
  return local.length === 1 && remote.length === 1;
}
