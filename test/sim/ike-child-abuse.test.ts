/** An authenticated peer that asks for too much: requests without end, SAs without end, selectors beyond reason (RFC 7296 section 1.3). */
import { describe, expect, test } from "vitest";
import { minutes, seconds } from "../../src/base/instant.ts";
import {
  CHILD_REQUESTS_BURST,
  CHILD_SAS_PER_IKE_SA_MAX,
  TRAFFIC_SELECTORS_MAX,
} from "../../src/ike/limits.ts";
import type { Payload } from "../../src/wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../src/wire/ike/registries.ts";
import { responder } from "./ike-one-side.ts";
import { espSpiOf, notifyTypes, selector, spiOctets } from "./ike-raw-peer.ts";

function connected() {
  const all = responder();
  all.peer.connect();
  return all;
}

describe("without end", () => {
  test("[CHILD-21] SAs: beyond the limit NO_ADDITIONAL_SAS, said in words, and the IKE SA stays", () => {
    const { world, b, peer } = connected();
    let refused = 0;
    for (let i = 0; i < CHILD_SAS_PER_IKE_SA_MAX + 10; i++) {
      const answer = peer.ask(ExchangeType.CREATE_CHILD_SA, peer.createChild(0xc0ff0000 + i));
      if (notifyTypes(answer!.payloads).includes(NotifyType.NO_ADDITIONAL_SAS)) refused++;
      world.run(seconds(1));
    }
    expect(b.dataPlane.pairs.size).toBe(CHILD_SAS_PER_IKE_SA_MAX);
    expect(refused).toBe(11);
    expect(b.find("childLimit")).toMatchObject({ of: "ikeSa", limit: CHILD_SAS_PER_IKE_SA_MAX });
    expect(b.state().state).toBe("up");
  });

  test("requests: SAs made and deleted as fast as it goes get TEMPORARY_FAILURE, and others later", () => {
    const { world, b, peer } = connected();
    let granted = 0;
    for (let i = 0; i < 2 * CHILD_REQUESTS_BURST; i++) {
      const answer = peer.ask(ExchangeType.CREATE_CHILD_SA, peer.createChild(0xc0ff0000 + i));
      if (espSpiOf(answer!.payloads) === 0) {
        expect(notifyTypes(answer!.payloads)).toEqual([NotifyType.TEMPORARY_FAILURE]);
        continue;
      }
      granted++;
      peer.ask(ExchangeType.INFORMATIONAL, [{ kind: "D", protocolId: 3, spis: [spiOctets(0xc0ff0000 + i)] }]);
    }
    expect(granted).toBeLessThanOrEqual(CHILD_REQUESTS_BURST + 1);
    expect(b.dataPlane.pairs.size).toBe(1);
    expect(b.dataPlane.reserved.size).toBe(0);
    world.run(minutes(1));
    const later = peer.ask(ExchangeType.CREATE_CHILD_SA, peer.createChild(0xc0fff001));
    expect(espSpiOf(later!.payloads)).toBeGreaterThan(0);
  });
});

describe("traffic selectors beyond reason", () => {
  const ask = (tsr: Payload) => {
    const { b, peer } = connected();
    const payloads = peer.createChild(0xc0ffee02).map((one) => (one.kind === "TSr" ? tsr : one));
    return { b, answer: peer.ask(ExchangeType.CREATE_CHILD_SA, payloads) };
  };
  const many = (count: number): Payload => ({
    kind: "TSr",
    selectors: Array.from({ length: count }, (_, i) => selector(`10.2.${i % 256}.0`, `10.2.${i % 256}.255`)),
  });

  test("[CHILD-06] more of them than anybody needs are malformed, which ends the IKE SA", () => {
    const { b, answer } = ask(many(TRAFFIC_SELECTORS_MAX + 1));
    expect(notifyTypes(answer!.payloads)).toEqual([NotifyType.INVALID_SYNTAX]);
    expect(b.dataPlane.pairs.size).toBe(0);
  });

  test("[CHILD-03] as many as are allowed are narrowed to what an SA has room for", () => {
    const { b, answer } = ask(many(TRAFFIC_SELECTORS_MAX));
    expect(espSpiOf(answer!.payloads)).toBeGreaterThan(0);
    const kept = [...b.dataPlane.pairs.values()].at(-1)!.inbound.selectors.local.length;
    expect(kept).toBeLessThanOrEqual(32);
  });

  test("[CHILD-06] none at all is malformed", () => {
    const { answer } = ask({ kind: "TSr", selectors: [] });
    expect(notifyTypes(answer!.payloads)).toEqual([NotifyType.INVALID_SYNTAX]);
  });

  test("[CHILD-06] all addresses, ICMP and opaque ports at once are narrowed and hurt nobody", () => {
    const { b, answer } = ask({
      kind: "TSr",
      selectors: [
        selector("0.0.0.0", "255.255.255.255", { protocol: 1, startPort: 0x0800, endPort: 0x08ff }),
        selector("0.0.0.0", "255.255.255.255", { protocol: 17, startPort: 65535, endPort: 0 }),
        selector("10.2.0.0", "10.2.0.0", { protocol: 255, startPort: 1, endPort: 1 }),
      ],
    });
    expect(espSpiOf(answer!.payloads)).toBeGreaterThan(0);
    expect([...b.dataPlane.pairs.values()].at(-1)!.inbound.selectors.local).toHaveLength(3);
  });
});

test("[CHILD-18] a Delete for SPIs that nobody has, by the hundred, ends nothing", () => {
  const { b, peer } = connected();
  const spis = Array.from({ length: 300 }, (_, i) => spiOctets(0xdead0000 + i));
  const answer = peer.ask(ExchangeType.INFORMATIONAL, [{ kind: "D", protocolId: 3, spis }]);
  expect(answer?.payloads).toEqual([]);
  expect(b.dataPlane.pairs.size).toBe(1);
  expect(b.state().state).toBe("up");
});
