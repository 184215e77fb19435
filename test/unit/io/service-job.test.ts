/** What systemd says about its own intentions. */
import { describe, expect, test, vi } from "vitest";
import { isRestart, saysRestart } from "../../../src/io/service-job.ts";

describe("why systemd stops us", () => {
  test("a restart is one, a stop and a signal by hand are none", () => {
    const unit = "tungate.service";
    expect(saysRestart(`  51 ${unit} restart running\n`, unit)).toBe(true);
    expect(saysRestart(`51 ${unit} stop running\n`, unit)).toBe(false);
    expect(saysRestart("51 other.service restart running\n", unit)).toBe(false);
    expect(saysRestart("No jobs running.\n", unit)).toBe(false);
    expect(saysRestart("", unit)).toBe(false);
  });

  test("a question that systemd's own signal ended is asked again; one that took too long is not", async () => {
    const ended = (killed: boolean) =>
      Object.assign(new Error("Command failed"), { signal: "SIGTERM", killed });
    const asking = (failures: readonly Error[]) => {
      const left = [...failures];
      return vi.fn(async (unit: string) => {
        const failure = left.shift();
        if (failure !== undefined) throw failure;
        return `7 ${unit} stop running\n`;
      });
    };
    const early = asking([ended(false), ended(false)]);
    expect(await isRestart("tungate.service", early)).toBe(false);
    expect(early).toHaveBeenCalledTimes(3);
    for (const [failures, times] of [
      [[ended(true)], 1],
      [[new Error("no bus")], 1],
      [Array.from({ length: 99 }, () => ended(false)), 10],
    ] as const) {
      const ask = asking(failures);
      await expect(isRestart("tungate.service", ask)).rejects.toThrow(failures[0]);
      expect(ask).toHaveBeenCalledTimes(times);
    }
  });

  test("where nobody can be asked, nobody has said anything", async () => {
    expect(await isRestart("tungate-is-no-unit-of-this.service").catch(() => "nobody says so")).not.toBe(
      true,
    );
  });
});
