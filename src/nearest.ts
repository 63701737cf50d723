/** What somebody may have meant by a name that does not exist. */

/** The candidates that differ least from `name`, best first. */
export function nearest(name: string, candidates: readonly string[], count = 3): string[] {
  return ranked(name, candidates)
    .slice(0, count)
    .map(({ candidate }) => candidate);
}

/** The candidate that was probably meant, if one is close. */
export function closest(name: string, candidates: readonly string[]): string | undefined {
  const [best] = ranked(name, candidates);
  const limit = Math.min(4, Math.ceil(name.length / 3));
  return best && best.distance <= limit ? best.candidate : undefined;
}

function ranked(name: string, candidates: readonly string[]) {
  const wanted = plain(name);
  return candidates
    .map((candidate) => ({ candidate, distance: editDistance(wanted, plain(candidate)) }))
    .toSorted((a, b) => a.distance - b.distance);
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[_-]/g, '');
}

/** Letters to add, drop, change or swap with their neighbour. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min(changed, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1);
      if (j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, (before[j - 2] ?? 0) + 1);
      }
      next.push(best);
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}
