/** Peers that all set up in the same moment: every one of them has its tunnel in the end, and nothing is left over. */
import { describe, expect, test } from "vitest";
import { type MassSetting, massSetting, setUpAtOnce } from "./ike-mass.ts";
import { seededRandom } from "./ike-random.ts";

const { SEED, TUNGATE_LONG } = process.env;
const isLong = TUNGATE_LONG !== undefined && TUNGATE_LONG !== "";
/** Up to 500 peers take a minute. */
const [SEEDS, PEERS_MAX] = isLong ? [60, 500] : [6, 90];
const seeds = SEED === undefined ? Array.from({ length: SEEDS }, (_, i) => i + 1) : [Number(SEED)];

describe.each(seeds)("seed %i", (seed) => {
  test("each peer has its SAs and the gateway the other ends, whatever the network and limits did", () => {
    const setting = massSetting(seededRandom(seed), PEERS_MAX);
    expect(() => setUpAtOnce(seed, setting)).not.toThrow();
  });
});

describe("[INIT-06] [ERR-06] strangers", () => {
  const setting: MassSetting = {
    kind: "anybody",
    peers: 60,
    isOnePrefix: false,
    loss: 0.1,
    computation: 5,
    restarts: 0,
    isGatewayRestarted: false,
  };

  test("that are many are asked for cookies, and let in", () => {
    const { gateway } = setUpAtOnce(7, setting);
    expect(gateway.count("cookiesOn")).toBeGreaterThan(0);
    expect(gateway.count("cookiesOff")).toBe(gateway.count("cookiesOn"));
  });

  test("of one prefix are refused while it has no place, and let in later", () => {
    const { gateway } = setUpAtOnce(8, { ...setting, isOnePrefix: true });
    expect(gateway.machine.drops().get("tooManyFromPrefix")).toBeGreaterThan(0);
  });
});
