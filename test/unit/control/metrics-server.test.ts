/** Metrics over TCP: what is answered, and what those who ask badly can do. */
import { type IncomingHttpHeaders, request } from "node:http";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { UNDER_WAY_MAX } from "../../../src/control/clients.ts";
import type { MetricsSource } from "../../../src/control/health.ts";
import {
  isHostAllowed,
  type MetricsServer,
  SCRAPERS_MAX,
  startMetricsServer,
} from "../../../src/control/metrics-server.ts";
import { MEASUREMENTS } from "./measurements.ts";
import { nextServed } from "./served-socket.ts";

let port: number;
let server: MetricsServer | undefined;
let failures: unknown[];
const sockets: Socket[] = [];

beforeEach(async () => {
  port = await freePort();
  failures = [];
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await server?.close();
  server = undefined;
});

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port: found } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return found;
}

async function start(source: Partial<MetricsSource> = {}, hosts: readonly string[] = []): Promise<void> {
  server = await startMetricsServer({
    address: "127.0.0.1",
    port,
    hosts,
    source: { ...MEASUREMENTS, ...source },
    reportFailure: (error) => failures.push(error),
  });
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: IncomingHttpHeaders;
}

function ask(path: string, method = "GET", host = "127.0.0.1:9464", body = ""): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request(
      { port, host: "127.0.0.1", path, method, agent: false, headers: { host } },
      (answer) => {
        let text = "";
        answer.on("data", (part) => {
          text += part;
        });
        answer.on("end", () => resolve({ status: answer.statusCode!, text, headers: answer.headers }));
      },
    );
    call.on("error", reject);
    call.end(body);
  });
}

test("metrics, health and readiness have their status codes and say what they are", async () => {
  await start();
  const metrics = await ask("/metrics?x=1");
  expect(metrics).toMatchObject({ status: 200, text: "tungate_lanes 2\n" });
  expect(metrics.headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(await ask("/healthz")).toMatchObject({ status: 200, text: "all 2 lanes move\n" });
  expect(await ask("/readyz")).toMatchObject({ status: 503, text: "1 of 2 are not up\nparis/lan\n" });
  expect(await ask("/metrics", "HEAD")).toMatchObject({ status: 200, text: "" });
  expect((await ask("/v1/status")).status).toBe(404);
});

test.each(["POST", "PUT", "DELETE", "OPTIONS"])(
  "%s is refused, and nothing allows other origins",
  async (method) => {
    await start();
    const answer = await ask("/metrics", method, undefined, "x".repeat(1000));
    expect(answer.status).toBe(405);
    expect(answer.headers["allow"]).toBe("GET, HEAD");
    expect(Object.keys(answer.headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
  },
);

test("a name that a stranger made lead here is refused; addresses and named hosts are served", async () => {
  await start({}, ["gw.example.net"]);
  expect((await ask("/metrics", "GET", "evil.example")).status).toBe(421);
  expect((await ask("/metrics", "GET", "GW.example.net:9464")).status).toBe(200);
  for (const host of ["127.0.0.1", "[::1]:9464", "localhost:1", "192.0.2.1"])
    expect(isHostAllowed(host, []), host).toBe(true);
  for (const host of [
    undefined,
    "",
    "[evil]",
    "127.0.0.1.evil.example",
    "localhost.evil",
    "::1",
    "a b",
    "1@localhost",
  ])
    expect(isHostAllowed(host, []), host).toBe(false);
});

test("a failure is told without its detail", async () => {
  await start({
    metrics: () => {
      throw new Error("secret");
    },
  });
  const answer = await ask("/metrics");
  expect(answer.status).toBe(500);
  expect(answer.text).not.toContain("secret");
  expect(failures).toHaveLength(1);
});

test("an address that is not ours is said", async () => {
  await start();
  const second = startMetricsServer({
    address: "127.0.0.1",
    port,
    hosts: [],
    source: MEASUREMENTS,
    reportFailure: () => undefined,
  });
  await expect(second).rejects.toMatchObject({ code: "CONTROL_METRICS" });
});

function open(words: string): Promise<{ readonly socket: Socket; readonly closed: Promise<void> }> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.write(words);
      resolve({ socket, closed });
    });
    sockets.push(socket);
    const closed = new Promise<void>((end) => socket.once("close", () => end()));
    socket.on("error", () => undefined);
  });
}

test("whoever connects and says nothing, or half of it, has to go; others are served again", {
  timeout: 120_000,
}, async () => {
  await start();
  const slow = await Promise.all(
    Array.from({ length: SCRAPERS_MAX }, (_, i) => open(i % 2 === 0 ? "" : "GET /metrics HTTP/1.1\r\n")),
  );
  // Whoever asks takes the place of one of them.
  expect((await ask("/metrics")).status).toBe(200);
  for (const { socket } of slow) socket.resume();
  await Promise.race([
    Promise.all(slow.map(({ closed }) => closed)),
    sleep(60_000).then(() => {
      throw new Error("somebody who says nothing is still connected");
    }),
  ]);
  expect((await ask("/metrics")).status).toBe(200);
});

test("requests that come before their answers are taken: a few at once, then the connection ends", async () => {
  const large = "# 1234567890\n".repeat(10_000);
  await start({ metrics: () => large });
  const { socket, closed } = await open("GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(1000));
  const tooMuch = (UNDER_WAY_MAX + 1) * large.length;
  socket.on("data", () => socket.bytesRead >= tooMuch && socket.destroy());
  await closed;
  expect(socket.bytesRead).toBeLessThan(tooMuch);
  expect((await ask("/metrics")).status).toBe(200);
});

test("many who ask at once have the metrics made once, and seldom", async () => {
  let made = 0;
  const busy = 5;
  await start({
    metrics: () => {
      made++;
      const until = performance.now() + busy;
      while (performance.now() < until);
      return "tungate_lanes 2\n";
    },
  });
  const begun = performance.now();
  const answers = await Promise.all(Array.from({ length: 30 }, () => ask("/metrics")));
  expect(answers.every(({ status }) => status === 200)).toBe(true);
  expect(made).toBeLessThanOrEqual(2 + (performance.now() - begun) / (4 * busy));
});

test("a scraper that never reads is let go of", { timeout: 120_000 }, async () => {
  const large = `${"# 1234567890\n".repeat(2_000_000)}`;
  await start({ metrics: () => large });
  const letGo = nextServed();
  const { socket, closed } = await open("GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n");
  socket.pause();
  const since = performance.now();
  await letGo;
  // Long before one that asks nothing.
  expect(performance.now() - since).toBeLessThan(60_000);
  // What is read now is only that the other end has gone.
  socket.resume();
  await closed;
  expect(socket.bytesRead).toBeLessThan(large.length);
});
