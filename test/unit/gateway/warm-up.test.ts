/** The negotiation in memory: whole, bounded, and without anything left of its secrets. */
import { expect, test } from "vitest";
import { Instant } from "../../../src/base/instant.ts";
import { loadConfiguration } from "../../../src/config/load.ts";
import { type WarmUpOptions, warmUp } from "../../../src/gateway/warm-up.ts";
import type { Work, WorkResult } from "../../../src/ike/machine.ts";
import { performWork } from "../../../src/io/compute-work.ts";
import { seededRandom } from "../dataplane/gateway-fixture.ts";

const random = seededRandom(7);

function configuration(own: string, other: string, keep: string, more = "") {
  const text = `gateway: { listen: [${own}] }
connections:
  w:
    remote: { address: ${other} }
    psk: { env: KEY }
    keep: ${keep}
    ${more}
    children: { all: { local: ${own}, remote: ${other} } }
`;
  return loadConfiguration("w", {
    readFile: () => ({ kind: "file", bytes: new TextEncoder().encode(text), mode: 0o600 }),
    environment: () => "a pre-shared key that is long enough",
    wallClock: () => 0,
  });
}

const CALLER = configuration("192.0.2.2", "192.0.2.1", "on-demand");
const ANSWERER = configuration("192.0.2.1", "192.0.2.2", "respond");

function run(options: Partial<WarmUpOptions>): { steps: number; isDone: boolean } {
  const compute = (work: Work) => performWork(work, { random, wallClock: 0 }) as WorkResult;
  const all = { configurations: [CALLER, ANSWERER], random, now: () => Instant(1_000), compute } as const;
  const steps = warmUp({ ...all, ...options });
  for (let count = 0; ; count++) {
    const { done, value } = steps.next();
    if (done === true) return { steps: count, isDone: value };
  }
}

test("a tunnel comes up and goes, and of what was computed no secret is left", () => {
  const results: WorkResult[] = [];
  const compute = (work: Work) => {
    const result = performWork(work, { random, wallClock: 0 }) as WorkResult;
    results.push(result);
    return result;
  };
  expect(run({ compute }).isDone).toBe(true);
  const secrets = results.flatMap((result) => {
    if (result.kind === "keyExchange") return [result.privateValue];
    return result.kind === "sharedSecret" || result.kind === "keyExchangeAnswer" ? [result.secret] : [];
  });
  // X25519 and ML-KEM, of both ends.
  expect(secrets.length).toBeGreaterThanOrEqual(6);
  expect(secrets.filter((secret) => secret.some((octet) => octet !== 0))).toEqual([]);
});

test("ends that do not agree come to an end, and say so", () => {
  const other = configuration(
    "192.0.2.1",
    "192.0.2.2",
    "respond",
    "ike: { proposals: [aes256ccm16-prfsha512-x448] }",
  );
  const { steps, isDone } = run({ configurations: [CALLER, other] });
  expect(isDone).toBe(false);
  expect(steps).toBeLessThan(30);
});

test("what cannot be computed ends it as well", () => {
  const { steps, isDone } = run({ compute: () => ({ kind: "failed", reason: "test" }) });
  expect(isDone).toBe(false);
  expect(steps).toBeLessThan(30);
});
