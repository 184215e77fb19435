/** The gateway as a service of a real systemd: start, sandbox, routes, kill, watchdog, stop. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Capture, clearFrames, countOf } from "./harness/capture.ts";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { connect, Namespace } from "./harness/namespace.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { GatewayMachine, PACKAGE } from "./systemd/gateway-machine.ts";

/** CAP_NET_BIND_SERVICE (10), CAP_NET_ADMIN (12), CAP_NET_RAW (13). */
const THREE_CAPABILITIES = "0000000000003400";
const EXPOSURE_MAX = 2.0;
const SECRET = "a key that only these two know";
const WATCHDOG_SECONDS = 8;
// Several starts each, and the machine may be busy with other things.
vi.setConfig({ testTimeout: 200_000 });

const configurationOf = (role: "machine" | "peer", psk: string): string => {
  const [own, other] = role === "machine" ? (["2", "1"] as const) : (["1", "2"] as const);
  return `version: 1
gateway:
  listen: [192.0.2.${own}]
connections:
  site:
    local: { id: "fqdn:gw${own}.example" }
    remote: { address: 192.0.2.${other}, id: "fqdn:gw${other}.example" }
    psk: { ${psk} }
    keep: ${role === "machine" ? "up" : "respond"}
    children:
      lan: { local: [10.${own}.0.0/16], remote: [10.${other}.0.0/16] }
`;
};

describeWith(["tun", "tcpdump", "containers", "debootstrap", "build"], "as a service of systemd", () => {
  const folder = mkdtempSync(join(tmpdir(), "tungate-systemd-"));
  chmodSync(folder, 0o755);
  let namespace: Namespace;
  let machine: GatewayMachine;
  let peer: Gateway;

  beforeAll(async () => {
    namespace = await Namespace.create("sd");
    const inside = await Namespace.create("machine");
    await connect({ namespace, name: "wan0" }, { namespace: inside, name: "eth0" });
    machine = await GatewayMachine.boot(inside, folder);
    await namespace.ip("addr add 192.0.2.1/24 dev wan0\naddr add 10.1.0.1/16 dev lo");
    await namespace.ip("route add default via 192.0.2.2");
    await machine.run(`
      ip addr add 192.0.2.2/24 dev eth0; ip addr add 10.2.0.1/16 dev lo; ip route add default via 192.0.2.1
      mkdir -p /etc/systemd/system/tungate.service.d
      printf '[Service]\\nLoadCredential=site:/etc/tungate/site.key\\n' >/etc/systemd/system/tungate.service.d/key.conf
      (umask 077; printf '%s\\n' '${SECRET}' >/etc/tungate/site.key)
      cat >/etc/tungate/tungate.yaml <<'END'
${configurationOf("machine", "credential: site")}
END
      chgrp tungate /etc/tungate/tungate.yaml; chmod 640 /etc/tungate/tungate.yaml; systemctl daemon-reload`);
    peer = new Gateway(namespace, join(folder, "peer"));
    peer.writeSecret("key", SECRET);
    await peer.start(configurationOf("peer", "file: key"));
  }, 900_000);

  afterAll(async () => {
    await peer?.stop();
    await machine?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const reaches = async (): Promise<boolean> =>
    (await machine.run("ping -q -n -c 2 -i 0.3 -W 2 -I 10.2.0.1 10.1.0.1 >/dev/null 2>&1; echo $?")) === "0";
  const hasTunnel = () => until("the tunnel carries", reaches, 60_000, () => peer.log().slice(-2000));
  const routeOut = () => machine.run("ip route get 10.1.0.1 from 10.2.0.1 2>&1 || :");

  test("both units are as systemd wants them, and little is exposed", async () => {
    expect(await machine.run("systemd-analyze verify tungate.service tungate-routes.service 2>&1")).toBe("");
    const words = await machine.run("systemd-analyze security --no-pager tungate.service | tail -n 1");
    console.info(words);

    expect(Number(/: ([\d.]+) /.exec(words)?.[1])).toBeLessThanOrEqual(EXPOSURE_MAX);
  });

  test("the sandbox allows what the gateway needs and nothing else", async () => {
    const program = "/bin/bash /usr/local/bin/probe";
    const words = "/usr/local/bin/node /usr/lib/tungate/scripts/tungate-routes";
    await machine.run(`
      mknod -m 666 /dev/probe-device c 10 199
      mkdir -p /run/systemd/system/tungate.service.d
      printf '[Service]\\nExecStart=\\nExecStart=${program} /run/tungate/facts ${words}\\nNotifyAccess=all\\n' \
        >/run/systemd/system/tungate.service.d/probe.conf
      printf '[Service]\\nType=notify\\nNotifyAccess=all\\nRuntimeDirectory=control\\nEnvironment=NODE_OPTIONS=--no-warnings\\nExecStart=${program} /run/control/facts ${words}\\n' \
        >/run/systemd/system/control.service
      systemctl set-environment NODE_OPTIONS=--no-warnings
      systemctl daemon-reload; systemctl start tungate; systemctl start control`);
    const factsOf = async (name: string) => {
      const lines = (await machine.run(`cat /run/${name}/facts; systemctl stop ${name} >&2`)).split("\n");
      return Object.fromEntries(lines.map((line) => line.split(/=(.*)/s, 2).map((word) => word.trim())));
    };
    const facts = await factsOf("tungate");
    const control = await factsOf("control");
    await machine.run(`
      rm /run/systemd/system/tungate.service.d/probe.conf /run/systemd/system/control.service /dev/probe-device
      systemctl unset-environment NODE_OPTIONS; systemctl daemon-reload`);

    expect(facts).toMatchObject({
      CapInh: THREE_CAPABILITIES,
      CapPrm: THREE_CAPABILITIES,
      CapEff: THREE_CAPABILITIES,
      CapBnd: THREE_CAPABILITIES,
      CapAmb: THREE_CAPABILITIES,
      NoNewPrivs: "1",
      Seccomp: "2",
      core: "0",
      nodeOptions: "unset",
      mutableFolders: "/var/lib/tungate /run/tungate /tmp",
      foreignDevice: expect.stringContaining("not permitted"),
    });
    expect(facts["uid"]).not.toBe("0");
    const allowed = ["readConfiguration", "compileAtRunTime", "bindLowPort", "tunDevice", "routesScript"];
    const refused = ["writeSysctl", "namespace", "realTime", "setUser", "mount", "otherProcess"];
    for (const name of allowed) expect(`${name} ${facts[name]}`).toBe(`${name} allowed`);
    for (const name of refused) expect(`${name} ${facts[name]}`).toMatch(/ refused/);
    // Without the sandbox the same calls succeed, so it is the sandbox that refuses them.
    for (const name of refused) expect(`${name} ${control[name]}`).toBe(`${name} allowed`);
    expect(control).toMatchObject({ nodeOptions: "--no-warnings", Seccomp: "0" });
    expect(control["foreignDevice"]).not.toContain("not permitted");
  });

  test("root prepares a TUN device that belongs to the service's user", async () => {
    await machine.run("systemctl start tungate-routes.service");

    expect(await machine.property("Result", "tungate-routes.service")).toBe("success");
    expect(await machine.run("cat /sys/class/net/tungate0/owner")).toBe(await machine.run("id -u tungate"));
    // IFF_TUN and IFF_MULTI_QUEUE
    expect(Number(await machine.run("cat /sys/class/net/tungate0/tun_flags")) & 0x101).toBe(0x101);
  });

  test("a start ends when the gateway is ready; it runs without root, in every thread", async () => {
    await machine.run("systemctl start tungate.service");

    expect(await machine.property("ActiveState")).toBe("active");
    expect(await machine.property("StatusText")).not.toBe("");
    await hasTunnel();
    const uid = await machine.run("id -u tungate");
    const status = await machine.processStatus();
    expect(status["Uid"]).toBe([uid, uid, uid, uid].join("\t"));
    const threads = await machine.run(
      `cat /proc/$(systemctl show -P MainPID tungate)/task/*/status | grep -E '^(CapPrm|CapEff|CapBnd|CapAmb)' | cut -f 2 | sort -u`,
    );
    expect(threads).toBe(THREE_CAPABILITIES);
    expect(await machine.run("find /run/tungate -type s -perm /007")).toBe("");
  });

  const ikeSa = async () => (await peer.connection("site")).initiatorSpi;
  /**
   * Pings while something happens to the service, and ten more once it runs again.
   * @returns how many of the first were answered of how many, and of the ten
   */
  const pinging = async (script: string): Promise<[answered: number, sent: number, after: number]> => {
    const ping = "ping -q -n -i 0.1 -W 5 -I 10.2.0.1";
    const words = await machine.run(`
      ${ping} 10.1.0.1 >/run/pings 2>&1 & pings=$!; sleep 1; ${script}
      until [ "$(systemctl show -P ActiveState tungate)" = active ]; do sleep 1; done
      ${ping} -c 10 10.1.0.1; kill -INT $pings; wait $pings; cat /run/pings; :`);
    const [after, during] = [...words.matchAll(/(\d+) packets transmitted, (\d+) received/g)];
    return [Number(during?.[2]), Number(during?.[1]), Number(after?.[2])];
  };

  test("a restart: systemd keeps what the next process goes on with, and the peer hears nothing of it", async () => {
    const [ike, pid] = [await ikeSa(), await machine.property("MainPID")];
    expect(Number(await machine.property("NFileDescriptorStore"))).toBeGreaterThan(5);
    const capture = await Capture.start(namespace, "wan0", join(folder, "restart.pcap"));
    const [answered, sent, after] = await pinging("systemctl restart tungate");
    const frames = await capture.stop();

    // They wait in the device meanwhile; the last one may be on its way when ping ends.
    expect(answered).toBeGreaterThanOrEqual(sent - 1);
    expect(after).toBe(10);
    expect(clearFrames(frames)).toEqual([]);
    expect(await machine.property("MainPID")).not.toBe(pid);
    expect(await ikeSa()).toBe(ike);
    expect((await peer.connection("site")).state).toBe("up");
    expect(await machine.journal()).toMatch(/SAs, devices and sockets stay for the next start/);
  });

  test("SIGKILL: the child SA carries on, and another IKE SA comes without the first one being missed", async () => {
    const ike = await ikeSa();
    const [answered, sent, after] = await pinging("kill -KILL $(systemctl show -P MainPID tungate); sleep 1");

    expect(answered).toBeGreaterThanOrEqual(sent - 1);
    expect(after).toBe(10);
    await until("there is another IKE SA", async () => (await ikeSa()) !== ike, 60_000);
    await machine.hasProperty("ActiveState", "active");
    await until("it is said", async () => /site\/lan: a new SA carries/.test(await machine.journal()));
    await machine.run("systemctl reset-failed tungate");
  });

  test("systemctl reload takes the file over, or fails with the reason while the gateway goes on", async () => {
    const before = await machine.property("MainPID");
    await machine.run(
      "cp -p /etc/tungate/tungate.yaml /etc/tungate/before; sed -i 's/psk:/pks:/' /etc/tungate/tungate.yaml",
    );
    expect(await machine.run("systemctl reload tungate && echo taken || echo refused")).toContain("refused");
    expect(await machine.journal()).toMatch(/not reloaded[\s\S]*tungate.yaml:\d+:\d+: .*pks/);
    await machine.run("cp -p /etc/tungate/before /etc/tungate/tungate.yaml; rm /etc/tungate/before");
    expect(await machine.run("systemctl reload tungate && echo taken || echo refused")).toContain("taken");
    await machine.run("kill -HUP $(systemctl show -P MainPID tungate)");
    await until(
      "it was reloaded twice",
      async () => /(?:configuration was reloaded[\s\S]*){2}/.test(await machine.journal()),
      60_000,
    );
    expect(await machine.property("ActiveState")).toBe("active");
    expect(await machine.property("MainPID")).toBe(before);
    await hasTunnel();
  });

  test("SIGKILL: nothing passes in clear, and systemd starts it again", async () => {
    const before = await machine.property("MainPID");
    const restarts = Number(await machine.property("NRestarts"));
    const capture = await Capture.start(namespace, "wan0", join(folder, "kill.pcap"));
    await machine.run(`
      ping -q -n -i 0.05 -w 4 -W 1 -I 10.2.0.1 10.1.0.1 >/dev/null 2>&1 & sleep 1; kill -KILL ${before}; wait; :`);
    await machine.hasProperty("NRestarts", `${restarts + 1}`);
    await machine.hasProperty("ActiveState", "active");
    await hasTunnel();
    const frames = await capture.stop();

    expect(clearFrames(frames)).toEqual([]);
    expect(countOf(frames, "esp")).toBeGreaterThan(20);
    expect(await machine.property("MainPID")).not.toBe(before);
  });

  test("while it is dead, protected prefixes are unreachable in clear", async () => {
    await machine.run(`
      printf '[Service]\\nRestart=no\\n' >/run/systemd/system/tungate.service.d/once.conf; systemctl daemon-reload
      kill -KILL $(systemctl show -P MainPID tungate)`);
    await machine.hasProperty("ActiveState", "failed");
    const capture = await Capture.start(namespace, "wan0", join(folder, "dead.pcap"));

    expect(await reaches()).toBe(false);
    expect(await machine.run("ip route show table 220 type unreachable")).toContain("10.1.0.0/16");
    // The device goes, as after a reboot: the last route left is the guard.
    await machine.run("ip link delete tungate0");
    expect(await reaches()).toBe(false);
    expect(clearFrames(await capture.stop())).toEqual([]);

    await machine.run(`rm /run/systemd/system/tungate.service.d/once.conf; systemctl daemon-reload
      systemctl reset-failed tungate; systemctl restart tungate-routes tungate`);
    await hasTunnel();
  });

  test("after a boot the prefixes are closed before the gateway runs", async () => {
    await machine.run(
      "systemctl stop tungate; ip route flush table 220; ip rule flush table 220; ip link delete tungate0",
    );
    await machine.run("systemctl restart tungate-routes");

    expect(await routeOut()).toMatch(/unreachable|No route/);
    await machine.run("systemctl start tungate");
    await hasTunnel();
  });

  test("a stop says goodbye to the peer, succeeds, and leaves the prefixes closed", async () => {
    const capture = await Capture.start(namespace, "wan0", join(folder, "stop.pcap"));
    await machine.run("systemctl stop tungate");

    expect(await machine.property("Result")).toBe("success");
    expect(await machine.property("ExecMainStatus")).toBe("0");
    await until("the peer has heard of it", async () => (await peer.connection("site")).state !== "up");
    expect(await machine.property("NFileDescriptorStore")).toBe("0");
    expect(await reaches()).toBe(false);
    expect(clearFrames(await capture.stop())).toEqual([]);
    expect(await routeOut()).toMatch(/unreachable|No route/);
  });

  test("a wrong configuration is refused in words, and is tried again", async () => {
    await machine.run("sed -i s/psk:/pks:/ /etc/tungate/tungate.yaml");
    await machine.run("systemctl start tungate || :");

    expect(await machine.journal()).toMatch(/pks.*psk/s);
    const errors = await machine.run("journalctl --boot --no-pager -o cat -p err --unit tungate.service");
    expect(errors).toMatch(/^\S*tungate\.yaml:\d+:\d+: .*pks/m);
    expect(errors).not.toContain("is up");
    await machine.run("sed -i s/pks:/psk:/ /etc/tungate/tungate.yaml");
    await machine.hasProperty("ActiveState", "active");
    await hasTunnel();
  });

  /** What an installation brings, and what a gateway leaves on the host. */
  const leftovers = () =>
    machine.run(`
      ls -d /usr/lib/tungate* /usr/bin/tungate /usr/lib/systemd/system/tungate* /sys/class/net/tungate0 2>/dev/null
      ip route show table 220; ip rule show | grep 220; :`);
  const kept = () => machine.run("ls -d /etc/tungate/tungate.yaml /var/lib/tungate 2>/dev/null || :");

  test("installing the package once more, as an upgrade, restarts the gateway that runs", async () => {
    const before = await machine.property("MainPID");
    await machine.run(`dpkg --force-unsafe-io --install /run/tree/${PACKAGE}`);

    await machine.hasProperty("ActiveState", "active");
    expect(await machine.property("MainPID")).not.toBe(before);
    await hasTunnel();
  });

  test("a gateway that hangs is ended by the watchdog and started again", async () => {
    await machine.run(`
      printf '[Service]\\nWatchdogSec=${WATCHDOG_SECONDS}\\n' >/run/systemd/system/tungate.service.d/watchdog.conf
      systemctl daemon-reload; systemctl restart tungate`);
    await hasTunnel();
    const before = await machine.property("MainPID");
    // Fed for longer than its time, it stays.
    await machine.run(`sleep ${WATCHDOG_SECONDS * 2}`);
    expect(await machine.property("MainPID")).toBe(before);

    await machine.run(`kill -STOP ${before}`);
    await machine.hasProperty("NRestarts", "1");
    await machine.hasProperty("ActiveState", "active");

    expect(await machine.journal()).toContain("Watchdog timeout");
    expect(await machine.property("MainPID")).not.toBe(before);
    await hasTunnel();
    await machine.run(
      "rm /run/systemd/system/tungate.service.d/watchdog.conf; systemctl daemon-reload; systemctl restart tungate",
    );
  });

  test("removing the package leaves configuration and state, and nothing that works; purging leaves nothing", async () => {
    expect(await leftovers()).toContain("/usr/bin/tungate");
    await machine.run("dpkg --remove tungate");

    expect(await machine.property("LoadState")).toBe("not-found");
    expect(await leftovers()).toBe("");
    expect(await kept()).toBe("/etc/tungate/tungate.yaml\n/var/lib/tungate");

    await machine.run("dpkg --purge tungate");
    expect(await kept()).toBe("");
  });

  test("without a package the script takes away what the other one brought", async () => {
    await machine.run(`dpkg-deb --extract /run/tree/${PACKAGE} / && systemctl daemon-reload`);
    expect(await machine.property("LoadState")).toBe("loaded");
    expect(await leftovers()).toContain("/usr/bin/tungate");
    await machine.run("/usr/lib/tungate/scripts/uninstall");

    expect(await machine.property("LoadState")).toBe("not-found");
    expect(await leftovers()).toBe("");
  });
});
