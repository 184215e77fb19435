/** What became of SAs that a process before this one left without their IKE SA, in words. */
import type { InheritedNews } from "../gateway/inherited-pairs.ts";

const WORDS: Readonly<Record<InheritedNews["what"], string>> = {
  renewed: "a new SA carries; that of the process before only receives what is still under way",
  ended: "the SA of the process before is gone; the new one carries",
  expired: "the SA of the process before has reached its lifetime, and no peer has renewed it",
  unfit: "the configuration has changed: the SA of the process before is closed",
};

export function inheritedText({ policy, what }: Pick<InheritedNews, "policy" | "what">): string {
  return `${policy}: ${WORDS[what]}`;
}
