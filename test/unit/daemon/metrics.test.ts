/** What Prometheus gets of a gateway that runs: every configured child, counters that never fall, no word of a peer. */
import { expect, test } from "vitest";
import { loadConfiguration } from "../../../src/config/load.ts";
import { ConfiguredNames } from "../../../src/daemon/configured-names.ts";
import { metricsText } from "../../../src/daemon/metrics.ts";
import { NoticeTally } from "../../../src/daemon/notice-tally.ts";
import { TrafficTotals } from "../../../src/daemon/traffic-totals.ts";
import { NOTICE_CODES } from "../../../src/observe/log.ts";
import { GatewayWorld } from "../../sim/gateway-world.ts";

const yaml = (own: number, other: number, keep: string) => `version: 1
connections:
  paris:
    local: { id: gw-${own}.example.net }
    remote: { address: ${other === 2 ? "198.51.100.2" : "192.0.2.1"}, id: gw-${other}.example.net }
    psk: { env: KEY }
    keep: ${keep}
    children:
      lan: { local: 10.${own}.0.0/16, remote: 10.${other}.0.0/16, rekey: { time: 20s, jitter: 0 } }
      spare: { local: 10.${own + 4}.0.0/16, remote: 10.${other + 4}.0.0/16, keep: respond }
`;

function watched() {
  const world = new GatewayWorld({ seed: 3, yaml: { a: yaml(1, 2, "up"), b: yaml(2, 1, "respond") } });
  const { gateway, dataPlane } = world.node("a");
  const text = new TextEncoder().encode(yaml(1, 2, "up"));
  const configuration = loadConfiguration("/sim/tungate.yaml", {
    readFile: () => ({ kind: "file", bytes: text, mode: 0o600 }),
    environment: () => "a pre-shared key that is long enough",
    wallClock: () => 0,
  });
  const names = new ConfiguredNames(configuration);
  const tally = new NoticeTally(names);
  const traffic = new TrafficTotals(names);
  dataPlane.followEnds((ended, isLast) => traffic.onEnd(ended, isLast));
  const measure = () => {
    for (const notice of world.notices.a.splice(0)) {
      tally.onNotice(notice);
      traffic.onNotice(notice);
    }
    const metrics = metricsText({
      configuration,
      now: world.now,
      wallClock: 1_000_000_000_000,
      states: gateway.describe(world.now),
      pairs: gateway.pairs(),
      traffic: traffic.totals(gateway.traffic()),
      tally: (name) => tally.of(name),
      loss: () => ({ recent: { seconds: 60, sent: 200, lost: 3 } }),
      certificates: [{ connection: "paris", use: "ca", number: 1, notAfter: 1500 }],
      version: "1",
      engine: "twin",
      startedAt: 1,
      notices: tally.byCode,
      drops: world.node("a").drops(),
      ikeSas: gateway.ikeSaCounts(),
      lanes: [{ turns: 5, batches: 2 }],
      transfers: { sendErrors: 4 },
      loading: { loadedAt: 1, applied: 0, refused: 2, isLastGood: false },
      memory: { resident: 1, heapUsed: 1 },
      cpuSeconds: 1,
    });
    const series = new Map(
      metrics
        .split("\n")
        .filter((line) => line !== "" && !line.startsWith("#"))
        .map(
          (line) =>
            [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))] as const,
        ),
    );
    return { metrics, series };
  };
  return { world, measure };
}

const sent = 'tungate_child_transmit_packets_total{connection="paris",child="lan"}';

test("every configured child has its series, up or not", () => {
  const { world, measure } = watched();
  const before = measure().series;
  expect(before.get('tungate_child_up{connection="paris",child="lan",keep="up"}')).toBe(0);
  expect(before.get(sent)).toBe(0);
  expect(before.has('tungate_child_sa_created_timestamp_seconds{connection="paris",child="lan"}')).toBe(
    false,
  );
  world.run(3_000);
  const { series } = measure();
  expect(series.get('tungate_child_up{connection="paris",child="lan",keep="up"}')).toBe(1);
  expect(series.get('tungate_child_up{connection="paris",child="spare",keep="respond"}')).toBe(0);
  expect(series.get('tungate_connection_up{connection="paris",keep="up"}')).toBe(1);
  expect(series.get('tungate_notices_total{code="childSaUp"}')).toBe(1);
  expect(series.get('tungate_child_inner_mtu_bytes{connection="paris",child="lan"}')).toBe(1438);
  const rekeyAt = series.get('tungate_child_rekey_timestamp_seconds{connection="paris",child="lan"}')!;
  expect(rekeyAt).toBeGreaterThan(1_000_000_010);
  expect(rekeyAt).toBeLessThan(1_000_000_020);
});

test("counters go on over rekeys and over the loss of the peer, and never fall", () => {
  const { world, measure } = watched();
  world.run(3_000);
  let last = 0;
  for (let i = 1; i <= 12; i++) {
    world.sendInner("a");
    world.run(5_000);
    const now = measure().series.get(sent)!;
    expect(now).toBe(i);
    expect(now).toBeGreaterThan(last);
    last = now;
  }
  expect(
    measure().series.get('tungate_child_rekeys_total{connection="paris",child="lan"}'),
  ).toBeGreaterThanOrEqual(2);
  world.kill("b");
  world.run(1_000_000);
  const { series } = measure();
  expect(series.get('tungate_child_up{connection="paris",child="lan",keep="up"}')).toBe(0);
  expect(series.get(sent)).toBe(last);
  expect(series.get('tungate_notices_total{code="noAnswer"}')).toBeGreaterThanOrEqual(1);
  expect(series.get('tungate_connection_failures_total{connection="paris"}')).toBeGreaterThanOrEqual(1);
});

test("closed lists are there as a whole, and nothing of the peer's is", () => {
  const { world, measure } = watched();
  world.run(3_000);
  const { metrics, series } = measure();
  for (const code of NOTICE_CODES)
    expect(series.has(`tungate_notices_total{code="${code}"}`), code).toBe(true);
  expect(series.get('tungate_dropped_packets_total{reason="replayed"}')).toBe(0);
  expect(series.get('tungate_ike_dropped_messages_total{reason="malformed"}')).toBe(0);
  expect(series.get('tungate_path_reports_total{outcome="hint"}')).toBe(0);
  expect(
    series.get('tungate_certificate_expiry_timestamp_seconds{connection="paris",use="ca",number="1"}'),
  ).toBe(1.5);
  expect(series.get("tungate_lanes_send_errors_total")).toBe(4);
  expect(series.get('tungate_child_receive_loss_ratio{connection="paris",child="lan"}')).toBe(0.015);
  expect(series.get('tungate_configuration_reloads_total{outcome="refused"}')).toBe(2);
  expect(metrics).not.toContain("example.net");
  expect(metrics).not.toMatch(/\b\d+\.\d+\.\d+\.\d+\b/);
  const names = metrics.match(/^# TYPE \S+ \S+$/gm)!;
  expect(new Set(names).size).toBe(names.length);
  for (const line of names) expect(line.endsWith(" counter")).toBe(/_total /.test(line));
});
