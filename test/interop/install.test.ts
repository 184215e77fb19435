/** An upgrade while the gateway runs: until it is started again, it is the version that it was, whatever it loads. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BackgroundProcess, run, until } from "./harness/command.ts";
import { Namespace } from "./harness/namespace.ts";
import { describeWith, PROGRAM, ROOT } from "./harness/prerequisites.ts";

const SETTINGS = `
gateway: { listen: [127.0.0.1] }
connections:
  one: { remote: { address: 127.0.0.2 }, psk: { file: secret }, keep: respond, children: { a: { local: 10.1.0.0/16, remote: 10.2.0.0/16 } } }
`;
const TWO = `${SETTINGS}  two: { remote: { address: 127.0.0.3 }, psk: { file: secret }, keep: respond, children: { a: { local: 10.1.0.0/16, remote: 10.3.0.0/16 } } }\n`;

describeWith(["root", "tun", "build"], "scripts/install", () => {
  let namespace: Namespace;
  let gateway: BackgroundProcess;
  const folder = mkdtempSync(join(tmpdir(), "tungate-install-"));
  const destination = join(folder, "root");
  const control = join(folder, "control.sock");
  const installed = join(destination, "usr/lib/tungate/bin/tungate");

  const install = (tree: string) => run([join(tree, "scripts/install"), "--destdir", destination]);
  const versions = () => readdirSync(join(destination, "usr/lib/tungate.d"));
  const cli = (...words: string[]) => run([...PROGRAM, ...words, "--control", control], { mayFail: true });
  const httpStatus = (path: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      const outgoing = request({ socketPath: control, path, headers: { host: "localhost" } }, (answer) => {
        answer.resume();
        answer.on("end", () => resolve(answer.statusCode));
      });
      outgoing.on("error", reject);
      outgoing.end();
    });

  /** A checkout whose program does nothing but say so, in files of the same names. */
  function anotherVersion(): string {
    const tree = join(folder, "another");
    mkdirSync(tree);
    for (const part of ["bin", "docs", "dist", "presets", "scripts", "systemd", "package.json", "LICENSE"])
      cpSync(join(ROOT, part), join(tree, part), { recursive: true });
    mkdirSync(join(tree, "native/build/Release"), { recursive: true });
    cpSync(join(ROOT, "native/build/Release/tungate.node"), join(tree, "native/build/Release/tungate.node"));
    symlinkSync(join(ROOT, "node_modules"), join(tree, "node_modules"));
    for (const name of readdirSync(join(tree, "dist"), { recursive: true, encoding: "utf8" }))
      if (name.endsWith(".js"))
        writeFileSync(join(tree, "dist", name), 'throw new Error("another version");\n');
    writeFileSync(join(tree, "scripts/tungate-routes"), "#!/bin/sh\necho another version >&2\nexit 1\n");
    return tree;
  }

  beforeAll(async () => {
    namespace = await Namespace.create("install");
    writeFileSync(join(folder, "secret"), "a secret that is long enough\n", { mode: 0o600 });
    writeFileSync(join(folder, "tungate.yaml"), SETTINGS, { mode: 0o644 });
    await install(ROOT);
    gateway = new BackgroundProcess(
      namespace.command([installed, "run", "-c", join(folder, "tungate.yaml"), "--control", control]),
      join(folder, "log"),
    );
    await until(
      "it runs",
      () => / is running/.test(gateway.log()),
      40_000,
      () => gateway.log(),
    );
  }, 90_000);
  afterAll(async () => {
    await gateway.stop("SIGTERM");
    rmSync(folder, { recursive: true, force: true });
  });

  test("another version comes: the running one still reloads, sets routes and answers with files of its own", async () => {
    const [before] = versions();
    await install(anotherVersion());

    expect(versions()).toHaveLength(2);
    expect(versions()).toContain(before);
    expect((await run([installed, "--version"], { mayFail: true })).stderr).toContain("another version");

    writeFileSync(join(folder, "tungate.yaml"), TWO);
    const { stdout, stderr } = await cli("reload");
    expect(stdout + stderr).toContain("+1 connection");
    expect(await httpStatus("/v1/openapi.json")).toBe(200);
    expect((await cli("status", "two")).stdout).toContain("two");
    expect((await namespace.run(["ip", "route", "show", "table", "220"])).stdout).toContain("10.3.0.0/16");
    expect(gateway.log()).not.toContain("another version");
  });

  test("what nobody runs any more goes with the next installation, what somebody runs does not", async () => {
    const running = readFileSync(`/proc/${gateway.pid}/maps`, "utf8").match(/tungate\.d\/(\w+)\//)?.[1];
    await install(ROOT);
    expect(versions()).toHaveLength(2);
    expect(versions()).toContain(running);

    expect(await gateway.stop("SIGTERM")).toBe(0);
    await install(ROOT);
    expect(versions()).toHaveLength(1);
    expect((await run([installed, "--version"])).stdout).toMatch(/^\d+\.\d+/);
  });

  test("an installation that is cut off leaves what was there", async () => {
    const before = versions();
    const broken = join(folder, "broken");
    cpSync(join(folder, "another"), broken, { recursive: true, verbatimSymlinks: true });
    rmSync(join(broken, "LICENSE"));
    const { status } = await run([join(broken, "scripts/install"), "--destdir", destination], {
      mayFail: true,
    });
    expect(status).not.toBe(0);
    expect(versions()).toEqual(before);
    expect((await run([installed, "--version"])).stdout).toMatch(/^\d+\.\d+/);
  });

  test("two at once: the second one does nothing", async () => {
    const before = versions();
    const held = new BackgroundProcess(
      ["flock", join(destination, "usr/lib/tungate.d"), "sh", "-c", "echo held; exec sleep 60"],
      join(folder, "held"),
    );
    try {
      await until("the lock is held", () => /held/.test(held.log()));
      const { status, stderr } = await run([join(ROOT, "scripts/install"), "--destdir", destination], {
        mayFail: true,
      });
      expect(status).toBe(1);
      expect(stderr).toContain("another scripts/install is at work");
      expect(versions()).toEqual(before);
    } finally {
      await held.stop("SIGKILL");
    }
  });

  test.skipIf(!existsSync("/usr/bin/dpkg"))(
    "a package in place of one that had a folder where the link is",
    async () => {
      const root = join(folder, "dpkg");
      mkdirSync(join(root, "var/lib/dpkg/info"), { recursive: true });
      for (const one of ["updates", "triggers"]) mkdirSync(join(root, "var/lib/dpkg", one));
      writeFileSync(join(root, "var/lib/dpkg/status"), "");
      const unpack = (file: string) =>
        run(["dpkg", `--root=${root}`, "--force-script-chrootless", "--unpack", file], { timeoutMs: 60_000 });

      const former = join(folder, "former");
      mkdirSync(join(former, "DEBIAN"), { recursive: true });
      mkdirSync(join(former, "usr/lib/tungate/bin"), { recursive: true });
      writeFileSync(join(former, "usr/lib/tungate/bin/tungate"), "the former version\n");
      writeFileSync(
        join(former, "DEBIAN/control"),
        "Package: tungate\nVersion: 0.0.1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: none\n",
      );
      await run(["dpkg-deb", "--build", former, join(folder, "former.deb")]);
      await unpack(join(folder, "former.deb"));
      expect(readFileSync(join(root, "usr/lib/tungate/bin/tungate"), "utf8")).toBe("the former version\n");

      const { stdout } = await run([join(ROOT, "scripts/deb"), folder], { timeoutMs: 90_000 });
      await unpack(stdout.trim());
      const link = readlinkSync(join(root, "usr/lib/tungate"));
      expect(link).toMatch(/^tungate\.d\/\w+$/);
      const { stdout: version } = await run([join(root, "usr/lib", link, "bin/tungate"), "--version"]);
      expect(version).toMatch(/^\d+\.\d+/);
    },
  );
});
