/** A plan in one line. */
import type { ReloadPlan } from "../../control/reload-schema.ts";

export function summaryOf(
  counts: ReloadPlan["counts"],
  connections: ReloadPlan["connections"],
  settings: ReloadPlan["settings"],
): string {
  if (connections.length === 0 && settings.length === 0) return "nothing changes";
  const changed = connections.length - counts.added - counts.removed;
  const live = settings.filter(({ needsRestart }) => !needsRestart).length;
  const restarts = settings.filter(({ needsRestart }) => needsRestart).map(({ key }) => key);
  return [
    ...(counts.added > 0 ? [`+${counted(counts.added, "connection")}`] : []),
    ...(counts.removed > 0 ? [`-${counted(counts.removed, "connection")}`] : []),
    ...(changed > 0 ? [`${counted(changed, "connection")} changed`] : []),
    ...(live > 0 ? [`${counted(live, "setting")} changed`] : []),
    `${counted(counts.tunnelsTouched, "tunnel")} touched`,
    ...(counts.rekeys > 0 ? [`${counted(counts.rekeys, "child", "children")} will rekey`] : []),
    ...(counts.reauthentications > 0
      ? [`${counted(counts.reauthentications, "connection")} will be authenticated anew`]
      : []),
    ...(restarts.length > 0 ? [`${restarts.join(", ")}: only by a restart`] : []),
  ].join(", ");
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
