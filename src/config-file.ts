/** A YAML file and where in it each key stands. */
import { readFileSync } from 'node:fs';
import { isMap, isSeq, LineCounter, parseDocument } from 'yaml';
import type { Node } from 'yaml';
import { invalid, readProblem } from './config-problems.ts';
import { isTree } from './config-tree.ts';
import type { Tree } from './config-tree.ts';
import { UsageError } from './errors.ts';

export interface Place {
  readonly line: number;
  readonly col: number;
}

export interface ConfigFile {
  readonly values: Tree;
  /** Of a key or an item of a list; else of what it is in. */
  readonly placeOf: (path: readonly string[]) => Place;
}

const START: Place = { line: 1, col: 1 };

export function readConfigFile(file: string | undefined): ConfigFile {
  const nothing = { values: {}, placeOf: () => START };
  if (file === undefined) return nothing;
  const lines = new LineCounter();
  // A pretty error would quote the line, which may hold a password.
  const document = parseDocument(read(file), { lineCounter: lines, prettyErrors: false });
  const errors = [...document.errors, ...document.warnings];
  if (errors.length > 0) {
    const problems = errors.map(({ pos, message }) => {
      const { line, col } = lines.linePos(pos[0]);
      return `${file}:${line}:${col}: ${message.replace(/: ".*/s, '')}`;
    });
    throw invalid(problems);
  }
  const root = document.contents;
  if (root === null) return nothing;
  if (!isMap(root))
    throw invalid([`${file}:1:1: must be keys with values, such as "exchange: binance"`]);

  const places = new Map<string, Place>();
  collectPlaces(root, [], (path, offset) => places.set(path.join('.'), lines.linePos(offset)));
  return {
    values: withoutNulls(document.toJS() as Tree),
    placeOf: (path) => {
      for (let length = path.length; length > 0; length--) {
        const place = places.get(path.slice(0, length).join('.'));
        if (place) return place;
      }
      return START;
    },
  };
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError('config_file', `${file}: ${readProblem(error)}`, { cause: error });
  }
}

function collectPlaces(
  node: unknown,
  parents: readonly string[],
  found: (path: readonly string[], offset: number) => void,
): void {
  if (isMap<Node>(node)) {
    for (const { key, value } of node.items) {
      const path = [...parents, String(key)];
      if (key.range) found(path, key.range[0]);
      collectPlaces(value, path, found);
    }
  } else if (isSeq<Node>(node)) {
    for (const [index, item] of node.items.entries()) {
      if (item.range) found([...parents, String(index)], item.range[0]);
    }
  }
}

/** A key with nothing after it, as when all that is below it is commented out, is not set. */
function withoutNulls(tree: Tree): Tree {
  return Object.fromEntries(
    Object.entries(tree)
      .filter(([, value]) => value !== null)
      .map(([key, value]) => [key, isTree(value) ? withoutNulls(value) : value]),
  );
}
