/** The boot clock goes on, the service manager's socket is reached, and dumps are off. */
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { IoError } from "../../../src/io/io-error.ts";
import { bootTime, notifyServiceManager, setCloseOnExec } from "../../../src/io/native-process.ts";
import { closeFd } from "../../../src/io/native-socket.ts";
import { createWake } from "../../../src/io/native-wait.ts";
import { RUN_TYPESCRIPT } from "../run-typescript.ts";
import { describeNative } from "./native-addon.ts";

/** Prints what one datagram on the Unix socket `path` says, and how many descriptors came along. */
const RECEIVER = `
import socket, sys
path = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("\\0" + path[1:] if path[0] == "@" else path)
print("bound", flush=True)
data, fds, flags, _ = socket.recv_fds(s, 65536, 16)
print(data.decode(), len(fds), flush=True)
`;

function hasPython(): boolean {
  try {
    execFileSync("python3", ["-c", "import socket; socket.recv_fds"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

async function receiveWhile(path: string, send: () => void): Promise<string> {
  const receiver = spawn("python3", ["-c", RECEIVER, path], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  let hasSent = false;
  receiver.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
    if (hasSent || !output.startsWith("bound\n")) return;
    hasSent = true;
    send();
  });
  await new Promise((resolve) => receiver.on("close", resolve));
  return output.replace("bound\n", "").trimEnd();
}

describeNative("the process", () => {
  test("boot time is what the kernel says", () => {
    const before = bootTime();
    const uptime = Number(readFileSync("/proc/uptime", "latin1").split(" ")[0]) * 1000;
    const later = bootTime();
    expect(uptime).toBeGreaterThan(before - 100);
    expect(uptime).toBeLessThan(later + 100);
    expect(later).toBeGreaterThanOrEqual(before);
  });

  test.skipIf(!hasPython())("a message reaches a socket in the file system and an abstract one", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tungate-notify-"));
    try {
      for (const path of [join(folder, "notify"), `@tungate-test-${process.pid}`])
        expect(await receiveWhile(path, () => notifyServiceManager(path, "READY=1"))).toBe("READY=1 0");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test.skipIf(!hasPython())("descriptors go along", async () => {
    const path = `@tungate-test-fds-${process.pid}`;
    const fds = [createWake(), createWake()];
    const message = "FDSTORE=1\nFDNAME=sa-table";
    expect(await receiveWhile(path, () => notifyServiceManager(path, message, fds))).toBe(`${message} 2`);
    for (const fd of fds) closeFd(fd);
  });

  test.each(["/nonexistent/notify", "@tungate-nobody-listens", "relative", "", "/", `/${"x".repeat(100)}`])(
    "nobody at %j is an error",
    (path) => expect(() => notifyServiceManager(path, "READY=1")).toThrow(IoError),
  );

  test("what cannot be sent is an error", () => {
    expect(() => notifyServiceManager("@x", "READY=1", [-1])).toThrow(IoError);
    expect(() => notifyServiceManager("@x", "x".repeat(5000))).toThrow(RangeError);
    expect(() => notifyServiceManager("@x", "", new Array(254).fill(0))).toThrow(RangeError);
    expect(() => setCloseOnExec(-1)).toThrow(IoError);
  });

  test("memory dumps can be forbidden", () => {
    const script = `import(${JSON.stringify(join(import.meta.dirname, "../../../src/io/native-process.ts"))}).then((n) => {
      n.forbidDumps();
      console.log(require("node:fs").readFileSync("/proc/self/limits", "latin1").match(/core file size +(\\S+) +(\\S+)/).slice(1).join()); })`;
    const output = execFileSync(process.execPath, [...RUN_TYPESCRIPT, "-e", script], { encoding: "utf8" });
    expect(output).toBe("0,0\n");
  });
});
