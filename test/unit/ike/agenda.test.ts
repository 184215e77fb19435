/** The agenda against a plain list. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Instant } from "../../../src/base/instant.ts";
import { Agenda } from "../../../src/ike/agenda.ts";

const step = fc.oneof(
  fc.record({ kind: fc.constant("set" as const), key: fc.nat(20), at: fc.option(fc.nat(100)) }),
  fc.record({ kind: fc.constant("take" as const), now: fc.nat(100) }),
);

test("the first and the due are those of a list that is searched", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const agenda = new Agenda<number>();
      const model = new Map<number, number>();
      for (const one of steps) {
        if (one.kind === "take") {
          const due = [...model].filter(([, at]) => at <= one.now).map(([key]) => key);
          expect([...agenda.takeDue(Instant(one.now))].sort()).toEqual(due.sort());
          for (const key of due) model.delete(key);
        } else if (one.at === null) {
          agenda.set(one.key, undefined);
          model.delete(one.key);
        } else {
          agenda.set(one.key, { at: Instant(one.at), reason: "test" });
          model.set(one.key, one.at);
        }
        const first = model.size === 0 ? undefined : Math.min(...model.values());
        expect(agenda.first()?.at).toBe(first);
      }
    }),
  );
});
