/** How long things live, as the configuration says it. */
import { expect, test } from "vitest";
import { load, paris, problemsOf } from "./memory-reader.ts";

const CHILD = "    children: { lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16";

function withIke(ike: string, child = ""): string {
  return `connections:
  paris:
    remote: { address: 198.51.100.2 }
    psk: { file: secrets/paris }
    ike: ${ike}
${CHILD}${child} } }
`;
}

test("lifetimes, uniqueness and childless IKE SAs arrive where they belong", () => {
  const text = withIke(
    "{ reauth: 24h, unique: keep, childless: prefer }",
    ", keep: on-demand, inactivity: 10m",
  );
  const { connection } = load(text).connections[0]!;
  expect(connection.ike).toMatchObject({ reauth: 24 * 3_600_000, unique: "keep", childless: "prefer" });
  expect(connection.children[0]).toMatchObject({ inactivity: 600_000 });
  const plain = load(paris()).connections[0]!.connection;
  for (const key of ["reauth", "unique", "childless"]) expect(plain.ike).not.toHaveProperty(key);
});

test("what cannot be meant is refused", () => {
  expect(problemsOf(withIke("{ liveness: 30s }", ", inactivity: 10m"))[0]).toMatchObject({
    code: "CONFIG_CONFLICT",
    message: expect.stringContaining("keep: on-demand"),
  });
  expect(problemsOf(withIke("{ unique: no }"))[0]?.code).toMatch(/^CONFIG_/);
  expect(problemsOf(withIke("{ reauth: 1s }"))[0]?.code).toBe("CONFIG_BAD_VALUE");
  expect(problemsOf(withIke("{ reauth_time: 1h }"))[0]?.message).toContain("reauth");
});
