import type { HeldEntry } from './held-dir.js';

/** The handles of one operation. What is owned here is closed when the operation ends, however it ends. */
export class HandleScope {
  readonly #owned = new Set<HeldEntry>();

  own<T extends HeldEntry | null>(entry: T): T {
    if (entry !== null) this.#owned.add(entry);
    return entry;
  }

  /** Closes early, so that a deep walk holds a few handles and not one per component. Roots are not owned: untouched. */
  drop(entry: HeldEntry | null): void {
    if (entry !== null && this.#owned.delete(entry)) entry.close();
  }

  closeAll(): void {
    for (const entry of this.#owned) entry.close();
    this.#owned.clear();
  }
}

export async function withHandles<T>(action: (scope: HandleScope) => Promise<T>): Promise<T> {
  const scope = new HandleScope();
  try {
    return await action(scope);
  } finally {
    scope.closeAll();
  }
}
