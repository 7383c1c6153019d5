/** Who waits for whom now. A wait that would close a circle is refused before it begins: nobody in it could ever go on. */
export class WaitGraph {
  readonly #targets = new Map<string, string[]>();

  /** Adds a wait and returns how to end it, or null when `to` waits for `from` already, directly or through others. */
  add(from: string, to: string): (() => void) | null {
    if (from === to || this.#reaches(to, from, new Set())) return null;
    const targets = this.#targets.get(from) ?? [];
    targets.push(to);
    this.#targets.set(from, targets);
    return () => {
      targets.splice(targets.indexOf(to), 1);
      if (targets.length === 0 && this.#targets.get(from) === targets) this.#targets.delete(from);
    };
  }

  #reaches(from: string, to: string, seen: Set<string>): boolean {
    if (seen.has(from)) return false;
    seen.add(from);
    return (this.#targets.get(from) ?? []).some((next) => next === to || this.#reaches(next, to, seen));
  }
}
