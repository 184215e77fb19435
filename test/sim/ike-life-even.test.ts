/** Random lives come to rest with each outbound SA on the peer's inbound SA, and with nothing left over: even seeds. */
import { describe, expect, test } from "vitest";
import { lifeSeeds, liveAndRest } from "./ike-life.ts";

describe.each([...lifeSeeds(0)])("seed %i", (seed) => {
  test("whatever happened, both ends come to rest with the same SAs, and with none in the end", () => {
    expect(() => liveAndRest(seed)).not.toThrow();
  });
});
