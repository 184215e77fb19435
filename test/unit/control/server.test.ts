/** The API is loaded with the first request; what cannot be loaded ends nothing. */
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { startControlServer } from "../../../src/control/server.ts";
import type { ControlTarget } from "../../../src/control/target.ts";

const APP = "../../../src/control/app.ts";

test("files that are not there any more are reported, and the next request looks again", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tungate-server-"));
  const socketPath = join(folder, "control.sock");
  const reportFailure = vi.fn();
  const server = await startControlServer({ path: socketPath, target: {} as ControlTarget, reportFailure });
  const ask = () =>
    new Promise((resolve, reject) => {
      const asked = request({ socketPath, path: "/", headers: { host: "localhost" } }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      });
      asked.on("error", reject);
      asked.end();
    });
  try {
    vi.doMock(APP, () => {
      throw new Error("no such file");
    });
    expect(await ask()).toBe(500);
    expect(reportFailure).toHaveBeenCalledTimes(1);

    vi.doMock(APP, () => ({ createControlApp: () => ({ fetch: () => new Response("there") }) }));
    expect(await ask()).toBe(200);
    expect(reportFailure).toHaveBeenCalledTimes(1);
  } finally {
    vi.doUnmock(APP);
    await server.close();
    rmSync(folder, { recursive: true });
  }
});
