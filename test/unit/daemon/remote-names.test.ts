/** Names of peers, and what the gateway is given for them. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { utf8 } from "../../../src/base/bytes.ts";
import { IpAddress, parseIpAddress } from "../../../src/base/ip-address.ts";
import { loadConfiguration } from "../../../src/config/load.ts";
import { gatewayConfiguration, remoteNames } from "../../../src/daemon/effective-configuration.ts";
import { RemoteNames } from "../../../src/daemon/remote-names.ts";
import type { Resolution } from "../../../src/io/dns.ts";
import { connectionsFor } from "../../../src/policy/pad.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const found = (...texts: string[]): Resolution => ({
  kind: "addresses",
  addresses: texts.map((text) => IpAddress(parseIpAddress(text)!)),
});
const failed: Resolution = { kind: "failed", reason: "no such name" };

function names(answers: Resolution[]) {
  const onChange = vi.fn();
  const onFailure = vi.fn();
  const resolve = async () => answers.shift() ?? failed;
  const made = new RemoteNames({
    names: ["gw.example.net"],
    resolve,
    onChange,
    onRecovery: vi.fn(),
    onFailure,
  });
  return { made, onChange, onFailure };
}

test("a new answer is a change, the same one is none", async () => {
  const { made, onChange } = names([found("192.0.2.1"), found("192.0.2.1"), found("192.0.2.9")]);
  await vi.advanceTimersByTimeAsync(0);
  expect(onChange).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(onChange).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(onChange).toHaveBeenCalledTimes(2);
  made.close();
});

test("a silent name server is said once, asked again, and the old answer stays", async () => {
  const { made, onChange, onFailure } = names([found("192.0.2.1"), failed, failed, found("192.0.2.1")]);
  await vi.advanceTimersByTimeAsync(70_000);
  expect(onFailure).toHaveBeenCalledTimes(1);
  expect(made.addressesOf("gw.example.net")).toHaveLength(1);
  expect(onChange).toHaveBeenCalledTimes(1);
  made.close();
});

test("after close nothing is asked and nothing told", async () => {
  const { made, onChange } = names([found("192.0.2.1")]);
  made.close();
  await vi.advanceTimersByTimeAsync(120_000);
  expect(onChange).not.toHaveBeenCalled();
});

const configuration = () =>
  loadConfiguration("/t/tungate.yaml", {
    readFile: () => ({
      kind: "file",
      mode: 0o600,
      bytes: new TextEncoder().encode(`version: 1
connections:
  paris:
    remote: { address: gw.example.net }
    psk: { env: KEY }
    children: { lan: { local: [10.1.0.0/16], remote: [10.2.0.0/16] } }
`),
    }),
    environment: () => "a pre-shared key that is long enough",
    wallClock: () => 0,
  });

test("a connection whose name has no answer is never open to any address", () => {
  expect(remoteNames(configuration())).toEqual(["gw.example.net"]);
  const address = IpAddress(parseIpAddress("192.0.2.1")!);
  const [pending] = gatewayConfiguration(configuration(), () => []).connections;
  expect(pending!.connection.remote).toMatchObject({ addresses: [], names: ["gw.example.net"] });
  expect(connectionsFor([pending!.connection], address, address)).toEqual([]);
  const [known] = gatewayConfiguration(configuration(), () => [address]).connections;
  expect(known!.connection.remote.addresses).toEqual([{ start: address, end: address }]);
  expect(connectionsFor([known!.connection], address, address)).toHaveLength(1);
});

test("a peer with a name and an identity may call from where its name does not say yet", () => {
  const [pending] = gatewayConfiguration(configuration(), () => []).connections;
  const { connection } = pending!;
  const id = { idType: 2, data: utf8("gw.example.net") };
  const named = { ...connection, remote: { ...connection.remote, id } };
  const address = IpAddress(parseIpAddress("192.0.2.1")!);
  expect(connectionsFor([named], address, address)).toEqual([named]);
});

test("a name that works again is told, though its addresses are the old ones", async () => {
  const onRecovery = vi.fn();
  const answers = [found("192.0.2.1"), failed, found("192.0.2.1")];
  const resolve = async () => answers.shift() ?? failed;
  const made = new RemoteNames({
    names: ["gw.example.net"],
    resolve,
    onChange: vi.fn(),
    onRecovery,
    onFailure: vi.fn(),
  });
  await vi.advanceTimersByTimeAsync(61_000);
  expect(onRecovery).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(3_000);
  expect(onRecovery).toHaveBeenCalledExactlyOnceWith("gw.example.net");
  made.close();
});
