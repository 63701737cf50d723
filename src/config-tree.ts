/** Nested objects of unknown content, reached by path. */

export type Tree = Record<string, unknown>;

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function valueAt(tree: unknown, path: readonly string[]): unknown {
  let value = tree;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name))
      return undefined;
    value = Reflect.get(value, name);
  }
  return value;
}

/** False where something other than a section is in the way. */
export function put(tree: Tree, path: readonly string[], value: unknown): boolean {
  const [name, ...rest] = path;
  if (name === undefined) return false;
  if (rest.length === 0) {
    tree[name] = value;
    return true;
  }
  const section = (tree[name] ??= {});
  return isTree(section) && put(section, rest, value);
}
