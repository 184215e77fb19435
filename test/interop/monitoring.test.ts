/** Metrics, health, board and alert rules, against a real Prometheus; and those who ask for metrics badly. */
import { readFileSync } from "node:fs";
import type { RequestOptions } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ca, dns, gateway, makeKey, subjectAltName } from "../unit/pki/certificate-maker.ts";
import { certificatePem, writeOurs } from "./harness/certified.ts";
import { run, until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith, ROOT } from "./harness/prerequisites.ts";
import { Prometheus } from "./harness/prometheus.ts";
import { type TunnelFacts, tungateSettings } from "./harness/settings.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

const FOLDER = join(ROOT, "docs/monitoring");
const RULES = join(FOLDER, "tungate-rules.yml");
const PORT = 9464;

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string; readonly refId: string }[];
}

const board = JSON.parse(readFileSync(join(FOLDER, "grafana-tungate.json"), "utf8")) as {
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] };
};

/** Expressions of the board as it asks them, for every gateway and connection. */
const boardExpressions = board.panels.flatMap(({ targets = [] }) =>
  targets.map(({ expr }) =>
    expr.replaceAll(/\$(instance|connection)/g, ".+").replaceAll("$__rate_interval", "30s"),
  ),
);
/** Of alerts, what they compare: on a pair that works they must not fire, and still have series. */
const ruleExpressions = [...readFileSync(RULES, "utf8").matchAll(/^ +expr: (.*)$/gm)].map(
  ([, expression]) => ({
    whole: expression!,
    compared: expression!.replaceAll(/ (?:[=!]=|[<>]=?) [\d.e]+/g, ""),
  }),
);
const DAY = 86_400_000;
const root = ca("CN=Monitoring", { notBefore: Date.now() - DAY, notAfter: Date.now() + 900 * DAY });

/** A renewal keeps the key, so that one file changes. */
const keys = { a: makeKey(), b: makeKey() };

/** Of a gateway, with a certificate that ends in so many days. */
function writeCertificate(ours: Gateway, name: "a" | "b", days: number): void {
  const names = {
    key: keys[name],
    subject: `CN=${name}.test`,
    extensions: [subjectAltName(dns(`${name}.test`))],
  };
  const validity = { notBefore: Date.now() - DAY, notAfter: Date.now() + days * DAY };
  writeOurs(ours, "own", [gateway(root, { ...names, ...validity })]);
}

/** The pair proves itself by certificates, so that what is said of those has series. */
async function startCertified(ours: Gateway, name: "a" | "b", facts: TunnelFacts): Promise<void> {
  writeCertificate(ours, name, 400);
  ours.writeSecret("ca.pem", certificatePem(root));
  const settings = tungateSettings(facts)
    .replace(
      `local: { id: ${name}.test }`,
      `local: { id: ${name}.test, certificate: own.pem, private_key: own.key }`,
    )
    .replace(/remote: \{ (address: .*) \}/, "remote: { $1, ca: ca.pem }")
    .replace("    psk: { file: secret }\n", "");
  await ours.start(settings);
}

test("the board is one: panels have numbers of their own and lie beside each other", () => {
  expect(boardExpressions.length).toBeGreaterThan(30);
  expect(ruleExpressions.length).toBeGreaterThanOrEqual(12);
  const ids = board.panels.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  const taken = new Set<string>();
  for (const { title, gridPos } of board.panels)
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        expect(x, title).toBeLessThan(24);
        expect(taken.has(`${x},${y}`), title).toBe(false);
        taken.add(`${x},${y}`);
      }
  expect(board.templating.list.map(({ name }) => name)).toEqual(["datasource", "instance", "connection"]);
});

describeWith(["tun", "build", "prometheus"], "a pair that Prometheus watches", () => {
  let sites: TwoSites;
  let a: Gateway;
  let b: Gateway;
  let prometheus: Prometheus;

  beforeAll(async () => {
    sites = await TwoSites.create();
    a = new Gateway(sites.a.gateway, join(sites.folder, "a"));
    b = new Gateway(sites.b.gateway, join(sites.folder, "b"));
    const gateway = `  metrics: 127.0.0.1:${PORT}`;
    await Promise.all([
      startCertified(a, "a", { site: SITE_A, gateway, liveness: "2s" }),
      startCertified(b, "b", { site: SITE_B, keep: "respond" }),
    ]);
    prometheus = await Prometheus.start(
      sites.a.gateway,
      join(sites.folder, "prometheus"),
      [`127.0.0.1:${PORT}`],
      RULES,
    );
    await a.isUp("peer");
  });
  afterAll(async () => {
    await prometheus.stop();
    await Promise.all([a.stop(), b.stop()]);
    await sites.remove();
  });

  /** Status and body of a page of gateway A, asked from its own namespace. */
  async function page(path: string, more: RequestOptions = {}): Promise<{ status: number; text: string }> {
    const where = more.socketPath === undefined ? { host: "127.0.0.1", port: PORT } : {};
    const script = `import { request } from "node:http";
      request(${JSON.stringify({ path, ...where, ...more })}, async (answer) => {
        let text = "";
        for await (const part of answer) text += part;
        process.stdout.write(JSON.stringify({ status: answer.statusCode, text }));
      }).end();`;
    const { stdout } = await sites.a.gateway.run([process.execPath, "--input-type=module", "-e", script]);
    return JSON.parse(stdout);
  }

  test("promtool finds rules, their tests and the metrics in order", async () => {
    await run(["promtool", "check", "rules", RULES]);
    const tested = await run(["promtool", "test", "rules", join(FOLDER, "tungate-rules-test.yml")]);
    expect(tested.stdout).toContain("SUCCESS");
    const { status, text } = await page("/metrics");
    expect(status).toBe(200);
    const checked = await run(["promtool", "check", "metrics"], { input: text, mayFail: true });
    expect(checked).toMatchObject({ status: 0, stdout: "", stderr: "" });
    const control = await page("/v1/metrics", { socketPath: a.controlPath });
    expect(control.text).toContain('tungate_child_up{connection="peer",child="lan",keep="up"} 1');
  });

  test("every expression of board and rules has series, no rule fires, and counters are what passed", async () => {
    const sent = 'tungate_child_transmit_packets_total{connection="peer",child="lan"}';
    const counted = async () => Number((await prometheus.query(sent))[0]![0]?.value[1] ?? Number.NaN);
    await until("Prometheus has the gateway's series", async () => !Number.isNaN(await counted()));
    const before = await counted();
    const pings = await sites.a.host.run(["ping", "-q", "-n", "-c", "100", "-i", "0.02", SITE_B.host4]);
    expect(pings.stdout).toContain("100 received");
    await a.cli("rekey", "peer/lan");
    await until("what passed is counted", async () => (await counted()) >= before + 100);
    const asked = [...boardExpressions, ...ruleExpressions.map(({ compared }) => compared)];
    // rate() wants two scrapes.
    const empty = async () => {
      const answers = await prometheus.query(...asked);
      return asked.filter((_, i) => answers[i]!.length === 0);
    };
    await until("all have series", async () => (await empty()).length === 0).catch(() => undefined);
    expect(await empty()).toEqual([]);
    const firing = (await prometheus.alerts()).filter(({ state }) => state === "firing");
    expect(firing.map(({ labels }) => labels["alertname"])).toEqual([]);
    expect(await prometheus.scrapeErrors()).toEqual([]);
  });

  test("health and readiness say what is so, and Host is checked", async () => {
    expect(await page("/healthz")).toEqual({ status: 200, text: expect.stringMatching(/moves?\n$/) });
    expect(await page("/readyz")).toEqual({ status: 200, text: "all 1 are up\n" });
    expect((await page("/metrics", { headers: { host: "evil.example" } })).status).toBe(421);
    expect((await page("/metrics", { method: "POST" })).status).toBe(405);
  });

  test("hundreds that connect, say nothing or never read cost no packet", { timeout: 60_000 }, async () => {
    const script = `import { connect } from "node:net";
      for (let i = 0; i < 400; i++) {
        const socket = connect(${PORT}, "127.0.0.1", () => {
          if (i % 2) socket.write("GET /metrics HTTP/1.1\\r\\nhost: localhost\\r\\n\\r\\n".repeat(50));
        });
        socket.on("error", () => undefined);
        socket.pause();
      }
      setTimeout(() => process.exit(), 4000);`;
    const flood = sites.a.gateway.run([process.execPath, "--input-type=module", "-e", script]);
    const pings = await sites.a.host.run(["ping", "-q", "-n", "-c", "150", "-i", "0.02", SITE_B.host4]);
    expect(pings.stdout).toContain("150 received");
    await flood;
    await until("metrics are served again", async () => (await page("/metrics")).status === 200);
    expect((await a.connection("peer")).state).toBe("up");
  });

  test("a certificate that ends soon has its alert, without a word to the gateway; a new one ends it", async () => {
    const firing = async () =>
      (await prometheus.alerts())
        .filter(({ labels }) => labels["alertname"] === "TungateCertificateExpires")
        .map(({ labels }) => `${labels["connection"]} ${labels["use"]} ${labels["number"]}`);
    writeCertificate(a, "a", 7);
    await until("the alert fires", async () => (await firing()).length > 0);
    expect(await firing()).toEqual(["peer local 1"]);
    writeCertificate(a, "a", 400);
    await until("the alert is over", async () => (await firing()).length === 0);
    expect((await a.connection("peer")).state).toBe("up");
  });

  test("a tunnel that goes down is not ready, and its alert fires; one that is up again ends both", async () => {
    const child = { connection: "peer", child: "lan" };
    const isFiring = async () =>
      (await prometheus.alerts()).some(
        ({ labels, state }) =>
          labels["alertname"] === "TungateChildDown" &&
          state === "firing" &&
          labels["connection"] === child.connection &&
          labels["child"] === child.child,
      );
    await b.stop();
    await until("the alert fires", isFiring);
    expect(await page("/readyz")).toEqual({ status: 503, text: "1 of 1 are not up\npeer/lan\n" });
    expect((await page("/healthz")).status).toBe(200);
    await startCertified(b, "b", { site: SITE_B, keep: "respond" });
    await a.isUp("peer");
    await until("the alert is over", async () => !(await isFiring()));
    expect((await page("/readyz")).status).toBe(200);
  });
});
