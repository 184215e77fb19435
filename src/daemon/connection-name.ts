/** Names as they are shown. */

/** Whether `NAME`, `NAME#N` or `NAME#N.M` is the connection of that name or one of its peers. */
export function isPartOf(name: string, connection: string): boolean {
  return name === connection || name.startsWith(`${connection}#`) || name.startsWith(`${connection}.`);
}
