/** The OpenAPI document: a valid one, of all routes that there are, and the one in docs/. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Validator } from "@seriousme/openapi-schema-validator";
import { expect, test } from "vitest";
import { createControlApp } from "../../../src/control/app.ts";
import { EventStream } from "../../../src/control/event-stream.ts";
import { openApiDocument } from "../../../src/control/openapi.ts";
import type { ControlTarget } from "../../../src/control/target.ts";
import { MEASUREMENTS } from "./measurements.ts";

const ROOT = join(import.meta.dirname, "../../..");
const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly operationId: string }>>>>;
}
const document = openApiDocument(version) as unknown as Document;

test("it is valid, and a broken one would not be", async () => {
  const validator = new Validator();
  expect(await validator.validate(structuredClone(document) as never)).toEqual({ valid: true });
  expect(validator.version).toBe("3.1");
  const broken = { ...structuredClone(document), paths: { "/x": { get: { responses: 1 } } } };
  expect((await new Validator().validate(broken)).valid).toBe(false);
});

test("references lead somewhere, and operations have names of their own", () => {
  const text = JSON.stringify(document);
  const references = [...text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name!);
  expect(references.length).toBeGreaterThan(10);
  const { components } = document as unknown as { components: { schemas: object } };
  for (const name of references) expect(Object.keys(components.schemas)).toContain(name);
  expect(text.match(/"\$ref":/g)).toHaveLength(references.length);
  const ids = Object.values(document.paths).flatMap((methods) =>
    Object.values(methods).map(({ operationId }) => operationId),
  );
  expect(new Set(ids).size).toBe(ids.length);
});

test("every route of the server is in it, and nothing else", async () => {
  const target = {
    version,
    measurements: MEASUREMENTS,
    events: new EventStream("e"),
  } as unknown as ControlTarget;
  const app = createControlApp(target, () => undefined);
  const served = app.routes
    .filter(({ method }) => method !== "ALL")
    .map(({ method, path }) => `${method.toLowerCase()} ${path}`);
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`),
  );
  expect(described.length).toBeGreaterThan(8);
  expect([...new Set(served)].sort()).toEqual(described.sort());
  const answer = await app.request("/v1/openapi.json");
  expect(await answer.json()).toEqual(document);
});

test("docs/openapi.json is it: npm run openapi writes it anew", () => {
  expect(JSON.parse(readFileSync(join(ROOT, "docs/openapi.json"), "utf8"))).toEqual(document);
});
