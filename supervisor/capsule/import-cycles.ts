/**
 * Finds who waits for itself. For each name in `edges` that lies on a cycle, the result holds one such cycle, in
 * order, beginning with that name. Breadth first, so the shortest one is told; iterative, so depth costs no stack.
 */
export function findCycles(edges: ReadonlyMap<string, readonly string[]>): Map<string, string[]> {
  const cycles = new Map<string, string[]>();
  for (const name of edges.keys()) {
    const cycle = findCycle(name, edges);
    if (cycle !== null) cycles.set(name, cycle);
  }
  return cycles;
}

function findCycle(start: string, edges: ReadonlyMap<string, readonly string[]>): string[] | null {
  const cameFrom = new Map<string, string>();
  const queue = [start];
  for (let head = 0; head < queue.length; head++) {
    const here = queue[head]!;
    for (const next of edges.get(here) ?? []) {
      if (next === start) return traceBack(here, start, cameFrom);
      if (cameFrom.has(next)) continue;
      cameFrom.set(next, here);
      queue.push(next);
    }
  }
  return null;
}

function traceBack(last: string, start: string, cameFrom: ReadonlyMap<string, string>): string[] {
  const path: string[] = [];
  for (let here: string | undefined = last; here !== undefined && here !== start; here = cameFrom.get(here)) {
    path.push(here);
  }
  return [start, ...path.reverse()];
}
