/** A reload is taken over as a whole or not at all, a trial that nobody confirms is taken back, and secrets live as long as they are needed. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { TungateError } from "../../../../src/base/errors.ts";
import { Instant } from "../../../../src/base/instant.ts";
import { ConfigError } from "../../../../src/config/config-error.ts";
import type { Configuration } from "../../../../src/config/configuration.ts";
import { Reloads } from "../../../../src/daemon/reload/reloads.ts";
import { load } from "../../config/memory-reader.ts";

class Refused extends TungateError {
  override readonly name = "Refused";
  readonly code = "REFUSED";
}

const SECRET = "0123456789abcdefghijklmnopqrstuv\n";
const read = (liveness: number, gateway = "") =>
  load(
    `${gateway}connections:
  paris:
    remote: { address: 198.51.100.2 }
    psk: { file: secret }
    ike: { liveness: ${liveness}s }
    children: { lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16 } }
`,
    { files: { secret: SECRET } },
  );
const secretOf = ({ connections }: Configuration) => {
  const { auth } = connections[0]!.connection.local;
  return auth.kind === "psk" ? auth.secret : new Uint8Array();
};
const isWiped = (configuration: Configuration) => secretOf(configuration).every((octet) => octet === 0);
const livenessOf = ({ connections }: Configuration) => connections[0]!.connection.ike.liveness / 1000;

/** A gateway that takes whatever it gets, unless `fails` says otherwise; `done` is what happened, in order. */
function makeWorld() {
  const first = read(10);
  const done: string[] = [];
  const fails = new Set<string>();
  const world = { file: () => read(20), running: first, first, done, fails };
  const step = (what: string, configuration: Configuration) => {
    const text = `${what} ${livenessOf(configuration)}`;
    done.push(text);
    if (fails.has(text)) throw new Refused(`${text} is refused`);
    // Whoever takes it over needs its secrets.
    expect(isWiped(configuration)).toBe(false);
  };
  const logged: string[] = [];
  const say = (text: unknown) => void logged.push(String(text));
  const reloads = new Reloads({
    load: async () => world.file(),
    clock: { now: () => Instant(Date.now()) },
    log: { debug: say, info: say, warn: say, error: say } as never,
    lanesOf: () => 1,
    follow: async (configuration) => step("follow", configuration),
    onBegin: () => void done.push("begin"),
    onEnd: async (configuration, isTaken) => {
      done.push(`${isTaken ? "taken" : "kept"} ${livenessOf(configuration)}`);
    },
  });
  reloads.attach({
    get configuration() {
      return world.running;
    },
    numbered: (configuration) => configuration,
    movedAway: () => new Set(),
    describe: () => [],
    apply: async (configuration) => {
      step("apply", configuration);
      world.running = configuration;
    },
  });
  return { ...world, world, reloads, logged };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("what is taken over runs, and what ran before is wiped", async () => {
  const { world, reloads, done, first } = makeWorld();
  expect(await reloads.reload({ plan: false })).toMatchObject({ outcome: "applied" });
  expect(done).toEqual(["begin", "follow 20", "apply 20", "taken 20"]);
  expect([livenessOf(world.running), isWiped(world.running), isWiped(first)]).toEqual([20, false, true]);
});

test("a plan touches nothing, and leaves no secret behind", async () => {
  const { world, reloads, done, first } = makeWorld();
  const fresh = read(20);
  world.file = () => fresh;
  expect(await reloads.reload({ plan: true })).toMatchObject({
    outcome: "planned",
    plan: { isEmpty: false },
  });
  expect([done, world.running, isWiped(first), isWiped(fresh)]).toEqual([[], first, false, true]);
});

describe("not at all", () => {
  test.each([
    ["the gateway refuses it", "apply 20", ["follow 20", "apply 20", "follow 10"]],
    ["its surroundings refuse it", "follow 20", ["follow 20"]],
  ])("when %s: all that was done is taken back", async (_, failing, steps) => {
    const { world, reloads, done, fails, first } = makeWorld();
    const fresh = read(20);
    world.file = () => fresh;
    fails.add(failing);
    expect(await reloads.reload({ plan: false })).toMatchObject({
      outcome: "refused",
      lines: [`${failing} is refused`, "what ran before runs on"],
    });
    expect(done).toEqual(["begin", ...steps, "kept 10"]);
    expect([world.running, isWiped(first), isWiped(fresh)]).toEqual([first, false, true]);
  });

  test("when something of it needs a restart, or the file is none", async () => {
    const { world, reloads, done, first } = makeWorld();
    const fresh = read(20, "gateway: { ports: { ike: 501 } }\n");
    world.file = () => fresh;
    expect(await reloads.reload({ plan: false })).toMatchObject({
      outcome: "refused",
      lines: [
        "/etc/tungate/tungate.yaml:1: gateway.ports: needs a restart: lanes hold the sockets",
        expect.stringContaining("systemctl restart tungate takes it over"),
      ],
    });
    world.file = () => {
      throw new ConfigError([]);
    };
    expect(await reloads.reload({ plan: false })).toMatchObject({ outcome: "refused", problems: [] });
    expect(done).toEqual(["begin", "kept 10", "begin", "kept 10"]);
    expect([world.running, isWiped(first), isWiped(fresh)]).toEqual([first, false, true]);
  });

  test("while another one is under way", async () => {
    const { reloads } = makeWorld();
    const [one, other] = await Promise.all([
      reloads.reload({ plan: false }),
      reloads.reload({ plan: false }),
    ]);
    expect([one.outcome, other.outcome]).toEqual(["applied", "refused"]);
  });
});

describe("on trial", () => {
  const tried = async () => {
    const made = makeWorld();
    expect(await made.reloads.reload({ plan: false, confirmSeconds: 60 })).toMatchObject({
      outcome: "applied",
      confirmInSeconds: 60,
    });
    const { running } = made.world;
    made.done.splice(0);
    return { ...made, trial: running };
  };

  test("what nobody keeps goes, and what ran before runs again with its secrets", async () => {
    const { world, done, first, trial } = await tried();
    world.file = () => read(30);
    await vi.advanceTimersByTimeAsync(59_000);
    expect([done, world.running]).toEqual([[], trial]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(done).toEqual(["begin", "follow 10", "apply 10", "taken 10"]);
    expect([world.running, isWiped(first), isWiped(trial)]).toEqual([first, false, true]);
  });

  test("what is kept stays, and what ran before is wiped", async () => {
    const { world, reloads, done, first, trial } = await tried();
    expect(await reloads.keep()).toMatchObject({ outcome: "kept" });
    await vi.advanceTimersByTimeAsync(120_000);
    expect([done, world.running, isWiped(trial), isWiped(first)]).toEqual([[], trial, false, true]);
    expect([(await reloads.keep()).outcome, (await reloads.undo()).outcome]).toEqual(["refused", "refused"]);
  });

  test("it is taken back once, however many ask", async () => {
    const { world, reloads, done, first } = await tried();
    const outcomes = await Promise.all([reloads.undo(), reloads.undo()]);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(["undone", "refused"]);
    expect(done).toEqual(["begin", "follow 10", "apply 10", "taken 10"]);
    expect(world.running).toBe(first);
  });

  test("nothing else is taken over meanwhile; a plan is made all the same", async () => {
    const { reloads, done } = await tried();
    expect(await reloads.reload({ plan: false })).toMatchObject({
      outcome: "refused",
      lines: [expect.stringContaining("on trial for another 60 s")],
    });
    expect((await reloads.reload({ plan: true })).outcome).toBe("planned");
    expect(done).toEqual([]);
  });

  test("when what ran before is refused now, the trial runs on and is over", async () => {
    const { world, reloads, fails, first, trial } = await tried();
    fails.add("apply 10");
    expect(await reloads.undo()).toMatchObject({
      outcome: "refused",
      lines: ["apply 10 is refused", "the configuration that was on trial runs on"],
    });
    expect([world.running, isWiped(trial), isWiped(first)]).toEqual([trial, false, true]);
  });

  test("the end of the gateway is none of going back", async () => {
    const { reloads, done, first, trial } = await tried();
    await reloads.detach();
    await vi.advanceTimersByTimeAsync(120_000);
    expect([done, isWiped(first), isWiped(trial)]).toEqual([[], true, false]);
    expect((await reloads.reload({ plan: false })).outcome).toBe("refused");
  });
});
