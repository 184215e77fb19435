/** Many tunnels at once: the bench's own rounds at a size for tests, and with TUNGATE_LONG at the size that is promised. */
import { expect, test } from "vitest";
import { strongSwan, tungate } from "../../scripts/bench/handshake-programs.ts";
import { KINDS, type Kind, measureHandshakes } from "../../scripts/bench/handshake-round.ts";
import { measureStorm } from "../../scripts/bench/handshake-storm.ts";
import { describeWith } from "./harness/prerequisites.ts";

const IS_LONG = process.env["TUNGATE_LONG"] !== undefined;
const MANY = IS_LONG ? 2000 : 40;
/** Each tunnel twice. */
const FEW = { size: "few", connections: 6, marks: [2, 6, 12], atOnce: 4 } as const;
const TIMEOUT_MS = IS_LONG ? 900_000 : 180_000;

describeWith(["tun", "build", "strongswan"], "handshakes with strongSwan", () => {
  test.each(["psk", "ecdsa", "rsa"] as const)(
    "by %s, in both roles: every tunnel stands at both ends",
    { timeout: TIMEOUT_MS },
    async (kind) => {
      for (const pair of [
        { initiator: tungate, responder: strongSwan },
        { initiator: strongSwan, responder: tungate },
        { initiator: strongSwan, responder: strongSwan, isOneIdentity: true },
      ]) {
        const sample = await measureHandshakes(pair, { kind, ...FEW });
        expect(sample.lost, `${pair.initiator.name} calls ${pair.responder.name}`).toBe(0);
        const used = sample.stretches.map((one) => one.ofInitiator.cpuMs + one.ofResponder.cpuMs);
        expect(Math.max(...used)).toBeGreaterThan(0);
      }
    },
  );
});

describeWith(["tun", "build", "load"], "handshakes among ourselves", () => {
  test("with ML-KEM-768 behind X25519 every tunnel stands", { timeout: TIMEOUT_MS }, async () => {
    const kind: Kind = "hybrid";
    expect(KINDS[kind]).toContain("ML-KEM-768");
    const sample = await measureHandshakes({ initiator: tungate, responder: tungate }, { kind, ...FEW });
    expect(sample.lost).toBe(0);
  });

  test(`${MANY} tunnels at once: none is lost, packets pass, and another tunnel carries on`, {
    timeout: TIMEOUT_MS,
  }, async () => {
    const pair = { initiator: tungate, responder: tungate };
    const storm = await measureStorm(pair, { tunnels: MANY, atOnce: 8, withTraffic: true });
    expect(storm.lost).toBe(0);
    expect(storm.carried).toEqual({ tried: 20, answered: 20 });
    const { before, during } = storm.transfer!;
    // What a machine that is busy with other tests loses, and how long it pauses, is seen before.
    expect(before.loss).toBeLessThan(0.1);
    expect(during.loss).toBeLessThan(before.loss + 0.02);
    expect(before.longestStallMs).toBeLessThan(2000);
    // People notice a second.
    expect(during.longestStallMs).toBeLessThan(1000 + before.longestStallMs);
  });
});
