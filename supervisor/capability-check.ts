import type { CapsuleProcess } from './proc/capsule-process.js';
import type { SecurityService } from './syscalls/security.js';

/** Answers about capsules that run, by the UUID that their messages carry. The one capability others may ask about is this. */
const ASKABLE = 'allow_prompt_injection';

export class CapabilityCheck implements SecurityService {
  readonly #processes: () => readonly CapsuleProcess[];

  constructor(processes: () => readonly CapsuleProcess[]) {
    this.#processes = processes;
  }

  /** An instance that ended keeps its UUID until the next start: it no longer answers for anything. */
  holds(sourceId: string, capability: string): boolean {
    if (capability !== ASKABLE) return false;
    const process = this.#processes().find((candidate) => candidate.sourceId === sourceId && candidate.isRunning);
    return process?.spec.manifest.capabilities[ASKABLE] === true;
  }
}
